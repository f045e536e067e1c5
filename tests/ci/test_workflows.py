"""The workflows keep the rules, each planted fault is caught by a gate, and the rehearsal knows what would run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflows import faults, main, makefile, pins, read, targets

from tests.ci.rehearsal import EVENTS, Step, evaluate, plan, play, triggers

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"

# name -> (file, what stands there, what is put in its place)
FAULTS: dict[str, tuple[str, str, str]] = {
    "a commit with two digits exchanged": ("workflows/image.yml", "login-action@dbcb", "login-action@dcbb"),
    "an invented commit": ("workflows/ci.yml", f"{CHECKOUT} # v7.0.1", f"actions/checkout@{'a' * 40} # v7.0.1"),
    "a version that is not the commit's": ("workflows/ci.yml", f"{CHECKOUT} # v7.0.1", f"{CHECKOUT} # v7.0.0"),
    "an action at a tag": ("workflows/ci.yml", f"{CHECKOUT} # v7.0.1", "actions/checkout@v7.0.1"),
    "an action nobody looked up": ("workflows/bench.yml", f"uses: {CHECKOUT} # v7.0.1", f"uses: benchmark-action/github-action-benchmark@{'d' * 40} # v1.20.4"),
    "no permissions at the top and in a job": ("workflows/release.yml", "permissions: {}", "permissions: write-all"),
    "an expression in a command": ("workflows/ci.yml", "run: make evals", "run: make evals NAME=${{ github.head_ref }}"),
    "a failure made true": ("workflows/ci.yml", "run: make lint types", "run: make lint types || true"),
    "a failure made true in a recipe": ("ci.mk", "--fail-on high --only-fixed", "--fail-on high --only-fixed || true"),
    "a recipe whose failure is ignored": ("ci.mk", "\t$(TESTS) tests/browser", "\t-$(TESTS) tests/browser"),
    "continue-on-error": ("workflows/security.yml", "run: make audit", "run: make audit\n        continue-on-error: true"),
    "no time limit": ("workflows/nightly.yml", "    timeout-minutes: 180\n", ""),
    "a runner that changes by itself": ("workflows/ci.yml", "runs-on: ubuntu-24.04\n", "runs-on: ubuntu-latest\n"),
    "a token left in the checkout": ("workflows/ci.yml", "          persist-credentials: false\n", "          fetch-depth: 1\n"),
    "a stranger's change with our rights": ("workflows/ci.yml", "  pull_request:\n", "  pull_request_target:\n"),
    "all secrets handed on": ("workflows/ci.yml", "    with:\n      publish: true", "    secrets: inherit\n    with:\n      publish: true"),
    "a secret outside an environment": ("workflows/ci.yml", "run: make evals", "run: make evals\n        env:\n          TOKEN: ${{ secrets.HF_TOKEN }}"),
    "logic in a workflow": ("workflows/ci.yml", "run: make hardening", "run: pytest tests/hardening"),
    "a target that does not exist": ("workflows/ci.yml", "run: make hardening", "run: make hardning"),
    "a job that is not named after its target": ("workflows/ci.yml", "  evals:\n", "  measures:\n"),
    "an unknown job in needs": ("workflows/release.yml", "needs: [check, scan]", "needs: [check, skan]"),
    "an unknown output": ("workflows/image.yml", "steps.push.outputs.digest", "steps.posh.outputs.digest"),
    "an input that the action does not have": ("workflows/image.yml", "          platforms: ", "          platform: "),
    "a right that does not exist": ("workflows/release.yml", "attestations: read", "attestation: read"),
    "an event that does not exist": ("workflows/bench.yml", "  pull_request:\n", "  pull_requests:\n"),
}  # fmt: skip


def gates(root: Path) -> list[str]:
    """What `make workflows` would say of a folder; [] when all is well."""
    found = list(faults(root))
    for command in (
        ["jactionlint", "--strict-exit", "--shellcheck="],
        ["zizmor", "--offline", "--quiet", "--min-severity", "low", "--config", ".github/zizmor.yml", ".github"],
    ):
        done = subprocess.run([BIN / command[0], *command[1:]], cwd=root, capture_output=True, text=True, check=False)
        found += [f"{command[0]}: {done.stdout}{done.stderr}"] if done.returncode else []
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / ".github", tmp_path / ".github", ignore=shutil.ignore_patterns("scripts", "*.png", "*.webp"))
    for name in ("Makefile", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def test_the_workflows_break_no_rule(copy: Path) -> None:
    assert gates(copy) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(copy: Path, fault: str) -> None:
    name, old, new = FAULTS[fault]
    file = copy / ".github" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    assert gates(copy) != []


def test_a_file_that_is_no_workflow_is_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT)]) == 0
    assert "0 findings" in capsys.readouterr().out
    with pytest.raises(OSError, match="Makefile"):
        main([str(tmp_path)])


def test_every_pin_is_used_and_says_where_it_was_seen() -> None:
    text = "".join(path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml"))
    used = {"/".join(name.split("/")[:2]) for name in re.findall(r"uses: ([\w.-]+/[\w./-]+)@", text)}
    assert pins(ROOT).keys() == used
    assert all(re.fullmatch(r"[0-9a-f]{40}", commit) for _, commit in pins(ROOT).values())


def steps(root: Path, workflow: str, job: str) -> list[str]:
    """The targets and actions of a job, in order."""
    found = read(root)[workflow]["jobs"][job]["steps"]
    return [
        word for step in found for word in targets(step.get("run", "")) or [str(step.get("uses", "")).partition("@")[0]]
    ]


def before(order: list[str], *words: str) -> bool:
    places = [order.index(word) if word in order else -1 for word in words]
    return -1 not in places and places == sorted(places)


def events(root: Path, event: str) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in plan(root, EVENTS[event]):
        found.setdefault(step.job, []).append(step)
    return found


def one_job_builds_tests_bills_scans_pushes_and_attests(root: Path) -> None:
    order = steps(root, "image", "build")
    assert before(order, "docker/build-push-action", "image-load", "image-smoke", "image-size", "image-bill", "image-scan",
                  "image-push", "actions/attest")  # fmt: skip
    assert order.count("actions/attest") == 2  # provenance and bill
    build = read(root)["image"]["jobs"]["build"]
    assert {row["arch"] for row in build["strategy"]["matrix"]["include"]} == {"amd64", "arm64"}
    given = next(step["with"] for step in build["steps"] if "build-push-action" in step.get("uses", ""))
    assert given["provenance"] is False  # else the archive is an index, which scanners do not read
    assert not {"push", "load"} & given.keys()
    assert "permissions" not in build  # the caller's
    recipes = makefile(root)
    assert "docker-archive:$(FLAT)" in recipes.partition("SCANNED ?=")[2].splitlines()[0]
    assert "docker-daemon:" not in recipes  # skopeo's version of that API is older than the daemon's


def tags_move_after_signature_and_proof_by_the_digest_that_was_read_once(root: Path) -> None:
    assert before(steps(root, "image", "merge"), "image-merge", "image-sign", "image-verify")
    assert before(steps(root, "release", "check"), "release-check", "release-digest", "image-verify")
    assert before(
        steps(root, "release", "promote"), "quay-login", "release-copy", "image-sign", "image-verify", "release-tags"
    )
    release = read(root)["release"]["jobs"]
    assert set(release["promote"]["needs"]) == {"check", "scan"}
    assert release["promote"]["env"]["DIGEST"] == "${{ needs.check.outputs.digest }}"
    assert "${{ needs.check.outputs.digest }}" in release["scan"]["steps"][-1]["env"]["SCANNED"]
    assert [job for job in release for word in steps(root, "release", job) if word == "release-digest"] == ["check"]
    assert not [job for job in release for word in steps(root, "release", job) if word.startswith("actions/attest")]
    assert before(steps(root, "publish", "send"), "image-verify", "publish-setup", "publish-space")
    assert "gh run list --commit" in makefile(root)
    assert "--workflow ci.yml" in makefile(root)


def nothing_is_stored_for_quay_and_the_hub(root: Path) -> None:
    text = "".join(path.read_text() for path in (root / ".github/workflows").glob("*.yml"))
    assert "secrets." not in text
    send = [step for job in ("send", "model") for step in read(root)["publish"]["jobs"][job]["steps"] if "env" in step]
    assert sum("HF_OIDC_RESOURCE" in step["env"] for step in send) == 3
    assert read(root)["release"]["jobs"]["promote"]["permissions"]["id-token"] == "write"
    assert "--image $$QUAY@$$DIGEST" in makefile(root)


def no_job_that_checks_compiles_the_app(root: Path) -> None:
    for target in ("workflows", "image-lint", "bandit", "audit", "lint", "zizmor"):
        needs = re.search(rf"^{target}:(.*)$", makefile(root), re.MULTILINE)
        assert needs
        assert needs[1].partition("|")[0].split() == ["$(VENV)/.linters"]


def what_is_installed_and_renewed_is_the_lock(root: Path) -> None:
    recipe = makefile(root).partition("$(VENV)/.runtime: requirements.lock")[2].partition("\n\n")[0]
    assert "--no-deps --require-hashes -r requirements.lock" in recipe
    recipe = makefile(root).partition("$(VENV)/.full: requirements.txt requirements-full.lock")[2].partition("\n\n")[0]
    assert "requirements-full.lock > $(VENV)/full.lock" in recipe
    assert "--no-deps --require-hashes -r $(VENV)/full.lock" in recipe
    updates = yaml.safe_load((root / ".github/dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in updates} == {
        "github-actions",
        "docker",
    }  # it renews no lock of Python's
    assert all(one["cooldown"]["default-days"] >= 7 for one in updates)
    assert {"update", "update-request"} <= {step.what for step in plan(root, EVENTS["dispatch"])}
    froms = re.findall(r"^FROM (\S+)(?: AS \S+)?$", (root / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", froms[0])
    assert set(froms[1:]) == {"base"}


def a_first_push_needs_no_commit_before_it(root: Path) -> None:
    jobs = events(root, "first push")
    assert "bench/bench" not in jobs
    assert jobs["ci/subjects"][-1].env["SINCE"] == "0" * 40  # which subjects knows
    assert "image-push" in [step.what for step in jobs["ci/publish/image/build"]]
    assert jobs["ci/publish/image/build"][0].rights == {"packages", "id-token", "attestations"}
    assert "bench/bench" in events(root, "push")


CHECKS = {check.__name__: check for check in (
    one_job_builds_tests_bills_scans_pushes_and_attests, tags_move_after_signature_and_proof_by_the_digest_that_was_read_once,
    nothing_is_stored_for_quay_and_the_hub, no_job_that_checks_compiles_the_app, what_is_installed_and_renewed_is_the_lock,
    a_first_push_needs_no_commit_before_it,
)}  # fmt: skip
# the same for what no general gate can know: name -> (file, what stands there, what is put in its place, who sees it)
KINDS: dict[str, tuple[str, str, str, str]] = {
    "an archive with an index in it": (".github/workflows/image.yml", "provenance: false", "provenance: mode=max", "one_job"),
    "a push ahead of the scan": (".github/workflows/image.yml", "run: make image-smoke", "run: make image-push", "one_job"),
    "one architecture only": (".github/workflows/image.yml", "          - { arch: arm64, platform: linux/arm64, runner: ubuntu-24.04-arm }\n", "", "one_job"),
    "a bill that nobody attests": (".github/workflows/image.yml", "actions/attest@", "actions/cache@", "one_job"),
    "an image of any size": (".github/workflows/image.yml", "      - run: make image-size\n", "", "one_job"),
    "a daemon spoken to by skopeo": (".github/ci.mk", "docker-archive:$(FLAT):$(LOADED)", "docker-daemon:$(LOADED)", "one_job"),
    "tags that move before the proof": (".github/workflows/release.yml", "run: make release-copy", "run: make release-tags", "tags_move"),
    "a digest that is read twice": (".github/workflows/release.yml", "run: make release-copy", "run: make release-digest release-copy", "tags_move"),
    "a Space ahead of the proof": (".github/workflows/publish.yml", "run: make image-verify", "run: make models-check", "tags_move"),
    "a release that nobody scanned": (".github/workflows/release.yml", "needs: [check, scan]", "needs: check", "tags_move"),
    "a stored token": (".github/workflows/publish.yml", "HF_OIDC_RESOURCE: spaces/${{ vars.HF_SPACE }}", "HF_TOKEN: ${{ secrets.HF_TOKEN }}", "nothing_is"),
    "a Space from a private registry": (".github/ci.mk", "--image $$QUAY@", "--image $(IMAGE)@", "nothing_is"),
    "a linter that waits for a compiler": (".github/ci.mk", "workflows: $(VENV)/.linters", "workflows: $(VENV)/.development", "no_job"),
    "training's packages from outside the lock": ("Makefile", "--no-deps --require-hashes -r $(VENV)/full.lock", "-r requirements.txt", "what_is"),
    "packages from outside the lock": ("Makefile", "--no-deps --require-hashes -r requirements.lock", "-r requirements.txt", "what_is"),
    "a base that Dependabot cannot read": ("Dockerfile", "FROM docker.io/library/python", "FROM ${REGISTRY}/library/python", "what_is"),
    "a comparison with no commit": (".github/workflows/bench.yml", "    if: ${{ !github.event.created }}\n", "", "a_first"),
}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_the_chain_is_as_it_must_be(check: str) -> None:
    CHECKS[check](ROOT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_planted_in_the_chain_is_seen(copy: Path, kind: str) -> None:
    name, old, new, seen_by = KINDS[kind]
    file = copy / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    (check,) = (check for name, check in CHECKS.items() if name.startswith(seen_by))
    with pytest.raises(AssertionError):
        check(copy)


def test_a_forks_pull_request_runs_every_check_and_may_write_nothing_but_alerts() -> None:
    jobs = events(ROOT, "pull request")
    assert {"ci/coverage", "ci/image/image/build", "security/audit", "bench/bench", "publish/preview"} <= jobs.keys()
    assert not {"publish/comment", "publish/send", "ci/publish/image/build", "security/scorecard"} & jobs.keys()
    assert {right for some in jobs.values() for step in some for right in step.rights} <= {"security-events"}
    assert not {"image-push", "image-sign"} & {step.what for some in jobs.values() for step in some}


def test_a_tag_releases_and_a_night_measures() -> None:
    jobs = events(ROOT, "tag")
    assert list(jobs) == ["release/check", "release/demo", "release/scan", "release/promote", "release/github"]
    assert {name.partition("/")[2] for name in events(ROOT, "night")} == {
        "bench",
        "answers",
        "harden",
        "upstream",
        "report",
    }


def test_the_rehearsal_runs_what_can_run_and_says_why_the_rest_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes = {"well": 'echo "docker://a pip-audit gh"', "asks": "cd . && gh pr list", "needs": "a=$$(skopeo list)",
               "bad": "echo $$WHY && exit 3", "lost": "$(error it is lost)"}  # fmt: skip
    (tmp_path / "Makefile").write_text("".join(f"{name}:\n\t{recipe}\n" for name, recipe in recipes.items()))
    steps = [Step("ci/job", name, {"WHY": "because"}, frozenset()) for name in [*recipes, "well", "an/action@v1"]]
    env = {"PATH": "/usr/bin:/bin"}
    assert not play(steps, tmp_path, env, [])
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in said if "ci/job" in line] == [
        ["well", "ci/job:"], ["not", "played"], *([["not", "played"]] if not shutil.which("skopeo") else [["FAILED", "ci/job:"]]),
        ["FAILED", "ci/job:"], ["not", "played"],
    ]  # fmt: skip
    assert "because" in said
    assert "asks GitHub" in said[1]
    assert play(steps, tmp_path, env, ["well"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.event_name == 'push'", True),
        ("${{ !github.event.created }}", True),
        ("github.event_name != 'push' || inputs.publish", ""),
        ("github.event_name == 'push' && 'yes' || 'no'", "yes"),
        ("format('a{0}', github.ref)", "arefs/heads/main"),
        ("always() && inputs.variant != ''", False),
    ],
)
def test_expressions_mean_what_they_mean_to_github(text: str, value: object) -> None:
    context: Mapping[str, Any] = {"github": {"event_name": "push", "ref": "refs/heads/main", "event": {}}, "inputs": {}}
    assert evaluate(text, context) == value


@pytest.mark.parametrize("text", ["hashFiles('x')", "a > b", "github['ref']"])
def test_an_expression_that_the_rehearsal_does_not_know_is_refused(text: str) -> None:
    with pytest.raises((ValueError, NameError)):
        evaluate(text, {})


def test_the_push_of_a_tag_starts_nothing_else() -> None:
    assert [name for name, tree in read(ROOT).items() if "tags" in (triggers(tree).get("push") or {})] == ["release"]
