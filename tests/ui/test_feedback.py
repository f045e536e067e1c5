"""Rows from what a browser sends about an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from model.prompting.conversation import Conversation
from model.turn.events import RouteChosen
from onboarding.assistant.turns import Turn, advance_all
from onboarding.feedback.row import visitor_of
from onboarding.ui.kit.languages import LANGUAGES, Translator
from onboarding.ui.page.feedback import Submission, consent_in, form, row_of
from tests.fakes import ScriptedGuide

KEY = "0123456789abcdef0123456789abcdef"
ASKED = "Is RHEL 8 supported?"


@pytest.fixture
def turn() -> Turn:
    events = list(ScriptedGuide().ask(ASKED, Conversation.new()))
    return advance_all(Turn("t1", ASKED, Conversation.new()), events)


def test_a_row_says_what_the_server_knows_and_not_what_the_browser_claims(turn: Turn) -> None:
    said = Submission.model_validate(
        {"kind": "down", "turn": "t1", "reason": "wrong", "question": "forged", "answer": "x"}
    )
    row = row_of(said, [turn], KEY)
    assert row and (row.question, row.answer, row.reason) == (ASKED, turn.text, "wrong")
    assert row.visitor == visitor_of(KEY) != KEY


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "down", "turn": "another"},
        {"kind": "source", "turn": "t1", "number": 0},
        {"kind": "source", "turn": "t1", "number": 99},
        {"kind": "wish", "comment": "  "},
    ],
)
def test_what_is_about_nothing_on_the_page_becomes_no_row(turn: Turn, said: dict[str, object]) -> None:
    assert row_of(Submission.model_validate(said), [turn], KEY) is None


def test_an_answer_that_is_still_being_written_cannot_be_judged() -> None:
    running = advance_all(Turn("t1", ASKED, Conversation.new()), [RouteChosen("rhel10", "RHEL 10", 0.9)])
    assert row_of(Submission(kind="up", turn="t1"), [running], KEY) is None


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        {"kind": "delete"},
        {"kind": "down", "reason": "because"},
        {"kind": "down", "comment": "x" * 2001},
        {"kind": "down", "turn": ["t1"]},
    ],
)
def test_what_no_dialog_sends_is_refused(said: object) -> None:
    with pytest.raises(ValidationError):
        Submission.model_validate(said)


@pytest.mark.parametrize(
    "kept", [None, {}, {"key": ""}, {"key": "x" * 32}, {"key": KEY + "0"}, [KEY], {"key": 1}, "yes"]
)
def test_only_a_key_of_ours_is_a_yes(kept: object) -> None:
    assert consent_in(kept) is None
    assert consent_in({"key": KEY})


def test_an_answer_without_sources_can_be_judged_too(turn: Turn) -> None:
    bare = replace(turn, found=None, finished=None, stopped=True)
    row = row_of(Submission(kind="down", turn="t1"), [bare], KEY)
    assert row and row.sources == () and row.model == "" and row.took.first_token_s is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_dialog_is_whole_in_every_language(language: str) -> None:
    html = form(Translator(language))
    assert html.count('type="radio"') == 5 and html.count("data-about=") == 4
    assert "{" not in html and "<script" not in html
