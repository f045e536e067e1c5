"""Rates and answers at once: who is refused, for how long, and that nobody else notices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import time_machine

from onboarding.edge.admission import Admission, Refused
from onboarding.edge.client_address import Asker
from onboarding.edge.rate_limits import NO_LIMITS, RateLimits, Rates

START = 1_780_000_000.0
ANNA, BERT = Asker("anna", "192.0.2.1"), Asker("bert", "192.0.2.2")


def limited(asks: int = 12, **parts: Any) -> Admission:
    return Admission(RateLimits(Rates(asks), parts.pop("storage", None)), **parts)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The time that `limits` reads, moved by the test."""
    with time_machine.travel(START - START % 60 + 10, tick=False) as traveller:
        yield traveller


@contextmanager
def asking(admission: Admission, asker: Asker) -> Iterator[None]:
    """A place kept inside the block."""
    place = admission.ask(asker)
    try:
        yield
    finally:
        admission.release(place)


def ask(admission: Admission, asker: Asker) -> None:
    with asking(admission, asker):
        pass


def asked(admission: Admission, asker: Asker, times: int) -> int:
    """How many of so many questions pass."""
    passed = 0
    for _ in range(times):
        try:
            ask(admission, asker)
        except Refused:
            continue
        passed += 1
    return passed


def test_a_visitor_asks_eight_times_a_minute_and_after_the_named_wait_again(clock: time_machine.Traveller) -> None:
    admission = limited()
    assert asked(admission, ANNA, 30) == 8
    with pytest.raises(Refused, match=r"more than 8 questions in a minute; try again in about 50 s") as refused:
        ask(admission, ANNA)
    assert refused.value.scope == "visitor"
    clock.shift(refused.value.wait_s + 0.1)
    ask(admission, ANNA)


def test_an_address_cannot_get_more_by_inventing_sessions(clock: time_machine.Traveller) -> None:
    admission = limited()
    passed = sum(asked(admission, Asker(f"session-{n}", "192.0.2.9"), 1) for n in range(200))
    assert passed == 12


def test_a_flood_from_one_address_leaves_the_others_their_share(clock: time_machine.Traveller) -> None:
    admission = limited()
    asked(admission, Asker("flood", "192.0.2.9"), 1000)
    assert asked(admission, ANNA, 8) == 8
    assert asked(admission, BERT, 8) == 8


def test_everybody_together_is_limited_too_and_told_so(clock: time_machine.Traveller) -> None:
    admission = limited()
    passed = sum(asked(admission, Asker(f"v{n}", f"198.51.100.{n}"), 1) for n in range(100))
    assert passed == 60
    with pytest.raises(Refused, match=r"Everybody together .* try again in about \d+ s\. Tours and search are open"):
        ask(admission, ANNA)


def test_an_hour_has_a_limit_of_its_own(clock: time_machine.Traveller) -> None:
    admission = limited()
    clock.move_to(START - START % 3600)
    passed = 0
    for minute in range(30):
        passed += sum(asked(admission, Asker(f"{minute}-{n}", "192.0.2.1"), 1) for n in range(12))
        clock.shift(120)
    assert passed == 12 * 15


def test_a_refused_question_costs_nothing(clock: time_machine.Traveller) -> None:
    """Who is refused by one limit must not use up another meanwhile."""
    admission = limited()
    asked(admission, ANNA, 500)
    assert asked(admission, Asker("neighbour", ANNA.address), 12) == 12 - 8


def test_a_visitor_has_one_answer_at_a_time_and_an_address_two() -> None:
    told: list[str] = []
    admission = limited(refused=told.append)
    with asking(admission, ANNA):
        with pytest.raises(Refused, match="Your last question is still being answered; try again in about"):
            ask(admission, ANNA)
        with asking(admission, Asker("second", ANNA.address)), pytest.raises(Refused, match="2 of your questions"):
            ask(admission, Asker("third", ANNA.address))
        ask(admission, BERT)
    ask(admission, ANNA)
    assert told == ["at_once", "at_once"]


def test_a_seat_is_free_again_however_its_answer_ends() -> None:
    admission = limited()

    def events() -> Iterator[int]:
        yield 1
        yield 2

    left = admission.answer(ANNA, events)
    assert next(left) == 1
    with pytest.raises(Refused):
        next(admission.answer(ANNA, events))
    left.close()  # type: ignore[attr-defined]

    def broken() -> Iterator[int]:
        yield 1
        raise RuntimeError("the engine is gone")

    with pytest.raises(RuntimeError):
        list(admission.answer(ANNA, broken))
    assert list(admission.answer(ANNA, events)) == [1, 2]


def test_a_guarded_answer_takes_its_seat_only_when_it_is_read() -> None:
    admission = limited()
    unread = admission.answer(ANNA, lambda: iter([1]))
    ask(admission, ANNA)
    assert list(unread) == [1]


def test_two_hundred_threads_get_as_many_seats_as_there_are() -> None:
    admission = limited()
    start, end = threading.Barrier(201), threading.Event()
    results: list[bool] = []

    def visit(n: int) -> None:
        start.wait()
        try:
            with asking(admission, Asker(f"v{n}", "192.0.2.1")):
                results.append(True)
                end.wait()
        except Refused:
            results.append(False)
            if results.count(False) == 198:
                end.set()

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    start.wait()
    for thread in threads:
        thread.join(30)
    assert (results.count(True), results.count(False)) == (2, 198)


def test_calls_of_programs_have_wider_limits_of_their_own(clock: time_machine.Traveller) -> None:
    admission = limited()
    asked(admission, ANNA, 20)
    for _ in range(60):
        admission.call(ANNA)
    with pytest.raises(Refused, match="more than 60 calls in a minute"):
        admission.call(ANNA)
    admission.call(BERT)


def test_requests_of_an_address_end_in_a_wait(clock: time_machine.Traveller) -> None:
    admission = limited()
    assert {admission.limits.request_wait_s("192.0.2.1") for _ in range(1200)} == {0.0}
    assert 1 <= admission.limits.request_wait_s("192.0.2.1") <= 60
    assert admission.limits.request_wait_s("192.0.2.2") == 0.0


def test_a_class_behind_one_router_is_given_more_by_one_number(clock: time_machine.Traveller) -> None:
    admission = limited(60)
    assert admission.limits.rates.at_once == 10
    assert sum(asked(admission, Asker(f"pupil-{n}", "192.0.2.1"), 3) for n in range(20)) == 60


def test_without_limits_everything_passes() -> None:
    admission = Admission(RateLimits(NO_LIMITS))
    with asking(admission, ANNA), asking(admission, ANNA), asking(admission, ANNA):
        admission.call(ANNA)
    assert admission.limits.request_wait_s("192.0.2.1") == 0.0


def test_feedback_that_comes_too_fast_costs_nothing_of_the_hour(clock: time_machine.Traveller) -> None:
    limits = RateLimits(Rates(12))
    kept = 0
    for _ in range(11):  # minutes, each with a flood of which twelve rows are kept
        kept += sum(not limits.feedback_wait_s("192.0.2.1") for _ in range(100))
        clock.shift(120)
    assert kept == 120  # the hour's limit


def test_what_is_remembered_of_a_flood_is_forgotten(clock: time_machine.Traveller) -> None:
    """Made-up sessions must not fill the memory: their counters end with their windows."""
    from limits.storage import MemoryStorage

    storage = MemoryStorage()
    admission = limited(1000, storage=storage)
    for n in range(2000):
        asked(admission, Asker(f"session-{n}", "192.0.2.9"), 1)
    assert len(storage.storage) > 1000
    clock.shift(7300)
    ask(admission, ANNA)  # starts the storage's own clearing up, on a thread of its own
    storage.timer.join(10)
    assert len(storage.storage) < 20


@pytest.mark.parametrize(("asks", "page"), [(1, 1), (2, 2), (3, 2), (6, 4), (12, 8), (60, 40)])
def test_a_page_may_ask_two_thirds_of_what_its_address_may_rounded_up(
    clock: time_machine.Traveller, asks: int, page: int
) -> None:
    assert asked(limited(asks), ANNA, asks + 1) == page
