"""The relay between a blocking generator and an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

import pytest

from onboarding.ui.chat.relay import relay

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run on a thread without an event loop: the browser tests' Playwright keeps one running on this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


async def collect(source: Callable[[], Iterator[int]], beat_s: float = 0.0) -> list[list[int]]:
    return [batch async for batch in relay(source, asyncio.Event(), beat_s)]


def counting(last: int) -> Iterator[int]:
    yield from range(last)


def test_every_event_arrives_in_order() -> None:
    batches = run(collect(lambda: counting(1000)))
    assert [event for batch in batches for event in batch] == list(range(1000))


def test_a_fast_source_comes_in_few_batches() -> None:
    assert len(run(collect(lambda: counting(1000), beat_s=0.05))) <= 5


def test_events_before_an_error_arrive_and_then_the_error() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broke")

    async def read() -> list[int]:
        got: list[int] = []
        with pytest.raises(ValueError, match="broke"):
            async for batch in relay(failing, asyncio.Event(), beat_s=0.0):
                got += batch
        return got

    assert run(read()) == [1]


def test_an_error_before_the_first_event_arrives() -> None:
    def refusing() -> Iterator[int]:
        raise ValueError("too long")

    with pytest.raises(ValueError, match="too long"):
        run(collect(refusing))


def test_closing_returns_at_once_and_closes_the_source_after_its_step() -> None:
    inside, step, closed = threading.Event(), threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        try:
            yield 1
            inside.set()
            step.wait(60)
            yield 2
        finally:
            closed.set()

    async def read_one() -> None:
        async with aclosing(relay(slow, asyncio.Event())) as batches:
            async for _ in batches:
                await asyncio.to_thread(inside.wait, 60)
                break

    run(read_one())
    assert not closed.is_set()
    step.set()
    assert closed.wait(60)


def test_a_silent_source_gives_empty_batches_and_waking_gives_one_now() -> None:
    release = threading.Event()

    def silent() -> Iterator[int]:
        release.wait(60)
        yield 1

    async def read() -> list[list[int]]:
        wake, got = asyncio.Event(), []
        wake.set()
        async for batch in relay(silent, wake, beat_s=0.0, idle_s=0.05):
            got.append(batch)
            if len(got) == 3:
                release.set()
        return got

    batches = run(read())
    assert batches[:3] == [[], [], []]
    assert batches[-1] == [1]
