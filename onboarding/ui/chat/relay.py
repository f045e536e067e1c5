"""Reads a blocking generator of events from an event loop without blocking the loop.

The chat core is a plain generator that may take a second between two events. Gradio can end a generator only between
two steps, and until then holds a lock that every visitor's next step needs. So a thread of its own reads the core
while the page awaits batches: Gradio can cancel the page's side at any moment, the page waits without a pool thread,
and handles at most one batch per beat however fast tokens come.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

Event = TypeVar("Event")

BEAT_S = 0.12  # smooth to read, and cheap enough for several visitors on two cores
IDLE_S = 1.0  # an empty batch after this long without events: Gradio notices a closed tab only when it sends something


async def relay(
    open_source: Callable[[], Iterator[Event]], wake: asyncio.Event, beat_s: float = BEAT_S, idle_s: float = IDLE_S
) -> AsyncGenerator[list[Event], None]:
    """Yield batches of the source's events in order, an empty one after `idle_s` without any or when `wake` is set.

    Raise the source's exception after the events before it. Closing or cancelling this generator returns at once and
    closes the source as soon as its current step ends, from the thread that runs it.
    """
    pump = _Pump(open_source, asyncio.get_running_loop(), wake)
    threading.Thread(target=pump.run, name="turn", daemon=True).start()
    try:
        while not pump.drained:
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), idle_s)
            wake.clear()
            if pump.events or not pump.ended:
                yield pump.take()
                await asyncio.sleep(beat_s)
        if pump.error:
            raise pump.error
    finally:
        pump.halt = True


class _Pump(Generic[Event]):
    """Moves events from the source to a deque until the source ends or fails, or `halt` is set.

    One thread appends and one loop pops; both ends of a deque are atomic, and `ended` is set after the last append.
    """

    def __init__(
        self, open_source: Callable[[], Iterator[Event]], loop: asyncio.AbstractEventLoop, wake: asyncio.Event
    ) -> None:
        self._open_source = open_source
        self._loop = loop
        self._arrived = wake
        self.events: deque[Event] = deque()
        self.halt = False
        self.ended = False
        self.error: Exception | None = None

    @property
    def drained(self) -> bool:
        return self.ended and not self.events

    def take(self) -> list[Event]:
        return [self.events.popleft() for _ in range(len(self.events))]

    def run(self) -> None:
        try:
            source = self._open_source()
            for event in source:
                self.events.append(event)
                self._wake()
                if self.halt:
                    break
            if isinstance(source, Generator):
                source.close()
        except Exception as error:  # handed over: the other side raises it
            self.error = error
        finally:
            self.ended = True
            self._wake()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed when the server has stopped
            self._loop.call_soon_threadsafe(self._arrived.set)
