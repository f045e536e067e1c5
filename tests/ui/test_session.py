"""The server's state of a page, the conversations that a browser keeps, and the requests that it may send."""

from __future__ import annotations

import json

import pytest

from model.checking.gate import Judged
from model.engine.events import Counts, TextDelta, Timings
from model.prompting.conversation import Conversation, PastTurn, Topic
from model.turn.events import RouteChosen, SourcesFound, TurnFinished
from onboarding.assistant.turns import Turn
from onboarding.ui.chat.saved_conversations import (
    MAX_BYTES,
    MAX_CONVERSATIONS,
    ConversationList,
    SavedConversation,
    SavedTurn,
    read_saved,
)
from onboarding.ui.chat.session import Request, Session, read_request
from tests.fakes import RHEL10, ROUTES


def answered(session: Session, question: str, answer: str = "Yes [1].") -> Turn:
    """Ask and answer one question, as the chat does."""
    turn, _ = session.begin(Request(question))
    after = turn.before.with_turn(PastTurn(question, answer, "rhel10"))
    finished = TurnFinished(answer, "stop", Counts(), Timings(), "SmolLM2", True, after)
    session.update(turn.id, [RouteChosen("rhel10", "RHEL 10", 0.9), SourcesFound(RHEL10), TextDelta(answer), finished])
    session.save()
    return session.turns[-1]


def item(number: int, answer: str = "a") -> SavedConversation:
    turn = SavedTurn(question=f"q{number}", answer=answer)
    return SavedConversation(id=f"c{number}", title=f"t{number}", turns=(turn,))


def test_a_turn_sees_the_turns_before_it() -> None:
    session = Session()
    answered(session, "one")
    turn, _ = session.begin(Request("two"))
    assert turn.before.questions == ("one",)


def test_asking_again_forgets_that_turn_and_those_after_it() -> None:
    session = Session()
    first = answered(session, "one")
    answered(session, "two")
    turn, _ = session.begin(Request("one, changed", turn=first.id))
    assert [shown.question for shown in session.turns] == ["one, changed"]
    assert turn.before.questions == ()


def test_a_stopped_turn_takes_no_further_events_and_leaves_the_conversation() -> None:
    session = Session()
    turn, wake = session.begin(Request("one"))
    assert session.update(turn.id, [TextDelta("Half")])
    session.stop()
    assert wake.is_set()
    assert not session.update(turn.id, [TextDelta(" more")])
    assert session.turns[-1].text == "Half"
    assert session.conversation is not None
    assert session.conversation.questions == ()


def test_an_old_turn_cannot_touch_its_successor() -> None:
    session = Session()
    old, _ = session.begin(Request("one"))
    session.stop()
    new, _ = session.begin(Request("two"))
    session.stop(old.id)
    assert session.live is not None
    assert session.live.id == new.id
    assert not session.update(old.id, [TextDelta("x")])


def test_a_reload_finds_the_open_conversation_and_the_model_may_go_on() -> None:
    before = Session()
    answered(before, "one")
    stored = json.loads(json.dumps(before.saved.model_dump(mode="json")))
    after = Session()
    after.load(stored)
    assert [turn.question for turn in after.turns] == ["one"]
    assert after.turns[0].text == "Yes [1]."
    assert [passage.title for passage in after.turns[0].sources] == [passage.title for passage in RHEL10.passages]
    assert after.conversation is not None
    assert [turn.answer for turn in after.conversation.visible] == ["Yes [1]."]


def test_a_terminal_escape_that_a_browser_brings_back_is_harmless() -> None:
    turn = SavedTurn(question=r"What is \x1b[2J?", answer=r"Run printf '\x1b[2J' or '\e]0;t'.")
    saved = ConversationList(open_id="a", items=(SavedConversation(id="a", title="t", turns=(turn,)),))
    session = Session()
    session.load(json.loads(saved.model_dump_json()))
    assert [turn.text for turn in session.turns] == ["Run printf '␛[2J' or '␛]0;t'."]
    assert session.conversation is not None
    assert [turn.answer for turn in session.conversation.visible] == ["Run printf '␛[2J' or '␛]0;t'."]


def test_leaving_opening_renaming_and_forgetting() -> None:
    session = Session()
    answered(session, "one")
    assert session.conversation is not None
    first = session.conversation.id
    session.clear()
    answered(session, "two")
    assert [one.title for one in session.saved.items] == ["two", "one"]
    session.open(first)
    assert [turn.question for turn in session.turns] == ["one"]
    session.saved = session.saved.renamed(first, "  My\n first  ")
    answered(session, "three")
    assert session.saved.items[0].title == "My first"
    session.forget(first)
    assert session.turns == []
    assert [one.title for one in session.saved.items] == ["two"]


def test_stopped_turns_are_not_kept() -> None:
    session = Session()
    session.begin(Request("one"))
    session.stop()
    session.save()
    assert session.saved == ConversationList()


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "text",
        42,
        {"items": "x"},
        {"items": [{"id": "x"}]},
        {"items": [{"id": "x" * 99, "title": "t", "turns": [{"question": "q", "answer": "a"}]}]},
        {"items": [{"id": "x", "title": "t", "turns": [{"question": ["q"], "answer": "a"}]}]},
        {"items": [{"id": "x", "title": "t", "turns": []}]},
    ],
)
def test_whatever_a_browser_sends_ends_as_a_list(stored: object) -> None:
    assert read_saved(stored) == ConversationList()


def test_roles_and_unsafe_addresses_from_a_browser_are_dropped() -> None:
    turn = {"question": "q", "answer": "a", "role": "system", "sources": [["t", "javascript:alert(1)"]]}
    session = Session()
    session.load({"open_id": "x", "items": [{"id": "x", "title": "t", "turns": [turn]}]})
    assert session.turns[0].sources[0].url == ""
    assert not hasattr(read_saved({"items": []}), "role")


def test_what_a_follow_up_leans_on_comes_back_with_a_saved_conversation() -> None:
    topic = Topic("how do i create a vm", "de", "kcli", "kcli.md", ("p1",), ("Do this", "Then that"))
    session = Session()
    turn, _ = session.begin(Request("one"))
    after = turn.before.with_turn(PastTurn("one", "Yes.", "deploy", topic=topic))
    finished = TurnFinished("Yes.", "stop", Counts(), Timings(), "", True, after)
    session.update(turn.id, [RouteChosen("deploy", "Deploy", 0.9, stands_for="vm create"), finished])
    session.save()
    again = Session()
    again.load(session.saved.model_dump(mode="json"))
    assert again.conversation is not None and again.conversation.topic == topic
    assert again.turns[0].route is not None and again.turns[0].route.stands_for == "vm create"
    again.save()
    assert again.saved.items[0] == session.saved.items[0]


@pytest.mark.parametrize(
    "topic", [{"question": "x" * 5_000}, {"question": "x", "steps": ["y"] * 99}, {"read": [1]}, "x"]
)
def test_a_forged_topic_is_refused(topic: object) -> None:
    turn = {"question": "q", "answer": "a", "topic": topic}
    stored = {"open_id": "c", "items": [{"id": "c", "title": "t", "turns": [turn]}]}
    assert read_saved(stored) == ConversationList()


def test_the_oldest_conversations_give_way() -> None:
    saved = ConversationList()
    for number in range(MAX_CONVERSATIONS + 5):
        saved = saved.put(item(number))
    assert len(saved.items) == MAX_CONVERSATIONS
    assert saved.items[0].id == f"c{MAX_CONVERSATIONS + 4}"


def test_the_list_stays_small_enough_to_travel_with_each_question() -> None:
    saved = ConversationList()
    for number in range(10):
        saved = saved.put(item(number, "ü" * 4000))
    assert saved.size <= MAX_BYTES
    assert saved.items[0].id == "c9"
    turns = tuple(SavedTurn(question=f"q{n}", answer="x" * 5000) for n in range(9))
    long = ConversationList().put(SavedConversation(id="long", title="t", turns=turns))
    assert long.size <= MAX_BYTES
    assert long.items[0].turns[-1].question == "q8"


def test_a_question_from_the_composer_is_trimmed() -> None:
    assert read_request(None, "  hello \n", Session(), ROUTES) == Request("hello")
    assert read_request(None, " \n ", Session(), ROUTES) == Request("")


def test_buttons_ask_again_only_what_the_server_remembers() -> None:
    session = Session()
    turn = answered(session, "one")

    def read(**data: object) -> Request:
        return read_request(data, "typed", session, ROUTES)

    assert read(kind="question", text=" Hi ") == Request("Hi")
    assert read(kind="retry", turn=turn.id, text="forged") == Request("one", None, turn.id)
    assert read(kind="route", turn=turn.id, route="plugins") == Request("one", "plugins", turn.id)
    assert read(kind="edit", turn=turn.id, text="two") == Request("two", None, turn.id)
    for forged in (
        {"kind": "route", "turn": turn.id, "route": "no-such-route"},
        {"kind": "retry", "turn": "unknown"},
        {"kind": "system", "turn": turn.id},
        {"kind": "retry", "turn": ["x"]},
    ):
        assert read(**forged) == Request("")


def test_an_empty_session_can_be_copied_for_each_visitor() -> None:
    from copy import deepcopy

    first, second = deepcopy(Session()), deepcopy(Session())
    first.begin(Request("one"))
    second.begin(Request("two"))
    assert isinstance(first.conversation, Conversation)
    assert isinstance(second.conversation, Conversation)
    assert first.conversation.id != second.conversation.id


def test_what_was_marked_and_left_out_outlives_a_reload_and_is_told_in_place() -> None:
    session = Session()
    turn, _ = session.begin(Request("one"))
    told = [Judged("not_found", "A."), Judged("left_out", r"B \x1b[2J", 2, "C.")]
    after = turn.before.with_turn(PastTurn("one", "A. End.", "rhel10"))
    end = TurnFinished("A. End.", "stop", Counts(), Timings(), "SmolLM2", True, after)
    session.update(turn.id, [SourcesFound(RHEL10), TextDelta("A."), *told, TextDelta(" End."), end])
    session.save()
    again = Session()
    again.load(json.loads(session.saved.model_dump_json()))
    (kept,) = again.turns
    assert [(at, one.kind, one.source) for at, one in kept.judged] == [(2, "not_found", 0), (2, "left_out", 2)]
    assert kept.judged[1][1].words == "B ␛[2J"
    assert again.conversation is not None
    assert "B" not in again.conversation.turns[0].answer
