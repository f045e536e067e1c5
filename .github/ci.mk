# What the workflows call; each target runs on a developer's machine too. Included by the Makefile.
# Figures and reports land in BUILD; a target that needs a service says which variable it reads.
BUILD ?= .data/ci
PY := PYTHONPATH=. $(VENV)/bin/python
SCRIPTS := .github/scripts
COVERAGE_FLOOR := 85
RUNS := 1 2 3 4 5
BENCH_MODEL ?= $$(ls .data/models/*.gguf | head -1)
OLD ?= $(BUILD)/old
NEW ?= $(BUILD)/new
ARCH ?= amd64
ARCHIVE ?= image-$(ARCH).tar
# cyclonedx-py keeps to an environment of its own: one of its packages costs every start of the app 2 s where it is found.
CYCLONEDX := 7.5.0
LOADED := localhost/qubinode:loaded
IMAGE ?= ghcr.io/$(shell echo "$$GITHUB_REPOSITORY" | tr A-Z a-z)
SECRETLINT := $(BUILD)/secretlint
# Gates run where nothing of the project is installed but `make gate-tools`, and on a developer's machine.
GATE = PYTHONPATH=. $(or $(wildcard $(VENV)/bin/python),python3)
SYFT ?= syft
GRYPE ?= grype
GRANITE ?= .data/models/granite-4.0-micro-Q4_K_M.gguf
UPSTREAM ?= https://github.com/Qubinode/qubinode_navigator
JUDGED := tests/evals/own_corpus.jsonl

.PHONY: workflows subjects bandit secrets secretlint audit coverage browser-tests pictures demo evals hardening bench bench-base bench-gate bill \
  image-lint image-load image-smoke image-secrets image-bill image-scan image-check image-pull image-push roll-back release-check release-image release-sign \
  release-notes publish-preview publish-space publish-dataset publish-model models-check nightly-model \
  nightly-bench nightly-answers nightly-harden nightly-upstream nightly-report preview-comment gate-tools lock

$(BUILD):
	@mkdir -p $@

# --- ci.yml

workflows: $(VENV)/.development
	$(PY) $(SCRIPTS)/workflow_policy.py
	$(VENV)/bin/jactionlint --strict-exit --shellcheck=
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/bin/zizmor --offline --quiet --min-severity low .github

# SINCE is the last commit that is not new.
SINCE ?= origin/main
subjects:
	python3 $(SCRIPTS)/commit_subjects.py "$(SINCE)"

image-lint: $(VENV)/.development
	$(VENV)/bin/hadolint --failure-threshold warning --ignore DL3003 --ignore DL3008 --ignore DL3013 Dockerfile

coverage: $(VENV)/.development
	$(TESTS) --ignore=tests/browser --cov --cov-report=term:skip-covered \
	  --cov-fail-under=$(COVERAGE_FLOOR)

# What a visitor sees: pictures of every tab to be looked at, the README's four, and the film that a release shows.
pictures: setup-dev
	$(PY) -m tests.browser.pictures
	$(PY) -m tests.browser.readme_pictures

demo: setup-dev | $(BUILD)
	$(PY) -m tests.browser.demo --out $(BUILD)/demo.webp

browser-tests: setup-dev
	$(TESTS) tests/browser

hardening: $(VENV)/.development
	$(VENV)/bin/python -m pytest tests/onboarding/test_allowlist.py tests/ui/test_relay.py tests/rag/test_secrets.py \
	  tests/tools/test_sandbox.py tests/tools/test_sandbox_attacks.py tests/tools/test_sandbox_layers.py tests/ui/test_render.py \
	  tests/model/test_plain_text.py tests/ui/test_markdown.py tests/model/test_citations.py tests/ui/test_session.py tests/rag/test_index.py \
	  tests/hardening

# Everything that no test can wait for: crowds, a soak, a fuzzer; nothing else should run beside it. Half an hour with
# these values; MINUTES=20 SECONDS=600 for what a release is held to.
MINUTES ?= 5
SECONDS ?= 60
harden: setup-dev | $(BUILD)
	$(PY) -m tests.hardening all --minutes $(MINUTES) --seconds $(SECONDS) --report $(BUILD)/harden.md

evals: $(VENV)/.development | $(BUILD)
	$(PY) -m tests.evals retrieval --corpus rag/corpus --questions tests/evals/own_corpus.jsonl --json \
	  > $(BUILD)/retrieval.json
	$(PY) -m tests.evals routing --cases tests/evals/routing_own.jsonl --json > $(BUILD)/routing.json
	$(PY) -m tests.evals tools --cases tests/evals/tools_own.jsonl --json > $(BUILD)/tools.json
	$(PY) $(SCRIPTS)/eval_gate.py retrieval $(BUILD)/retrieval.json
	$(PY) $(SCRIPTS)/eval_gate.py routing $(BUILD)/routing.json
	$(PY) $(SCRIPTS)/eval_gate.py tools $(BUILD)/tools.json

# --- security.yml

# Ruff's S108, S310, S506 and S704 are the same rules as the four left out, over the same files, and are waived with
# their reasons where they are meant: the /tmp of a container, addresses on loopback, a YAML loader that makes nothing
# but texts, markup that is escaped.
bandit: $(VENV)/.linters
	$(VENV)/bin/bandit --quiet --skip B108,B310,B506,B704 --recursive --severity-level medium --confidence-level medium \
	  app.py model onboarding rag tools .github/scripts

secrets: $(VENV)/.runtime secretlint
	$(PY) $(SCRIPTS)/secret_scan.py --history --secretlint $(SECRETLINT)

# By npm's lock with its checksums; no package's own script runs.
secretlint: $(SECRETLINT)/.installed

$(SECRETLINT)/.installed: $(wildcard .github/secretlint/*.json)
	@command -v npm >/dev/null || { echo "secretlint needs Node 20 or newer with npm; install them"; exit 1; }
	mkdir -p $(SECRETLINT) && cp $^ $(SECRETLINT)
	npm ci --prefix $(SECRETLINT) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# The gate judges, not the scanner's exit code; pip-audit answers 1 for a finding and for a failure alike, so the
# report is removed first and a missing one fails.
audit: $(VENV)/.development | $(BUILD)
	rm -f $(BUILD)/audit.json
	if $(VENV)/bin/pip-audit --strict --requirement requirements-full.lock --require-hashes --disable-pip --format json \
	  --output $(BUILD)/audit.json; then echo "nothing known"; else echo "findings, or no data"; fi
	$(PY) $(SCRIPTS)/vuln_gate.py $(BUILD)/audit.json

# --- bench.yml: RUNS runs of engine and retrieval into NEW, the same from another checkout into OLD, and the verdict

bench: $(VENV)/.runtime $(VENV)/.weights $(VENV)/.development | $(BUILD)
	rm -rf $(NEW) && mkdir -p $(NEW)
	for run in $(RUNS); do \
	  $(PY) -m tests.benchmarks engine --model "$(BENCH_MODEL)" --visitors 3 --turns 2 --tokens 16 --json \
	  > $(NEW)/engine-$$run.json && $(PY) -m tests.benchmarks retrieval --json > $(NEW)/retrieval-$$run.json \
	  || exit 1; done

# With the same packages where those are the same, with an environment of its own otherwise.
bench-base: | $(BUILD)
	cat requirements*.txt > $(BUILD)/requirements
	rm -rf $(BUILD)/base $(OLD) && git worktree prune && git worktree add --force $(BUILD)/base "$$BASE_REF"
	cd $(BUILD)/base && ln -s $(abspath .data) .data && \
	  if cat requirements*.txt | cmp -s - $(abspath $(BUILD))/requirements; then ln -s $(abspath $(VENV)) $(VENV); fi && \
	  $(MAKE) bench NEW="$(abspath $(OLD))"
	git worktree remove --force $(BUILD)/base

bench-gate: $(VENV)/.development
	$(PY) $(SCRIPTS)/perf_gate.py --old $(OLD)/*.json --new $(NEW)/*.json --history $(BUILD)/history

# Every package of requirements.txt, transitive ones too, by hash, for both architectures; and the same for the image,
# without what only training, other embedding models and datasets need.
# PyTorch's CUDA half stays out: the app runs on CPUs, and `pip install --no-deps` does not ask for it.
CUDA := cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
  nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
  nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 \
  nvidia-nvtx triton
NOT_IN_IMAGE := pyarrow scikit-learn scipy sentence-transformers torch transformers
LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-emit-index-url --no-header $(addprefix --no-emit-package ,$(CUDA))
lock: $(VENV)/bin/python | $(BUILD)
	$(PIP) install --quiet uv==$(UV)
	printf '%s\n' $(NOT_IN_IMAGE) > $(BUILD)/left-out
	$(LOCK) requirements.txt --output-file requirements-full.lock
	$(LOCK) --excludes $(BUILD)/left-out --constraints requirements-full.lock requirements.txt \
	  --output-file requirements.lock

# --- image.yml: ARCHIVE is an OCI archive of one architecture; docker where a daemon answers, else podman

bill: $(VENV)/.development | $(BUILD)
	test -x $(BUILD)/cyclonedx/bin/cyclonedx-py || { $(VENV)/bin/python -m venv $(BUILD)/cyclonedx && \
	  $(BUILD)/cyclonedx/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom==$(CYCLONEDX); }
	$(BUILD)/cyclonedx/bin/cyclonedx-py environment --output-format JSON --output-file $(BUILD)/environment.json \
	  $(VENV)/bin/python
	$(PY) $(SCRIPTS)/sbom.py $(BUILD)/environment.json $(BUILD)/sbom.json --model .data/models/*.gguf \
	  --embedding $$($(PY) $(SCRIPTS)/embedding_file.py)

image-load:
	$(GATE) $(SCRIPTS)/image_engine.py load $(ARCHIVE) $(LOADED)

image-smoke: image-load
	$(GATE) $(SCRIPTS)/image_smoke.py $(LOADED)

image-secrets: image-load secretlint
	$(GATE) $(SCRIPTS)/image_files.py --secretlint $(SECRETLINT) --weights weights $(LOADED)

image-bill: image-secrets
	SYFT_CHECK_FOR_APP_UPDATE=false $(SYFT) scan --output cyclonedx-json=sbom-raw.json oci-archive:$(ARCHIVE)
	$(GATE) $(SCRIPTS)/sbom.py sbom-raw.json sbom-$(ARCH).json --requirements requirements.lock \
	  --model weights/*.gguf --embedding weights/*.safetensors

image-scan:
	$(GRYPE) oci-archive:$(ARCHIVE) --output json --file grype-$(ARCH).json
	$(GATE) $(SCRIPTS)/vuln_gate.py grype-$(ARCH).json

# All of it and more on one machine, with docker or with buildah, podman, runc, skopeo and docker-registry. BUILD_OPTIONS
# go to every build (BUILD_OPTIONS="--build-arg=BASE=..."), ARM64 to that of the emulated architecture, which is left
# out without it (ARM64="--build-context=llama=...").
image-check: $(VENV)/.development secretlint | $(BUILD)
	$(PY) $(SCRIPTS)/image_check.py --syft $(VENV)/bin/syft --secretlint $(SECRETLINT) --keep $(BUILD)/image \
	  $(addprefix --build-option=,$(BUILD_OPTIONS)) $(addprefix --arm64=,$(ARM64))

image-pull:
	skopeo copy --quiet --override-arch $(ARCH) --override-os linux docker://$(IMAGE):sha-$$COMMIT oci-archive:$(ARCHIVE)

# Only the tag of the commit; versions and `latest` are given by a release.
image-push:
	for arch in amd64 arm64; do \
	  skopeo copy --all --digestfile digest-$$arch oci-archive:image-$$arch.tar docker://$(IMAGE):sha-$$COMMIT-$$arch \
	  || exit 1; done
	docker buildx imagetools create --tag $(IMAGE):sha-$$COMMIT \
	  $(IMAGE)@$$(cat digest-amd64) $(IMAGE)@$$(cat digest-arm64)
	echo "digest=$$(skopeo inspect --format '{{.Digest}}' docker://$(IMAGE):sha-$$COMMIT)" >> "$$GITHUB_OUTPUT"

# --- release.yml: TAG, COMMIT and QUAY (quay.io/name/repository) come from the environment

release-check:
	python3 $(SCRIPTS)/tags.py check "$$TAG"
	git merge-base --is-ancestor "$$COMMIT" origin/main
	gh api "repos/$$GITHUB_REPOSITORY/commits/$$COMMIT/check-runs?per_page=100" > check-runs.json
	python3 $(SCRIPTS)/main_green.py check-runs.json

release-image:
	python3 $(SCRIPTS)/registry.py promote $(IMAGE):sha-$$COMMIT $$QUAY "$${TAG#v}"

# By a person: make roll-back QUAY=quay.io/NAME/REPOSITORY VERSION=1.2.3
roll-back:
	python3 $(SCRIPTS)/registry.py roll-back "$$QUAY" "$$VERSION"

release-sign:
	cosign sign --yes --recursive "$$QUAY@$$DIGEST"
	cosign attest --yes --type cyclonedx --predicate sbom-amd64.json "$$QUAY@$$DIGEST"

release-notes:
	python3 $(SCRIPTS)/tags.py notes "$${TAG#v}" > notes.md
	python3 $(SCRIPTS)/main_green.py --prerelease "$$TAG" > flags
	gh release create "$$TAG" --verify-tag --title "$$TAG" --notes-file notes.md $$(cat flags) sbom-*.json demo.webp

# --- publish.yml: HF_TOKEN, SPACE, DATASET and MODELS (user/name on the Hub) come from the environment

# What would be sent, each compared with what the Hub has; nothing leaves.
publish-preview: $(VENV)/.full $(VENV)/.weights | $(BUILD)
	$(PY) $(SCRIPTS)/publish_space.py --repo "$${SPACE:-example/space}" --folder $(BUILD)/space > $(BUILD)/preview.md
	$(PY) -m rag publish --repo "$${DATASET:-example/pages}" --judged $(JUDGED) --folder $(BUILD)/dataset \
	  >> $(BUILD)/preview.md
	$(PY) -m model publish --variant smollm2-135m-q4_1 --repo "$${MODELS:-example}/smollm2-135m-q4_1-GGUF" \
	  --folder $(BUILD)/model >> $(BUILD)/preview.md
	@cat $(BUILD)/preview.md

publish-space: $(VENV)/.runtime | $(BUILD)
	$(PY) $(SCRIPTS)/publish_space.py --repo "$$SPACE" --folder $(BUILD)/space $${DIGEST:+--image $(IMAGE)@$$DIGEST} --send

publish-dataset: $(VENV)/.full | $(BUILD)
	$(PY) -m rag publish --repo "$$DATASET" --judged $(JUDGED) --folder $(BUILD)/dataset --send

# VARIANT is a name of model/publishing/variants.toml, MODELS the user or organisation.
publish-model: $(VENV)/.runtime | $(BUILD)
	$(PY) -m model publish --variant "$$VARIANT" --repo "$$MODELS/$$VARIANT-GGUF" --folder $(BUILD)/model --send

# Whether the lock is what the catalogue and the embedded file say.
models-check: $(VENV)/.weights
	$(PY) -m model lock smollm2-135m
	git diff --exit-code model/catalogue/models.lock

preview-comment:
	gh pr comment "$$NUMBER" --edit-last --create-if-none --body-file preview.md

# --- nightly.yml

nightly-model: $(VENV)/.runtime
	$(VENV)/bin/python -m model fetch granite-4.0-micro

nightly-bench: nightly-model $(VENV)/.development | $(BUILD)
	$(PY) -m tests.benchmarks engine --model $(GRANITE) --visitors 2 --turns 2 --tokens 16 --json > $(BUILD)/granite.json
	$(PY) $(SCRIPTS)/eval_gate.py granite $(BUILD)/granite.json

# Every fourth question: a fair mixture, and a night is long enough for it.
nightly-answers: nightly-model $(VENV)/.development | $(BUILD)
	rm -f $(BUILD)/answers.jsonl
	awk 'NR % 4 == 1' $(JUDGED) > $(BUILD)/questions.jsonl
	$(PY) -m tests.evals answers --model $(GRANITE) --questions $(BUILD)/questions.jsonl --answers $(BUILD)/answers.jsonl \
	  --json > $(BUILD)/answers.json
	$(PY) $(SCRIPTS)/eval_gate.py answers $(BUILD)/answers.json

nightly-harden: hardening harden

# Upstream's head and the commit that the pages cite, as archives: a checkout would run upstream's filters and hooks.
nightly-upstream: $(VENV)/.runtime | $(BUILD)
	rm -rf $(BUILD)/upstream && git init --quiet --bare $(BUILD)/upstream
	set -e; for commit in HEAD $$($(PY) -c 'from rag.reading.links import UPSTREAM_COMMIT; print(UPSTREAM_COMMIT)'); do \
	  git -C $(BUILD)/upstream fetch --quiet --depth 1 $(UPSTREAM) $$commit; \
	  git -C $(BUILD)/upstream archive --output ../upstream-$$commit.tar FETCH_HEAD; \
	  test $$commit = HEAD || mv $(BUILD)/upstream-$$commit.tar $(BUILD)/upstream-cited.tar; done
	$(PY) -m rag build --upstream $(BUILD)/upstream-HEAD.tar --out $(BUILD)/upstream-index
	code=0; $(PY) -m rag check --upstream $(BUILD)/upstream-HEAD.tar --since $(BUILD)/upstream-cited.tar \
	  > $(BUILD)/upstream.txt || code=$$?; cat $(BUILD)/upstream.txt; \
	  python3 $(SCRIPTS)/nightly_report.py upstream $(BUILD)/upstream.txt $$code

nightly-report:
	python3 $(SCRIPTS)/nightly_report.py

# The few packages that the gates import, for jobs that do not need the app.
gate-tools:
	python3 -m pip --disable-pip-version-check install --quiet --require-hashes -r .github/scripts/requirements.txt
