"""The workflows keep the project's rules, and each fault planted in them is found."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from workflow_files import Project, Workflow, WorkflowUnreadable, read_project
from workflow_policy import check, main

ROOT = Path(__file__).parents[2]
CHECKOUT = re.compile(r"actions/checkout@[0-9a-f]{40} # v\S+")

# name -> (file, what stands there, what is put in its place, the rule that must find it)
FAULTS: dict[str, tuple[str, str | re.Pattern[str], str, str]] = {
    "an action without its version": ("ci.yml", CHECKOUT, "actions/checkout@" + "a" * 40, "unpinned"),
    "an action at master": ("image.yml", CHECKOUT, "actions/checkout@master", "unpinned"),
    "an action at a tag": ("ci.yml", CHECKOUT, "actions/checkout@v7.0.1 # v7.0.1", "unpinned"),
    "no top-level permissions": ("ci.yml", "permissions: {}\n", "", "permissions"),
    "a job that names no permissions": ("security.yml", "    permissions:\n      contents: read\n    steps", "    steps", "permissions"),
    "all rights at the top": ("release.yml", "permissions: {}", "permissions: write-all", "permissions"),
    "an expression in a command": ("ci.yml", "run: make evals", "run: make evals NAME=${{ github.head_ref }}", "injection"),
    "one architecture only": ("image.yml", re.compile(r" +- \{ arch: arm64, platform.*\n"), "", "architecture"),
    "a push without a scan before it": ("image.yml", "needs: check", "needs: build", "scan-first"),
    "a build that pushes at once": ("image.yml", "push: false", "push: true", "scan-first"),
    "a scan without a verdict": ("Makefile", "\t$(GATE) $(SCRIPTS)/vuln_gate.py grype-$(ARCH).json\n", "", "verdict"),
    "a failure made true": ("ci.yml", "run: make lint types", "run: make lint types || true", "swallowed"),
    "a failure made true in a recipe": ("Makefile", "\t$(TESTS) tests/browser\n", "\t$(TESTS) tests/browser || true\n", "swallowed"),
    "a recipe whose failure is ignored": ("Makefile", "\t$(VENV)/bin/ruff check .", "\t-$(VENV)/bin/ruff check .", "swallowed"),
    "continue-on-error at a step": ("security.yml", "- run: make audit", "- run: make audit\n        continue-on-error: true", "swallowed"),
    "continue-on-error at a job": ("ci.yml", "    timeout-minutes: 60\n", "    timeout-minutes: 60\n    continue-on-error: true\n", "swallowed"),
    "a secret in a job of a pull request": ("ci.yml", "- run: make evals", "- run: make evals\n        env:\n          TOKEN: ${{ secrets.HF_TOKEN }}", "secret"),
    "a secret outside an environment": ("release.yml", "    environment: quay\n", "", "secret"),
    "a secret beside a scanner": ("release.yml", "- run: make image-pull", "- run: make image-pull\n        env:\n          TOKEN: ${{ secrets.QUAY_TOKEN }}", "secret"),
    "all secrets handed on": ("ci.yml", "    with:\n      publish:", "    secrets: inherit\n    with:\n      publish:", "secret"),
    "latest written by hand": ("Makefile", "docker://$(IMAGE):sha-$$COMMIT-$$arch", "docker://$(IMAGE):latest", "latest"),
    "latest for whatever is built": ("image.yml", "          push: false", "          push: false\n          tags: example/app:latest", "latest"),
    "a tag nobody compares with the version": ("Makefile", "\tpython3 $(SCRIPTS)/tags.py check \"$$TAG\"\n", "", "version"),
    "a stranger's change with our rights": ("ci.yml", "  pull_request:\n", "  pull_request_target:\n", "trigger"),
    "no time limit": ("nightly.yml", "    timeout-minutes: 180\n", "", "timeout"),
    "a runner that changes by itself": ("ci.yml", "runs-on: ubuntu-24.04\n", "runs-on: ubuntu-latest\n", "runner"),
    "a token left in the checkout": ("ci.yml", "          persist-credentials: false\n", "          fetch-depth: 1\n", "credentials"),
    "logic in a workflow": ("ci.yml", "run: make hardening", "run: pytest tests/onboarding/test_allowlist.py", "logic"),
    "a target that does not exist": ("ci.yml", "run: make hardening", "run: make hardning", "logic"),
}  # fmt: skip


@pytest.fixture(scope="module")
def project() -> Project:
    return read_project(ROOT)


def swap(text: str, old: str | re.Pattern[str], new: str) -> str:
    changed = text.replace(old, new, 1) if isinstance(old, str) else old.sub(lambda _: new, text, count=1)
    assert changed != text
    return changed


def with_fault(project: Project, file: str, old: str | re.Pattern[str], new: str) -> Project:
    if file == "Makefile":
        return replace(project, makefile=swap(project.makefile, old, new))
    workflows = [Workflow(w.name, swap(w.text, old, new)) if w.name == file else w for w in project.workflows]
    return replace(project, workflows=tuple(workflows))


def test_the_workflows_break_no_rule(project: Project) -> None:
    assert [str(finding) for finding in check(project)] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_by_its_rule(project: Project, fault: str) -> None:
    file, old, new, rule = FAULTS[fault]
    assert rule in {finding.rule for finding in check(with_fault(project, file, old, new))}


def test_a_release_that_skips_its_scan_is_found(project: Project) -> None:
    scan = next(w for w in project.workflows if w.name == "release.yml").jobs["quay"]
    assert scan.needs == ("check", "scan")
    cut = with_fault(project, "release.yml", "needs: [check, scan]", "needs: [check]")
    assert {finding.rule for finding in check(cut)} == {"scan-first"}


def test_a_target_that_is_called_stands_for_its_recipe_and_what_it_needs(project: Project) -> None:
    assert "ruff check" in project.recipes["lint"]
    assert "requirements-dev.txt" in project.recipes["lint"]
    assert "grype oci-archive" in project.recipes["image-scan"]


def test_every_expected_workflow_is_there(project: Project) -> None:
    names = {workflow.name.removesuffix(".yml") for workflow in project.workflows}
    assert names == {"ci", "security", "bench", "image", "release", "publish", "nightly"}


def test_dependencies_are_renewed_after_a_cool_down() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"pip", "github-actions", "docker", "npm"}
    assert all(one["cooldown"]["default-days"] >= 7 for one in updates)


def test_the_command_answers_with_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT)]) == 0
    assert main([str(tmp_path)]) == 2
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "bad.yml").write_text("on: push\njobs:\n  one:\n    runs-on: ubuntu-24.04\n    steps: []\n")
    assert main([str(tmp_path)]) == 1
    assert "bad.yml, job one: set timeout-minutes [timeout]" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["on: push\n", "jobs: [", "- a\n"])
def test_a_file_that_is_no_workflow_is_refused(text: str) -> None:
    with pytest.raises(WorkflowUnreadable, match=r"x\.yml"):
        check(Project((Workflow("x.yml", text),), ""))
