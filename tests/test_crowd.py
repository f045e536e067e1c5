"""Who is let in when many come: counted with a clock that the test moves."""

from __future__ import annotations

from contextlib import ExitStack

import gradio as gr
import pytest

from model.pace import FIRST_ANSWER_S
from onboarding.crowd import LONGEST_WAIT_S, Crowd
from onboarding.gate import NO_LIMITS, Gate, Who
from onboarding.guard import Refused
from onboarding.ui.chat import LANE
from onboarding.ui.intake import Intake


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def crowd_that_takes(seconds: float, clock: Clock, together: int = 1) -> Crowd:
    """A crowd whose last answers, so many at once, ended after `seconds`."""
    crowd = Crowd(clock=clock)
    for _ in range(60 // together):
        with ExitStack() as answers:
            for _ in range(together):
                answers.enter_context(crowd.answering())
            clock.now += seconds
    return crowd


def test_who_would_wait_a_minute_is_let_in_and_nobody_after_that() -> None:
    minute = int(60 / FIRST_ANSWER_S)
    assert [Crowd().refusal_s(queued) for queued in (0, 3, 4, 3 + minute)] == [0.0] * 4
    assert Crowd().refusal_s(4 + minute) == 60 + FIRST_ANSWER_S


def test_an_answer_is_charged_its_part_of_the_time_whether_alone_or_beside_others() -> None:
    assert crowd_that_takes(8.0, Clock()).refusal_s(4 + 7) == pytest.approx(8 * 8.0)
    assert crowd_that_takes(8.0, Clock(), together=4).refusal_s(4 + 30) == pytest.approx(31 * 2.0)


def test_the_queue_ends_at_a_hundred_however_quick_the_answers_are() -> None:
    crowd = crowd_that_takes(0.1, Clock())
    assert crowd.refusal_s(4 + 99) == 0.0
    assert crowd.refusal_s(4 + 100) == pytest.approx(10.1)


def test_the_wait_counts_those_who_are_answered_and_those_in_the_queue() -> None:
    clock = Clock()
    crowd = crowd_that_takes(6.0, clock)
    with ExitStack() as answers:
        for _ in range(10):
            answers.enter_context(crowd.answering())
        assert crowd.refusal_s(3) == 0.0
        assert crowd.refusal_s(5) == pytest.approx(6.0 * (10 + 5 + 1 - 4))


def page() -> gr.Blocks:
    def said(text: str) -> str:
        return text

    with gr.Blocks() as blocks:
        box = gr.Textbox()
        box.submit(said, box, box, concurrency_id=LANE, api_name="asking")
        box.change(said, box, box, api_name="other")
    return blocks


def call(intake: Intake, name: str) -> object:
    return intake(f"/gradio_api/call/{name}", {"data": ["Hello"]})


def test_the_door_turns_away_with_the_wait_and_only_those_who_ask_the_model() -> None:
    clock = Clock()
    crowd = crowd_that_takes(10.0, clock)
    intake, gate = Intake(page(), crowd), Gate(NO_LIMITS, crowd=crowd)
    with ExitStack() as answers:
        for number in range(4 + int(LONGEST_WAIT_S / 10)):
            assert call(intake, "asking") == {"data": ["Hello"]}
            events = gate.guarded(Who(str(number), "address"), lambda: iter([1, 2]))
            answers.callback(events.close)  # type: ignore[attr-defined]
            assert next(events) == 1
        with pytest.raises(Refused, match="about 70 s") as refused:
            call(intake, "asking")
        assert refused.value.status == 429
        assert call(intake, "other") == {"data": ["Hello"]}
    assert call(intake, "asking") == {"data": ["Hello"]}
