"""New commits have subjects that fit a line; older ones are not looked at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from commit_subjects import main

FITS = "Rename look_again to rerank in rag.search" + " and elsewhere" * 2 + "..x"


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--message", message)
    return git(folder, "rev-parse", "--short", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "An old subject that is longer than anybody would read on one line of a terminal of eighty")
    git(tmp_path, "update-ref", "refs/remotes/origin/main", "HEAD")
    return tmp_path


def test_new_subjects_of_72_characters_pass(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(FITS) == 72
    commit(checkout, FITS)
    commit(
        checkout, "Short\n\nWith a body, whose lines may be as long as it takes to say why the change was made at all."
    )
    assert main(["origin/main", str(checkout)]) == 0
    assert capsys.readouterr().out == "2 commits, 0 findings\n"


def test_each_fault_of_a_new_subject_is_named_with_its_commit(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long, stopped, joined = commit(checkout, FITS + "y"), commit(checkout, "Mend it."), commit(checkout, "One\ntwo")
    assert main(["origin/main", str(checkout)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{joined}: the subject is followed by no empty line",
        f"{stopped}: the subject ends with a full stop",
        f"{long}: the subject has 73 characters, more than 72",
        "3 commits, 3 findings",
    ]
    assert main([joined, str(checkout)]) == 0  # from the last push on, nothing is new


def test_a_merge_is_passed_over(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(checkout, "switch", "--quiet", "--create", "side")
    commit(checkout, "One")
    git(checkout, "switch", "--quiet", "main")
    commit(checkout, "Two")
    git(
        checkout, "merge", "--quiet", "--no-ff", "side", "--message", "Merge the side branch with a subject " + "x" * 60
    )
    assert main(["origin/main", str(checkout)]) == 0
    assert capsys.readouterr().out == "2 commits, 0 findings\n"


def test_a_start_that_git_does_not_know_is_said(checkout: Path) -> None:
    with pytest.raises(ValueError, match="fetch it, or name another start"):
        main(["1" * 40, str(checkout)])


def test_a_new_branch_has_its_newest_commit_looked_at(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zeros = "0" * 40  # what GitHub gives as the commit before a first push
    commit(checkout, "Fits")
    assert main([zeros, str(checkout)]) == 0
    commit(checkout, FITS + "y")
    assert main([zeros, str(checkout)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 commits, 1 findings"
