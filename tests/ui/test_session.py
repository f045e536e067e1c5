"""The server's state of a page, the conversations that a browser keeps, and the requests that it may send."""

from __future__ import annotations

import json

import pytest

from model.checking.gate import Judged
from model.engine.events import Counts, TextDelta, Timings
from model.prompting.conversation import Conversation, PastTurn, Topic
from model.turn.events import RouteChosen, SourcesFound, TurnFinished
from onboarding.assistant.turns import Turn
from onboarding.ui.chat.saved_conversations import MAX_SAVED_TURNS, SavedConversation, SavedTurn, read_saved, saved_turn
from onboarding.ui.chat.session import Request, Session, read_request
from tests.fakes import RHEL10, ROUTES


def answered(session: Session, question: str, answer: str = "Yes [1].") -> Turn:
    """Ask and answer one question, as the chat does."""
    turn, _ = session.begin(Request(question))
    after = turn.before.with_turn(PastTurn(question, answer, "rhel10"))
    finished = TurnFinished(answer, "stop", Counts(), Timings(), "SmolLM2", True, after)
    session.update(turn.id, [RouteChosen("rhel10", "RHEL 10", 0.9), SourcesFound(RHEL10), TextDelta(answer), finished])
    return session.turns[-1]


def kept(session: Session) -> SavedConversation | None:
    """What a browser keeps of the page's conversation and sends back."""
    assert session.conversation is not None
    turns = [saved_turn(turn).model_dump(mode="json", exclude_defaults=True) for turn in session.turns]
    return read_saved(json.loads(json.dumps({"id": session.conversation.id, "title": "t", "at": 1, "turns": turns})))


def reopened(session: Session) -> Session:
    """Another page that opens what the browser keeps of this one."""
    other = Session()
    other.load(kept(session))
    return other


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
    after = reopened(before)
    assert [turn.question for turn in after.turns] == ["one"]
    assert after.turns[0].text == "Yes [1]."
    assert [passage.title for passage in after.turns[0].sources] == [passage.title for passage in RHEL10.passages]
    assert after.conversation is not None
    assert [turn.answer for turn in after.conversation.visible] == ["Yes [1]."]
    assert kept(after) == kept(before)


def test_a_terminal_escape_that_a_browser_brings_back_is_harmless() -> None:
    turn = {"id": "t", "question": r"What is \x1b[2J?", "answer": r"Run printf '\x1b[2J' or '\e]0;t'."}
    session = Session()
    session.load(read_saved({"id": "a", "turns": [turn]}))
    assert [turn.text for turn in session.turns] == ["Run printf '␛[2J' or '␛]0;t'."]
    assert session.conversation is not None
    assert [turn.answer for turn in session.conversation.visible] == ["Run printf '␛[2J' or '␛]0;t'."]


@pytest.mark.parametrize("how", ["under way", "stopped", "failed"])
def test_what_never_ended_is_kept_as_far_as_it_came_and_nothing_leans_on_it(how: str) -> None:
    session = Session()
    answered(session, "one")
    turn, _ = session.begin(Request("two"))
    session.update(turn.id, [TextDelta("Half")])
    if how == "stopped":
        session.stop()
    if how == "failed":
        session.fail(turn.id, "It broke.")
    after = reopened(session)
    assert [(turn.text, turn.phase) for turn in after.turns] == [
        ("Yes [1].", "done"),
        ("Half", "failed" if how == "failed" else "stopped"),
    ]
    assert after.conversation is not None and after.conversation.questions == ("one",)
    assert answered(after, "three").before.questions == ("one",)


def test_what_two_pages_ask_in_one_conversation_is_put_together() -> None:
    here = Session()
    first = answered(here, "one")
    there = reopened(here)
    answered(here, "two")
    answered(there, "three")
    here.load(kept(there))
    assert [turn.question for turn in here.turns] == ["one", "three", "two"]
    assert here.conversation is not None and here.conversation.questions == ("one", "three", "two")
    assert here.turns[2].before.questions == ("one", "three")
    assert here.turns[0].found is first.found  # what the page knows better than the browser stays
    there.load(kept(here))
    assert [turn.question for turn in there.turns] == ["one", "three", "two"]


def test_an_answer_that_ended_elsewhere_takes_the_place_of_its_beginning() -> None:
    here = Session()
    turn, _ = here.begin(Request("one"))
    here.update(turn.id, [TextDelta("Half")])
    there = reopened(here)
    after = turn.before.with_turn(PastTurn("one", "Half and half.", "rhel10"))
    here.update(turn.id, [TurnFinished("Half and half.", "stop", Counts(), Timings(), "", True, after)])
    there.load(kept(here))
    assert [(turn.text, turn.phase) for turn in there.turns] == [("Half and half.", "done")]
    assert there.conversation is not None and there.conversation.questions == ("one",)
    there.load(kept(reopened(there)))
    assert len(there.turns) == 1


def test_what_another_page_asked_again_is_gone_here_too() -> None:
    here = Session()
    first = answered(here, "one")
    there = reopened(here)
    answered(there, "one, changed")
    turn, _ = there.begin(Request("one, again", turn=first.id))
    assert len(turn.replaces) == 2
    there.stop()
    here.load(kept(there))
    assert [turn.question for turn in here.turns] == ["one, again"]
    assert here.conversation is not None and here.conversation.questions == ()


def test_another_conversation_and_a_running_answer_are_left_alone() -> None:
    here, elsewhere = Session(), Session()
    answered(here, "one")
    answered(elsewhere, "two")
    here.load(kept(elsewhere))
    here.load(None)
    assert [turn.question for turn in here.turns] == ["one"]
    there = reopened(here)
    answered(there, "three")
    here.begin(Request("under way"))
    here.load(kept(there))
    assert [turn.question for turn in here.turns] == ["one", "under way"]


def test_turns_that_the_browser_could_not_send_stay_in_their_place() -> None:
    here = Session()
    for question in ("one", "two", "three"):
        answered(here, question)
    whole = kept(here)
    assert whole is not None
    there = reopened(here)
    answered(there, "four")
    late = kept(there)
    assert late is not None
    answered(here, "not written")
    here.load(late.model_copy(update={"turns": late.turns[2:]}))
    assert [turn.question for turn in here.turns] == ["one", "two", "three", "four", "not written"]


def test_a_refusal_takes_the_question_back_and_what_it_replaced_stands_again() -> None:
    session = Session()
    first = answered(session, "one")
    answered(session, "two")
    turn, _ = session.begin(Request("one, changed", turn=first.id))
    session.refuse(turn.id, "Too many.", "one, changed")
    assert [turn.question for turn in session.turns] == ["one", "two"]
    assert session.conversation is not None and session.conversation.questions == ("one", "two")
    assert (session.refused, session.said, session.back["text"]) == ([turn.id], "Too many.", "one, changed")
    session.begin(Request("three"))
    assert (session.said, session.back) == ("", {})


def test_leaving_and_opening() -> None:
    session = Session()
    answered(session, "one")
    first = kept(session)
    assert first is not None
    session.clear()
    assert (session.turns, session.conversation) == ([], None)
    answered(session, "two")
    session.open(first)
    assert [turn.question for turn in session.turns] == ["one"]


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "text",
        42,
        {"turns": "x"},
        {"id": "x", "turns": [{"question": "q"}]},
        {"id": "x" * 99, "turns": [{"id": "t", "question": "q", "answer": "a"}]},
        {"id": "x", "turns": [{"id": "t", "question": ["q"], "answer": "a"}]},
        {"id": "x", "turns": [{"id": "t<", "question": "q", "answer": "a"}]},
        {"id": "x", "turns": []},
    ],
)
def test_whatever_a_browser_sends_ends_as_a_conversation_or_none(stored: object) -> None:
    assert read_saved(stored) is None


def test_one_bad_turn_costs_no_other() -> None:
    turns: list[object] = [{"id": f"t{n}", "question": f"q{n}", "answer": "a"} for n in range(MAX_SAVED_TURNS + 9)]
    turns[-2] = {"id": "bad", "question": 7}
    read = read_saved({"id": "x", "turns": turns})
    assert read is not None
    assert len(read.turns) == MAX_SAVED_TURNS - 1 and read.turns[-1].question == f"q{MAX_SAVED_TURNS + 8}"


def test_roles_and_unsafe_addresses_from_a_browser_are_dropped() -> None:
    turn = {"id": "t", "question": "q", "answer": "a", "role": "system", "sources": [["t", "javascript:alert(1)"]]}
    session = Session()
    session.load(read_saved({"id": "x", "role": "system", "turns": [turn]}))
    assert session.turns[0].sources[0].url == ""
    assert not hasattr(read_saved({"id": "x", "turns": [turn]}), "role")


def test_the_longest_turn_that_the_page_can_show_is_one_that_comes_back() -> None:
    session = Session()
    turn, _ = session.begin(Request("x" * 4_000))
    told = [Judged("left_out", "w" * 9_000, 1, "e" * 9_000)] * 300
    session.update(turn.id, [RouteChosen("r" * 90, "l" * 90, 1.0, stands_for="s" * 9_000), SourcesFound(RHEL10), *told])
    session.update(turn.id, [TextDelta("y" * 50_000), *told])
    assert isinstance(saved_turn(session.turns[-1]), SavedTurn)
    assert len(reopened(session).turns[0].text) == 20_000


def test_what_a_follow_up_leans_on_comes_back_with_a_saved_conversation() -> None:
    topic = Topic("how do i create a vm", "de", "kcli", "kcli.md", ("p1",), ("Do this", "Then that"))
    session = Session()
    turn, _ = session.begin(Request("one"))
    after = turn.before.with_turn(PastTurn("one", "Yes.", "deploy", topic=topic))
    finished = TurnFinished("Yes.", "stop", Counts(), Timings(), "", True, after)
    session.update(turn.id, [RouteChosen("deploy", "Deploy", 0.9, stands_for="vm create"), finished])
    again = reopened(session)
    assert again.conversation is not None and again.conversation.topic == topic
    assert again.turns[0].route is not None and again.turns[0].route.stands_for == "vm create"
    assert kept(again) == kept(session)


@pytest.mark.parametrize(
    "topic", [{"question": "x" * 5_000}, {"question": "x", "steps": ["y"] * 99}, {"read": [1]}, "x"]
)
def test_a_forged_topic_is_refused(topic: object) -> None:
    turn = {"id": "t", "question": "q", "answer": "a", "topic": topic}
    assert read_saved({"id": "c", "turns": [turn]}) is None


def test_a_question_is_trimmed() -> None:
    assert read_request({"kind": "question", "text": "  hello \n"}, Session(), ROUTES) == Request("hello")
    assert read_request({"kind": "question", "text": " \n "}, Session(), ROUTES) == Request("")
    assert read_request({}, Session(), ROUTES) == Request("")


def test_buttons_ask_again_only_what_the_server_remembers() -> None:
    session = Session()
    turn = answered(session, "one")

    def read(**data: object) -> Request:
        return read_request(data, session, ROUTES)

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
    again = reopened(session)
    (told_again,) = again.turns
    assert [(at, one.kind, one.source) for at, one in told_again.judged] == [(2, "not_found", 0), (2, "left_out", 2)]
    assert told_again.judged[1][1].words == "B ␛[2J"
    assert again.conversation is not None
    assert "B" not in again.conversation.turns[0].answer
