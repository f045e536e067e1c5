"""Who is let in when many come: counted with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gradio as gr
import pytest
import time_machine
from starlette.requests import Request

from model.engine.events import Counts, FinishReason, Prefill, Queued, Timings
from model.prompting.conversation import Conversation
from model.turn.events import TurnFinished
from onboarding.edge.admission import (
    AT_ONCE,
    FIRST_ANSWER_S,
    LANE,
    LANE_LIMIT,
    LAPSE_S,
    LET_IN_SHARE,
    LONGEST_WAIT_S,
    Admission,
    Place,
    Refused,
    carried,
)
from onboarding.edge.allowlist import CallRefused
from onboarding.edge.call_check import CallCheck
from onboarding.edge.client_address import Asker
from onboarding.edge.rate_limits import DRAWN_REFUSALS, RateLimits, Rates
from onboarding.ui.page.page import QUEUE_SIZE, THREADS, build_page
from tests.fakes import ScriptedGuide


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def anybody(number: int = 0) -> Asker:
    return Asker(f"visitor-{number}", f"192.0.2.{number % 250}")


def answered(reason: FinishReason = "stop", model: str = "a model") -> TurnFinished:
    return TurnFinished("It is.", reason, Counts(1, 1, 1), Timings(0.0, 0.1, 0.2), model, True, Conversation.new())


def under_way(admission: Admission, *events: object) -> Iterator[object]:
    """An answer whose first event, a prefill, was read; the rest is `events`, or a finished turn."""
    answer = admission.answer(anybody(), lambda: iter([Prefill(1, 2, 0.1), *(events or [answered()])]))
    next(answer)
    return answer


def that_takes(seconds: float, clock: Clock, together: int = 1) -> Admission:
    """An admission whose last answers, so many at once, ended after `seconds`."""
    admission = Admission(clock=clock)
    for _ in range(40 // together):
        answers = [under_way(admission) for _ in range(together)]
        clock.now += seconds
        for answer in answers:
            list(answer)
    return admission


def entered(admission: Admission, most: int = 500) -> list[Place]:
    """Everybody who is let in, one after the other at the same moment, of so many."""
    places = []
    with suppress(Refused):
        for number in range(most):
            places.append(admission.ask(anybody(number)))
    return places


def test_before_anything_was_measured_a_guess_stands_for_what_an_answer_takes() -> None:
    # All begin at once and share the machine: four end together every 4 x FIRST_ANSWER_S = 20 s.
    assert len(entered(Admission())) == AT_ONCE + 2 * AT_ONCE


@pytest.mark.parametrize(
    ("takes", "let_in"), [(0.1, 104), (1.0, 4 + 44), (2.0, 4 + 20), (4.0, 4 + 8), (12.0, 4), (90.0, 4)]
)
def test_how_many_are_let_in_follows_from_what_an_answer_takes(takes: float, let_in: int) -> None:
    assert len(entered(that_takes(takes, Clock()))) == let_in


def test_recent_answers_outweigh_those_of_long_ago() -> None:
    def let_in(*answers_s: float) -> int:
        clock = Clock()
        admission = Admission(clock=clock)
        for seconds in answers_s:
            answer = under_way(admission)
            clock.now += seconds
            list(answer)
        return len(entered(admission))

    assert let_in(1.0, 3.0) == let_in(2.0) == 4 + 20
    assert let_in(*[1.0] * 50, *[6.0] * 60) == let_in(6.0) == 4 + 4


def test_who_is_refused_is_told_the_wait() -> None:
    admission = that_takes(4.0, Clock())
    entered(admission)
    with pytest.raises(Refused, match="Every seat is taken; try again in about 48 s") as refused:
        admission.ask(anybody())
    assert (refused.value.scope, refused.value.wait_s) == ("full", 48.0)


def test_an_answer_is_charged_its_part_of_the_time_whether_alone_or_beside_others() -> None:
    assert len(entered(that_takes(8.0, Clock(), together=4))) == len(entered(that_takes(2.0, Clock())))


def test_nobody_who_only_waits_is_charged() -> None:
    clock = Clock()
    admission = that_takes(2.0, clock)
    places = entered(admission, most=8)
    clock.now += 4.0
    assert [place.had_s for place in places] == pytest.approx([0.0] * 8)  # not looked at in between
    assert admission.waiting.ahead == 4
    assert [place.had_s for place in places] == pytest.approx([1.0] * 4 + [0.0] * 4)


def test_the_wait_shrinks_while_those_before_one_are_answered() -> None:
    clock = Clock()
    admission = that_takes(4.0, clock)
    places = entered(admission, most=6)
    assert admission.waiting.wait_s == pytest.approx(4 * 4.0)
    clock.now += 10.0
    assert admission.waiting.wait_s == pytest.approx(6.0)
    for place in places[:3]:
        admission.release(place)
    assert admission.waiting.wait_s == 0.0


def test_a_place_is_told_the_wait_of_its_own_turn_whatever_the_engine_says() -> None:
    clock = Clock()
    admission = that_takes(4.0, clock)
    answers = [under_way(admission) for _ in range(5)]
    queued = admission.answer(anybody(), lambda: iter([Queued(1)]))
    assert next(queued) == Queued(1, eta_s=4 * 4.0)  # four share the machine; the first of them ends then
    assert len(answers) == 5


def test_small_talk_and_refusals_say_nothing_about_what_an_answer_takes() -> None:
    clock = Clock()
    admission = that_takes(4.0, clock)
    for _ in range(50):
        answer = admission.answer(anybody(), lambda: iter([answered(model="")]))
        next(answer)
        clock.now += 0.01
        list(answer)
    assert len(entered(admission)) == 4 + 8


@pytest.mark.parametrize("ending", [(answered("cancelled"),), (answered("error"),), ("text",)])
def test_answers_that_are_cut_short_do_not_talk_the_wait_down(ending: tuple[object, ...]) -> None:
    clock = Clock()
    admission = that_takes(10.0, clock)
    before = len(entered(admission, most=500))
    admission = that_takes(10.0, clock)
    for _ in range(12):  # each leaves, is stopped or breaks right after its prefill
        answer = under_way(admission, *ending, "more")
        clock.now += 0.5
        next(answer)
        answer.close()  # type: ignore[attr-defined]
    assert len(entered(admission)) == before


def test_who_was_let_in_and_never_asks_gives_the_place_up() -> None:
    clock = Clock()
    admission = that_takes(4.0, clock)
    assert len(entered(admission)) == 4 + 8
    assert entered(admission) == []
    clock.now += LAPSE_S + 1
    assert len(entered(admission)) == 4 + 8


def test_one_address_holds_no_more_places_than_answers_whether_it_asks_or_not() -> None:
    clock = Clock()
    admission = Admission(RateLimits(Rates(12)), clock=clock)
    held = 0
    for number in range(200):  # three a second, each from a session of its own, none of which ever begins
        with suppress(Refused):
            held += isinstance(admission.ask(Asker(f"session-{number}", "203.0.113.66")), Place)
        clock.now += 0.01
    assert held == 2
    assert isinstance(admission.ask(anybody()), Place)


def page() -> gr.Blocks:
    def said(text: str) -> str:
        return text

    with gr.Blocks() as blocks:
        box = gr.Textbox()
        box.submit(said, box, box, concurrency_id=LANE, api_name="asking")
        box.change(said, box, box, api_name="other")
    return blocks


def call(check: CallCheck, name: str, address: str = "192.0.2.1") -> dict[str, Any]:
    """The scope of a call that was let in."""
    scope = {"type": "http", "path": f"/gradio_api/call/{name}", "client": (address, 5000)}
    assert check(scope, {"data": ["Hello"]})["data"] == ["Hello"]
    return scope


def test_the_door_turns_away_with_the_wait_and_only_those_who_ask_the_model() -> None:
    admission = that_takes(12.0, Clock())
    check = CallCheck(page(), admission)
    places = [carried(Request(call(check, "asking"))) for _ in range(AT_ONCE)]
    with pytest.raises(CallRefused, match="about 48 s") as refused:
        call(check, "asking")
    assert (refused.value.status, refused.value.wait_s) == (429, 48.0)
    call(check, "other")
    admission.release(places[0])
    call(check, "asking")


def test_the_place_from_the_door_is_the_place_of_the_answer() -> None:
    admission = Admission()
    decision = carried(Request(call(CallCheck(page(), admission), "asking")))
    assert isinstance(decision, Place)
    answer = admission.answer(anybody(), lambda: iter(["a", "b"]), decision)
    assert next(answer) == "a"
    assert entered(admission, most=AT_ONCE - 1)
    assert admission.waiting.wait_s > 0, "the house holds four: the one who is answered and three more"
    assert list(answer) == ["b"]
    assert admission.waiting.wait_s == 0.0


def test_a_refusal_from_the_door_is_the_refusal_of_the_answer() -> None:
    admission = Admission(RateLimits(Rates(12)))
    check = CallCheck(page(), admission)
    decisions = [carried(Request(call(check, "asking"))) for _ in range(3)]
    assert [type(decision) for decision in decisions] == [Place, Place, Refused]
    with pytest.raises(Refused, match="2 of your questions are still being answered"):
        next(admission.answer(anybody(), lambda: iter(["never"]), decisions[2]))


def test_what_a_model_computes_is_learned_from() -> None:
    def answer(*events: object) -> Iterator[object]:
        for event in events:
            clock.now += 3.0
            yield event

    for events, takes in (
        ((Prefill(1, 2, 0.1), "text", answered()), 9.0),
        ((answered(),), 3.0),
        ((answered(model=""),), FIRST_ANSWER_S),
    ):
        clock = Clock()
        admission = Admission(clock=clock)
        list(admission.answer(anybody(), lambda events=events: answer(*events)))  # type: ignore[misc]
        entered(admission, most=AT_ONCE)
        assert admission.waiting.wait_s == pytest.approx(AT_ONCE * takes)


def test_a_flood_is_refused_on_its_page_a_few_times_and_then_at_the_door() -> None:
    told: list[str] = []
    with time_machine.travel(1_780_000_000.0, tick=False):
        admission = Admission(RateLimits(Rates(12)), told.append)
        check = CallCheck(page(), admission)
        for _ in range(12 + DRAWN_REFUSALS):
            decision = carried(Request(call(check, "asking")))
            with suppress(Refused):
                list(admission.answer(anybody(), lambda: iter([1]), decision))
        assert told == ["address"] * DRAWN_REFUSALS
        with pytest.raises(CallRefused, match="Too many questions from your address") as refused:
            call(check, "asking")
        assert refused.value.status == 429
        assert 1 <= refused.value.wait_s <= 61
        assert refused.value.hold
        call(check, "other")
        call(check, "asking", "192.0.2.2")
    assert told[-1] == "flood"


def test_gradio_runs_as_many_at_once_as_are_let_in() -> None:
    blocks = build_page(ScriptedGuide(), {})  # type: ignore[arg-type]
    assert LANE_LIMIT >= 104
    assert blocks._queue.max_thread_count == THREADS > LANE_LIMIT
    assert blocks._queue.max_size == QUEUE_SIZE >= 104
    assert {fn.concurrency_limit for fn in blocks.fns.values() if fn.concurrency_id == LANE} == {LANE_LIMIT}
    assert LET_IN_SHARE * LONGEST_WAIT_S == 45.0
