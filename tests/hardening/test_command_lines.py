"""Every command line with every kind of bad path ends with a sentence; what runs is read from the parsers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rag.command_line import FAILED, INTERRUPTED, ended
from tests.hardening.command_lines import FEW, ROOT, Run, entries

KNOWN = {f"{name}/__main__.py" for name in ("rag", "model", "tools", "onboarding", "tests/evals")}
ENTRIES = entries()


@pytest.mark.timeout(600)  # two hundred forks of one process, on a busy machine
def test_no_command_line_ends_in_a_traceback() -> None:
    command = [sys.executable, "-m", "tests.hardening.command_lines", FEW]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["entry"] for row in rows} == set(ENTRIES), done.stderr
    wrong = [f"{row['what']} {row['arguments']}: {row['fault']}\n{row['said'][-600:]}" for row in rows if row["fault"]]
    assert not wrong, "\n\n".join(wrong[:5])
    assert done.returncode == 0, done.stderr


def test_the_entries_are_found_where_they_lie() -> None:
    assert set(ENTRIES) > KNOWN
    assert sum(entry.startswith(".github/scripts/") for entry in ENTRIES) >= 5


def test_a_traceback_a_signal_and_a_silent_end_are_faults() -> None:
    def fault(code: int | None, said: str) -> str:
        return Run("entry", [], "", code, said).fault

    assert fault(1, "Traceback (most recent call last):\n...") == "a traceback"
    assert fault(-6, "terminate called") == "signal 6"
    assert fault(2, " \n") == "ends in silence"
    assert fault(2, "x" * 5000) == "says too much"
    assert [fault(0, ""), fault(None, ""), fault(2, "it cannot be read")] == ["", "", ""]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (FileNotFoundError(2, "No such file or directory", "/x"), FAILED, "cannot be read or written"),
        (KeyError("gold"), FAILED, "this failed (KeyError in test_command_lines.py:"),
        (ValueError("one\ntwo"), FAILED, "one two"),
        (BrokenPipeError(), FAILED, ""),
        (KeyboardInterrupt(), INTERRUPTED, ""),
    ],
)
def test_whatever_is_raised_is_one_line(
    error: BaseException, code: int, says: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_arguments: object) -> None:
        raise error

    monkeypatch.setattr("rag.command_line._drop", lambda _descriptor: None)
    assert ended(fail, []) == code
    said = capfd.readouterr().err
    assert says in said
    assert len(said.splitlines()) == bool(says)


def test_what_is_meant_for_the_reader_passes_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    def refuse(_arguments: object) -> None:
        raise LookupError("give --source")

    assert ended(refuse, [], (LookupError,), failed=1) == 1
    assert capfd.readouterr().err == "give --source\n"
    assert [ended(len, []), ended(len, ["a", "b", "c"]), ended(sorted, [])] == [0, 3, 0]
