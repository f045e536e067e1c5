"""Who is let in when many come: counted with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import gradio as gr
import pytest
import time_machine
from starlette.requests import Request

from model.engine.events import Counts, Prefill, Timings
from model.engine.protocol import QueueFull
from model.engine.scheduling import FIRST_ANSWER_S
from model.prompting.conversation import Conversation
from model.turn.events import TurnFinished
from onboarding.edge.admission import AT_ONCE, LANE, LANE_LIMIT, LAPSE_S, LET_IN_S, Crowd, Place
from onboarding.edge.allowlist import Refused
from onboarding.edge.call_check import Intake
from onboarding.edge.client_address import place_of
from onboarding.edge.rate_limits import NO_LIMITS, TOLD, Allowance, Gate, Who
from onboarding.edge.rate_limits import Refused as Limited
from onboarding.ui.page.page import QUEUE_SIZE, THREADS, build_page
from tests.fakes import ScriptedGuide


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def crowd_that_takes(seconds: float, clock: Clock, together: int = 1) -> Crowd:
    """A crowd whose last answers, so many at once, ended after `seconds`."""
    crowd = Crowd(clock=clock)
    for _ in range(40 // together):
        with ExitStack() as answers:
            for _ in range(together):
                answers.enter_context(crowd.answering()).counts = True
            clock.now += seconds
    return crowd


def entered(crowd: Crowd, most: int = 500) -> list[Place]:
    """Everybody who is let in, one after the other at the same moment, of so many."""
    places = []
    with suppress(QueueFull):
        for _ in range(most):
            places.append(crowd.enter())
    return places


def test_before_anything_was_measured_a_guess_stands_for_what_an_answer_takes() -> None:
    # All begin at once and share the machine: four end together every 4 x FIRST_ANSWER_S = 20 s.
    assert len(entered(Crowd())) == AT_ONCE + 2 * AT_ONCE


@pytest.mark.parametrize(
    ("takes", "let_in"), [(0.1, 104), (1.0, 4 + 44), (2.0, 4 + 20), (4.0, 4 + 8), (12.0, 4), (90.0, 4)]
)
def test_how_many_are_let_in_follows_from_what_an_answer_takes(takes: float, let_in: int) -> None:
    assert len(entered(crowd_that_takes(takes, Clock()))) == let_in


def test_who_is_refused_is_told_the_wait() -> None:
    crowd = crowd_that_takes(4.0, Clock())
    entered(crowd)
    with pytest.raises(QueueFull, match="about 48 s"):
        crowd.enter()


def test_an_answer_is_charged_its_part_of_the_time_whether_alone_or_beside_others() -> None:
    assert len(entered(crowd_that_takes(8.0, Clock(), together=4))) == len(entered(crowd_that_takes(2.0, Clock())))


def test_nobody_who_only_waits_is_charged() -> None:
    clock = Clock()
    crowd = crowd_that_takes(2.0, clock)
    with ExitStack() as answers:
        places = [answers.enter_context(crowd.answering()) for _ in range(8)]
        clock.now += 4.0
        assert [place.had_s for place in places] == pytest.approx([0.0] * 8)  # not looked at in between
        crowd.wait_s()
        assert [place.had_s for place in places] == pytest.approx([1.0] * 4 + [0.0] * 4)


def test_the_wait_shrinks_while_those_before_one_are_answered() -> None:
    clock = Clock()
    crowd = crowd_that_takes(4.0, clock)
    places = entered(crowd, most=6)
    assert crowd.wait_s() == pytest.approx(4 * 4.0)
    clock.now += 10.0
    assert crowd.wait_s() == pytest.approx(6.0)
    for place in places[:3]:
        crowd.leave(place)
    assert crowd.wait_s() == 0.0


def test_small_talk_and_refusals_say_nothing_about_what_an_answer_takes() -> None:
    clock = Clock()
    crowd = crowd_that_takes(4.0, clock)
    for _ in range(50):
        with crowd.answering():
            clock.now += 0.01
    assert len(entered(crowd)) == 4 + 8


def test_who_was_let_in_and_never_asks_gives_the_place_up() -> None:
    clock = Clock()
    crowd = crowd_that_takes(4.0, clock)
    assert len(entered(crowd)) == 4 + 8
    assert entered(crowd) == []
    clock.now += LAPSE_S + 1
    assert len(entered(crowd)) == 4 + 8


def page() -> gr.Blocks:
    def said(text: str) -> str:
        return text

    with gr.Blocks() as blocks:
        box = gr.Textbox()
        box.submit(said, box, box, concurrency_id=LANE, api_name="asking")
        box.change(said, box, box, api_name="other")
    return blocks


def call(intake: Intake, name: str, address: str = "192.0.2.1") -> dict[str, Any]:
    """The scope of a call that was let in."""
    scope = {"type": "http", "path": f"/gradio_api/call/{name}", "client": (address, 5000)}
    assert intake(scope, {"data": ["Hello"]}) == {"data": ["Hello"]}
    return scope


def test_the_door_turns_away_with_the_wait_and_only_those_who_ask_the_model() -> None:
    crowd = crowd_that_takes(12.0, Clock())
    intake = Intake(page(), Gate(NO_LIMITS, crowd=crowd))
    places = [place_of(Request(call(intake, "asking"))) for _ in range(AT_ONCE)]
    with pytest.raises(Refused, match="about 48 s") as refused:
        call(intake, "asking")
    assert (refused.value.status, refused.value.wait_s) == (429, 48.0)
    call(intake, "other")
    crowd.leave(places[0])
    call(intake, "asking")


def test_the_place_from_the_door_is_the_place_of_the_answer() -> None:
    gate = Gate(NO_LIMITS)
    place = place_of(Request(call(Intake(page(), gate), "asking")))
    assert place is not None
    answer = gate.guarded(Who("anna", "192.0.2.1"), lambda: iter(["a", "b"]), place)
    assert next(answer) == "a"
    assert entered(gate.crowd, most=AT_ONCE - 1)
    assert gate.crowd.wait_s() > 0, "the house holds four: the one who is answered and three more"
    assert list(answer) == ["b"]
    assert gate.crowd.wait_s() == 0.0


def test_what_a_model_computes_is_learned_from() -> None:
    def answer(*events: object) -> Iterator[object]:
        for event in events:
            clock.now += 3.0
            yield event

    finished = TurnFinished(
        "It is.", "stop", Counts(1, 1, 1), Timings(0.0, 0.1, 0.2), "a server", True, Conversation.new()
    )
    for events, takes in (((Prefill(1, 2, 0.1), "text"), 6.0), ((finished,), 3.0), (("small talk",), FIRST_ANSWER_S)):
        clock = Clock()
        gate = Gate(NO_LIMITS, crowd=Crowd(clock=clock))
        list(gate.guarded(Who("anna", "192.0.2.1"), lambda events=events: answer(*events)))  # type: ignore[misc]
        assert gate.crowd.rest_s() == pytest.approx(takes / 2)


def test_a_flood_is_refused_on_its_page_a_few_times_and_then_at_the_door() -> None:
    told: list[str] = []
    with time_machine.travel(1_780_000_000.0, tick=False):
        gate = Gate(Allowance(12), told.append)
        intake = Intake(page(), gate)
        for number in range(12 + TOLD):
            place = place_of(Request(call(intake, "asking")))
            with suppress(Limited):
                list(gate.guarded(Who(f"session{number}", "192.0.2.1"), lambda: iter([1]), place))
        assert told == ["address"] * TOLD
        with pytest.raises(Refused, match="Too many questions from your address") as refused:
            call(intake, "asking")
        assert refused.value.status == 429
        assert 1 <= refused.value.wait_s <= 61
        assert refused.value.hold
        call(intake, "other")
        call(intake, "asking", "192.0.2.2")
    assert told[-1] == "door"


def test_gradio_runs_as_many_at_once_as_are_let_in() -> None:
    blocks = build_page(ScriptedGuide(), {})  # type: ignore[arg-type]
    assert LANE_LIMIT >= 104
    assert blocks._queue.max_thread_count == THREADS > LANE_LIMIT
    assert blocks._queue.max_size == QUEUE_SIZE >= 104
    assert {fn.concurrency_limit for fn in blocks.fns.values() if fn.concurrency_id == LANE} == {LANE_LIMIT}
    assert LET_IN_S == 45.0
