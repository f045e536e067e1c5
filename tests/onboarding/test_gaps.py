"""The weekly report: what was asked and not answered, without pointing at anybody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.engine.events import Counts, Timings
from model.turn.chat import TurnRecord
from onboarding.feedback.candidates import candidates
from onboarding.feedback.row import FeedbackRow
from onboarding.feedback.store import FOLDER, Store
from onboarding.usage.gaps import as_json, as_markdown, few, gaps
from onboarding.usage.ledger_writer import LedgerWriter, ledger_in
from onboarding.usage.recorder import DAY_S, Usage
from onboarding.usage.report import main
from rag.types import State

NOON = 20_000 * DAY_S + 12 * 3600.0


def searched(route: str, state: State | None, language: str = "en") -> TurnRecord:
    return TurnRecord(route, "", "stop", Counts(0, 0, 0), Timings(0, None, 0), (), (), False, 0,
                      language=language, state=state)  # fmt: skip


def row(number: int, question: str, **fields: object) -> FeedbackRow:
    given = {"at": NOON + number, "visitor": f"v{number}", "kind": "thumb", "verdict": "down", "state": "near"}
    return FeedbackRow.model_validate({"question": question, **given, **fields})


@pytest.fixture
def told(tmp_path: Path) -> dict[str, object]:
    """Two weeks on the disk, as the command reads them."""
    ledger = ledger_in(tmp_path)
    for week, turns in enumerate(
        (
            [searched("deploy", "near")] * 4 + [searched("deploy", "answered", "de")],
            [searched("deploy", "not here")] * 5 + [searched("deploy", "near", "de")] * 2 + [searched("rhel10", "answered")] * 7
            + [searched("plugins", None)] * 9 + [searched("canary", "near", "tlh")] * 3,
        )
    ):  # fmt: skip
        usage = Usage(["deploy", "rhel10", "plugins"], [], {})
        for turn in turns:
            usage.turn(turn)
        assert LedgerWriter(usage.registry, ledger, lambda week=week: NOON + (week - 1) * 7 * DAY_S).write()  # type: ignore[misc]
    rows = [row(at, "Where are the keys?", agreed="publish") for at in range(3)] + [row(9, "My own secret plan?")]
    return as_json(gaps(ledger.rows(), NOON, 7), candidates(rows), NOON, 7)


def test_topics_and_languages_stand_beside_the_week_before_and_most_lacking_comes_first(
    told: dict[str, object],
) -> None:
    nothing = {"asked": 0, "near": 0, "not_here": 0}
    assert told["topics"] == [
        {"name": "deploy", "asked": 7, "near": "few", "not_here": 5, "before": {"asked": 5, "near": 4, "not_here": 0}},
        {"name": "other", "asked": 3, "near": 3, "not_here": 0, "before": nothing},
        {"name": "rhel10", "asked": 7, "near": 0, "not_here": 0, "before": nothing},
    ]
    languages = told["languages"]
    assert isinstance(languages, list)
    assert [one["name"] for one in languages] == ["en", "other", "de"]
    assert languages[2]["asked"] == languages[2]["before"]["asked"] == "few"


def test_only_words_that_may_be_published_are_quoted(told: dict[str, object]) -> None:
    text = as_markdown(told)
    assert "- Where are the keys? (asked by 3)" in text and "secret plan" not in text
    assert "| deploy | 7 | few | 5 | 5 | 4 | 0 |" in text and "plugins" not in text
    assert told["to_review"] == "few"


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, "few"), (2, "few"), (3, 3)])
def test_a_count_that_may_point_at_somebody_is_not_told(count: int, shown: int | str) -> None:
    assert few(count) == shown


def test_the_command_tells_it_in_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store(tmp_path / FOLDER).append(row(1, "Where are the keys?", agreed="publish"))
    assert main(["--data", str(tmp_path), "--gaps", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["words"] == [{"question": "Where are the keys?", "asked_by": "few"}] and told["topics"] == []
    assert main(["--data", str(tmp_path), "--gaps"]) == 0
    assert "Nothing was searched for." in capsys.readouterr().out
