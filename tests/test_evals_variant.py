"""A variant's figures stand beside its base's, over the questions that both answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.engine.events import TextDelta
from model.prompting.conversation import Conversation
from rag.errors import RowsUnreadable
from tests.evals import variant
from tests.evals.answers import SAYS_NOTHING, Overheard, measure, written
from tests.rag_fakes import WordHashEncoder
from tests.test_evals_answers import ANSWER

READ = ["RHEL 8 > Status\nRHEL 8 is refused by the deployment script. Upgrade the host to RHEL 9 first."]
GOOD, BAD = "RHEL 8 is refused by the deployment script.", "RHEL 8 runs on port 9999 of every mainframe in Hamburg."


def answers(path: Path, generated: str, questions: int = 6) -> Path:
    given = [{**ANSWER, "question": f"q{n}?", "written": generated, "read": READ} for n in range(questions)]
    path.write_text("".join(json.dumps(one) + "\n" for one in given))
    return path


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(variant, "Embedder", WordHashEncoder)
    path = tmp_path / "questions.jsonl"
    rows = [
        {"question": f"q{n}?", "kind": "single", "answer_facts": ["the deployment script refuses RHEL 8"]}
        for n in range(8)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_figures_of_both_stand_with_their_difference_and_interval(
    tmp_path: Path, questions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, better = answers(tmp_path / "base.jsonl", BAD), answers(tmp_path / "variant.jsonl", GOOD, 7)
    given = ["--base", str(base), "--variant", str(better), "--questions", str(questions)]
    assert variant.main([*given, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["questions"] == 6
    assert (figures["facts_in_written_text_base"], figures["facts_in_written_text_variant"]) == (0, 1)
    assert figures["facts_in_written_text_low"] == figures["facts_in_written_text_high"] == 1
    assert figures["unsupported_of_written_difference"] == -1
    assert set(figures["words"]) == set(variant.MEASURES)
    assert variant.main([*given, "--read", "1"]) == 0
    printed = capsys.readouterr().out
    assert "+1.000 (+1.000 to +1.000)" in printed
    assert f"base: {BAD}\n\nvariant: {GOOD}" in printed


def test_answers_to_other_questions_are_refused(tmp_path: Path, questions: Path) -> None:
    one, none = answers(tmp_path / "base.jsonl", GOOD), answers(tmp_path / "none.jsonl", GOOD, 0)
    with pytest.raises(RowsUnreadable, match="both files must answer"):
        variant.main(["--base", str(one), "--variant", str(none), "--questions", str(questions)])


def test_what_a_model_wrote_is_judged_before_any_gate() -> None:
    assert written(f"{GOOD} {BAD}", READ, "Is RHEL 8 fine?") == {"sentences": 2, "unsupported": 1}
    assert written("", READ, "?") == written(GOOD, [], "?") == {"sentences": 0, "unsupported": 0}
    assert set(variant.MEASURES) <= set(measure([]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("The documentation does not say which mtu eth1 has.", True),
        ("It doesn't mention a GPU.", True),
        ("The documentation I have does not answer this.", True),
        ("RHEL 8 is not supported.", False),
        ("The script says that RHEL 8 is refused.", False),
    ],
)
def test_saying_that_nothing_is_said_is_told_from_denying(text: str, says: bool) -> None:
    assert bool(SAYS_NOTHING.search(text)) == says


def test_what_a_model_writes_is_heard_whatever_a_gate_keeps_back() -> None:
    class Engine:
        info = "an engine's own attribute"

        def submit(self, text: str) -> list[TextDelta]:
            return [TextDelta(text), TextDelta(" More.")]

    class Parts:
        def engine_for(self, conversation: Conversation) -> Engine | None:
            return Engine() if conversation.id else None

    heard: list[str] = []
    parts = Overheard(Parts(), heard)
    engine = parts.engine_for(Conversation("c"))
    assert engine
    assert engine.info == Engine.info
    list(engine.submit("A translation."))
    assert [event.text for event in engine.submit("An answer.")] == ["An answer.", " More."]
    assert "".join(heard) == "An answer. More."
    assert parts.engine_for(Conversation("")) is None
