"""What stands between a tag and a release, and what a container must show before it is pushed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import main_green
import nightly_report
import pytest
from nightly_report import MOST_CHARACTERS, TITLE, UPSTREAM_TITLE, report, report_upstream
from packaging.requirements import Requirement
from sbom import pinned

ROOT = Path(__file__).parents[2]
GREEN = ("linters and types", "tests, Python 3.11, ubuntu-24.04", "tests in a browser", "image / push what was checked")


def checks(**others: str | None) -> dict[str, Any]:
    runs: list[dict[str, Any]] = [{"name": name, "status": "completed", "conclusion": "success"} for name in GREEN]
    runs += [{"name": name, "status": "in_progress", "conclusion": state} for name, state in others.items()]
    return {"total_count": len(runs), "check_runs": runs}


def test_main_is_green_when_everything_ended_well() -> None:
    assert main_green.problems(checks(chart="skipped", advice="neutral")) == []


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (checks(soak="failure"), "soak is failure"),
        (checks(soak=None), "soak is in_progress"),
        (checks(soak="cancelled"), "soak is cancelled"),
        ({"total_count": 0, "check_runs": []}, "no run of 'linters and types' succeeded"),
        ({**checks(), "total_count": 130}, "only 4 of 130 runs were read"),
        ({}, "no run of 'tests in a browser' succeeded"),
    ],
)
def test_main_is_not_green_otherwise(tree: dict[str, Any], said: str) -> None:
    assert said in main_green.problems(tree)


def test_the_releases_own_running_check_does_not_hold_it_up() -> None:
    tree = checks()
    tree["check_runs"].append(
        {"name": "tag, version, changelog and main agree", "status": "in_progress", "conclusion": None}
    )
    assert main_green.problems({**tree, "total_count": 5}) == []


def test_the_required_runs_are_names_of_jobs() -> None:
    text = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert [name for name in main_green.REQUIRED if f"name: {name}" not in text] == []


def test_the_answer_is_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "checks.json"
    path.write_text(json.dumps(checks()))
    assert main_green.main([str(path)]) == 0
    path.write_text(json.dumps(checks(soak="failure")))
    assert main_green.main([str(path)]) == 1
    assert main_green.main([str(tmp_path / "none")]) == 2
    capsys.readouterr()
    assert main_green.main(["--prerelease", "v1.0.0-rc.1"]) == 0
    assert capsys.readouterr().out == "--prerelease\n"
    assert main_green.main(["--prerelease", "one"]) == 2


class Issues:
    """GitHub's client as far as the report uses it."""

    def __init__(self, number: str = "") -> None:
        self.number, self.calls = number, list[list[str]]()

    def __call__(self, arguments: Sequence[str]) -> str:
        self.calls.append(list(arguments))
        return self.number if arguments[1] == "list" else ""


@pytest.mark.parametrize(
    ("result", "number", "done", "call"),
    [
        ("success", "", "all well", "list"),
        ("success", "7\n", "closed 7", "close"),
        ("failure", "7\n", "commented on 7", "comment"),
        ("failure", "", "opened", "create"),
        ("cancelled", "", "opened", "create"),
        ("skipped", "7\n", "commented on 7", "comment"),
    ],
)
def test_a_failing_night_has_one_issue(result: str, number: str, done: str, call: str) -> None:
    issues = Issues(number)
    assert (
        report({"answers": {"result": "success"}, "soak": {"result": result}}, "https://example.org/run", issues)
        == done
    )
    assert issues.calls[-1][:2] == ["issue", call]
    assert "Granite" in TITLE


def test_the_issue_names_the_jobs_that_fell_and_the_run() -> None:
    issues = Issues()
    report({"answers": {"result": "success"}, "soak": {"result": "failure"}}, "https://example.org/run", issues)
    body = issues.calls[-1][-1]
    assert "https://example.org/run" in body
    assert "- soak: failure" in body
    assert "answers" not in body


@pytest.mark.parametrize(
    ("checked", "code", "number", "done", "call"),
    [
        ("0 cited files changed", 0, "", "all well", "list"),
        ("0 cited files changed", 0, "7\n", "closed 7", "close"),
        ("a.md:3  path  b.sh  (no such file)", 1, "", "opened", "create"),
        ("a.md:3  path  b.sh  (no such file)", 1, "7\n", "rewrote 7", "edit"),
        ("  a.md:3  moved  b.sh  (now c/b.sh)", 0, "", "opened", "create"),
        ("  a.md:3  vanished  b.sh\n" * 9999, 0, "7\n", "rewrote 7", "edit"),
    ],
)
def test_what_upstream_changed_has_one_issue_that_is_rewritten(
    checked: str, code: int, number: str, done: str, call: str
) -> None:
    issues = Issues(number)
    assert report_upstream(checked, code, "https://example.org/run", issues) == done
    assert issues.calls[-1][:2] == ["issue", call]
    assert UPSTREAM_TITLE in issues.calls[0][5]
    if call in {"create", "edit"}:
        assert issues.calls[-1][-1].startswith(f"https://example.org/run\n\n````text\n{checked[:99]}")
        assert len(issues.calls[-1][-1]) < MOST_CHARACTERS + 200


def test_a_check_that_did_not_run_is_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checked").write_text("")
    assert nightly_report.main(["upstream", str(tmp_path / "checked"), "2"]) == 1
    assert "the check ended with 2" in capsys.readouterr().err


def test_the_gates_packages_are_pinned_by_hash_as_the_development_packages_are() -> None:
    text = (ROOT / ".github" / "scripts" / "requirements.txt").read_text()
    pins = pinned(text)
    ours = pinned((ROOT / "requirements.lock").read_text()) | pinned((ROOT / "requirements-dev.txt").read_text())
    assert {Requirement(name).name: version for name, version in pins.items()} == {name: ours[name] for name in pins}
    assert text.count("--hash=sha256:") >= len(pins)


def not_in_image() -> set[str]:
    listed = re.search(r"^NOT_IN_IMAGE := (.*)$", (ROOT / ".github" / "ci.mk").read_text(), re.MULTILINE)
    assert listed
    return set(listed[1].split())


@pytest.mark.parametrize(
    ("name", "left_out"), [("requirements", not_in_image()), ("requirements-full", set())], ids=["image", "full"]
)
def test_the_lock_has_every_pin_at_its_version_and_every_package_by_hash(name: str, left_out: set[str]) -> None:
    lock = (ROOT / f"{name}.lock").read_text()
    locked = pinned(lock)
    pins = {name: pin for name, pin in pinned((ROOT / "requirements.txt").read_text()).items() if name not in left_out}
    assert len(pins) > 30
    assert {name: version for name, version in pins.items() if locked.get(name) != version} == {}
    entries = [entry for entry in lock.replace("\\\n", " ").splitlines() if "==" in entry]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not [entry for entry in entries if entry.startswith(("nvidia", "cuda", "triton"))]


def test_the_images_lock_is_the_larger_one_without_what_embeddings_need() -> None:
    small, large = (pinned((ROOT / f"requirements{kind}.lock").read_text()) for kind in ("", "-full"))
    assert {name: large.get(name) for name in small} == small
    left_out = large.keys() - small.keys()
    assert not_in_image() == {"pyarrow", "scikit-learn", "scipy", "sentence-transformers", "torch", "transformers"}
    assert left_out >= {*not_in_image(), "sympy", "joblib"}
    assert not small.keys() & {"torch", "transformers", "scipy"}


def test_the_image_compiles_the_llama_cpp_that_is_pinned() -> None:
    pinned = re.search(r"^llama-cpp-python==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    dockerfile = (ROOT / "Dockerfile").read_text()
    built = re.search(r"^ARG LLAMA_CPP_PYTHON=(\S+)$", dockerfile, re.MULTILINE)
    digest = re.search(r"^ARG LLAMA_CPP_SHA256=([0-9a-f]{64})$", dockerfile, re.MULTILINE)
    assert pinned
    assert built
    assert digest
    assert built[1] == pinned[1]
    lock = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    assert re.search(rf"^llama-cpp-python=={re.escape(built[1])} .*sha256:{digest[1]}", lock, re.MULTILINE)


def test_the_images_base_is_named_by_its_digest() -> None:
    base = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base
    assert re.fullmatch(r"docker\.io/library/python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", base[1])
