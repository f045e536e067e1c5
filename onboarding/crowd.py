"""How many questions are under way in the whole house, and whom it would keep waiting too long.

The engine's own queue knows what its answers take; this knows what a crowd takes of everything: searching, drawing
pages, other work on the machine. It is asked at the door, before a question joins any queue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from model.pace import FIRST_ANSWER_S, Average

LONGEST_WAIT_S = 60.0
LONGEST_QUEUE = 100  # as the engine's
AT_ONCE = 4  # answers that are written together, as the engine's slots
MEMORY = 0.9  # small talk and refusals take no time: a few of them say little about the next question


class Crowd:
    """Counts those who are being answered. Any thread may use it."""

    def __init__(self, at_once: int = AT_ONCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once = at_once
        self._clock = clock
        self._lock = threading.Lock()
        self._present = 0
        self._part_s = 0.0  # what one who was there from the start has been charged
        self._seen = clock()
        self._answer = Average(FIRST_ANSWER_S, MEMORY)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """One question is under way inside the block; it is charged its equal part of every second."""
        with self._lock:
            self._tick(+1)
            began = self._part_s
        try:
            yield
        finally:
            with self._lock:
                self._tick(-1)
                self._answer.learn(self._part_s - began)

    def _tick(self, change: int) -> None:
        now = self._clock()
        if self._present:
            self._part_s += (now - self._seen) / self._present
        self._seen = now
        self._present += change

    def refusal_s(self, queued: int = 0) -> float:
        """0.0 for one who may come in behind those present and `queued` others, else the wait that is too long.

        However quick the answers, nobody is let in behind more than LONGEST_QUEUE: the page's own queue ends there.
        """
        with self._lock:
            ahead = self._present + queued - self._at_once
            wait = max(0, ahead + 1) * self._answer.value
        return wait if wait > LONGEST_WAIT_S or ahead >= LONGEST_QUEUE else 0.0
