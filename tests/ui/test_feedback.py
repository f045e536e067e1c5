"""Rows from what a browser sends about an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from model.prompting.conversation import Conversation
from model.turn.events import RouteChosen
from onboarding.assistant.turns import Turn, advance_all
from onboarding.feedback.candidates import candidates
from onboarding.feedback.row import visitor_of
from onboarding.ui.chat.saved_conversations import SavedConversation, SavedTurn, saved_turn
from onboarding.ui.chat.session import Session
from onboarding.ui.kit.languages import LANGUAGES, Translator
from onboarding.ui.page.feedback import Submission, consent_in, form, row_of
from onboarding.usage.recorder import usage_of_project
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


def test_an_answer_that_a_browser_brought_back_is_marked_and_never_becomes_a_case(turn: Turn) -> None:
    forged = SavedTurn(id="t1", question=ASKED, answer="The server never said this.", label="RHEL 10")
    session = Session()
    session.open(SavedConversation(id="c", turns=(forged,)))
    said = Submission(kind="down", turn="t1", reason="wrong")
    row = row_of(said, session.turns, KEY)
    assert row and row.from_browser
    assert candidates([row]) == []
    own = row_of(said, [turn], KEY)
    assert own and not own.from_browser and len(candidates([own])) == 1
    usage = usage_of_project()
    thumbs = {"kind": "thumb", "reason": "wrong"}
    usage.feedback(row)
    assert usage.registry.get_sample_value("qubinode_feedback_rows_total", thumbs) is None
    usage.feedback(own)
    assert usage.registry.get_sample_value("qubinode_feedback_rows_total", thumbs) == 1


def test_a_turn_of_the_page_stays_its_own_when_another_tab_adds_one(turn: Turn) -> None:
    session = Session(Conversation("c"), [turn])
    added = SavedTurn(id="t2", question="x", answer="y", label="z")
    session.load(SavedConversation(id="c", turns=(saved_turn(turn), added)))
    assert [one.from_browser for one in session.turns] == [False, True]
