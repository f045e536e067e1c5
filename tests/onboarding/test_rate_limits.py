"""Rates and answers at once: who is refused, for how long, and that nobody else notices."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import time_machine

from onboarding.edge.rate_limits import NO_LIMITS, Allowance, Gate, Refused, Who, bucket

START = 1_780_000_000.0
ANNA, BERT = Who("anna", "192.0.2.1"), Who("bert", "192.0.2.2")


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The time that `limits` reads, moved by the test."""
    with time_machine.travel(START - START % 60 + 10, tick=False) as traveller:
        yield traveller


def ask(gate: Gate, who: Who) -> None:
    with gate.question(who):
        pass


def asked(gate: Gate, who: Who, times: int) -> int:
    """How many of so many questions pass."""
    passed = 0
    for _ in range(times):
        try:
            ask(gate, who)
        except Refused:
            continue
        passed += 1
    return passed


def test_a_visitor_asks_eight_times_a_minute_and_after_the_named_wait_again(clock: time_machine.Traveller) -> None:
    gate = Gate()
    assert asked(gate, ANNA, 30) == 8
    with pytest.raises(Refused, match=r"more than 8 questions in a minute; try again in about 50 s") as refused:
        ask(gate, ANNA)
    assert refused.value.scope == "visitor"
    clock.shift(refused.value.wait_s + 0.1)
    ask(gate, ANNA)


def test_an_address_cannot_get_more_by_inventing_sessions(clock: time_machine.Traveller) -> None:
    gate = Gate()
    passed = sum(asked(gate, Who(f"session-{n}", "192.0.2.9"), 1) for n in range(200))
    assert passed == 12


def test_a_flood_from_one_address_leaves_the_others_their_share(clock: time_machine.Traveller) -> None:
    gate = Gate()
    asked(gate, Who("flood", "192.0.2.9"), 1000)
    assert asked(gate, ANNA, 8) == 8
    assert asked(gate, BERT, 8) == 8


def test_everybody_together_is_limited_too_and_told_so(clock: time_machine.Traveller) -> None:
    gate = Gate()
    passed = sum(asked(gate, Who(f"v{n}", f"198.51.100.{n}"), 1) for n in range(100))
    assert passed == 60
    with pytest.raises(Refused, match=r"Everybody together .* try again in about \d+ s\. Tours and search are open"):
        ask(gate, ANNA)


def test_an_hour_has_a_limit_of_its_own(clock: time_machine.Traveller) -> None:
    gate = Gate()
    clock.move_to(START - START % 3600)
    passed = 0
    for minute in range(30):
        passed += sum(asked(gate, Who(f"{minute}-{n}", "192.0.2.1"), 1) for n in range(12))
        clock.shift(120)
    assert passed == 12 * 15


def test_a_refused_question_costs_nothing(clock: time_machine.Traveller) -> None:
    """Who is refused by one limit must not use up another meanwhile."""
    gate = Gate()
    asked(gate, ANNA, 500)
    assert asked(gate, Who("neighbour", ANNA.address), 12) == 12 - 8


def test_a_visitor_has_one_answer_at_a_time_and_an_address_two() -> None:
    told: list[str] = []
    gate = Gate(refused=told.append)
    with gate.question(ANNA):
        with pytest.raises(Refused, match="Your last question is still being answered; try again in about"):
            ask(gate, ANNA)
        with gate.question(Who("second", ANNA.address)), pytest.raises(Refused, match="2 of your questions"):
            ask(gate, Who("third", ANNA.address))
        ask(gate, BERT)
    ask(gate, ANNA)
    assert told == ["at_once", "at_once"]


def test_a_seat_is_free_again_however_its_answer_ends() -> None:
    gate = Gate()

    def events() -> Iterator[int]:
        yield 1
        yield 2

    left = gate.guarded(ANNA, events)
    assert next(left) == 1
    with pytest.raises(Refused):
        next(gate.guarded(ANNA, events))
    left.close()  # type: ignore[attr-defined]

    def broken() -> Iterator[int]:
        yield 1
        raise RuntimeError("the engine is gone")

    with pytest.raises(RuntimeError):
        list(gate.guarded(ANNA, broken))
    assert list(gate.guarded(ANNA, events)) == [1, 2]


def test_a_guarded_answer_takes_its_seat_only_when_it_is_read() -> None:
    gate = Gate()
    unread = gate.guarded(ANNA, lambda: iter([1]))
    ask(gate, ANNA)
    assert list(unread) == [1]


def test_two_hundred_threads_get_as_many_seats_as_there_are() -> None:
    gate = Gate()
    start, end = threading.Barrier(201), threading.Event()
    results: list[bool] = []

    def visit(n: int) -> None:
        start.wait()
        try:
            with gate.question(Who(f"v{n}", "192.0.2.1")):
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
    gate = Gate()
    asked(gate, ANNA, 20)
    for _ in range(60):
        gate.call(ANNA)
    with pytest.raises(Refused, match="more than 60 calls in a minute"):
        gate.call(ANNA)
    gate.call(BERT)


def test_requests_of_an_address_end_in_a_wait(clock: time_machine.Traveller) -> None:
    gate = Gate()
    assert {gate.request("192.0.2.1") for _ in range(1200)} == {0.0}
    assert 1 <= gate.request("192.0.2.1") <= 60
    assert gate.request("192.0.2.2") == 0.0


def test_a_class_behind_one_router_is_given_more_by_one_number(clock: time_machine.Traveller) -> None:
    gate = Gate(Allowance(60))
    assert gate.allowance.at_once == 10
    assert sum(asked(gate, Who(f"pupil-{n}", "192.0.2.1"), 3) for n in range(20)) == 60


def test_without_limits_everything_passes() -> None:
    gate = Gate(NO_LIMITS)
    with gate.question(ANNA), gate.question(ANNA), gate.question(ANNA):
        gate.call(ANNA)
    assert gate.request("192.0.2.1") == 0.0


def test_what_is_remembered_of_a_flood_is_forgotten(clock: time_machine.Traveller) -> None:
    """Made-up sessions must not fill the memory: their counters end with their windows."""
    from limits.storage import MemoryStorage

    storage = MemoryStorage()
    gate = Gate(Allowance(1000), storage=storage)
    for n in range(2000):
        asked(gate, Who(f"session-{n}", "192.0.2.9"), 1)
    assert len(storage.storage) > 1000
    clock.shift(7300)
    ask(gate, ANNA)  # starts the storage's own clearing up, on a thread of its own
    storage.timer.join(10)
    assert len(storage.storage) < 20


@pytest.mark.parametrize(
    ("host", "counts_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("x" * 5000, "x" * 64),
        ("", ""),
    ],
)
def test_an_address_counts_as_what_one_household_has(host: str, counts_as: str) -> None:
    assert bucket(host) == counts_as
