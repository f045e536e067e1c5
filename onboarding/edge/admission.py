"""How many questions are under way in the whole house, and how long one more would wait.

A place is given at the door, before a question joins any queue, and kept until its answer ends. From the order of the
places, what each has had of the machine and what an answer takes here (searching, drawing and the crowd's own weight
included), the wait is played through: those under way share the machine equally, and whoever is next begins when one
of them ends. Everything that tells a visitor at the door or at a limit how long to wait asks here.

The wait is what is expected, not a promise: an answer may take far longer than those before it. So nobody is let in
who would be expected to wait more than three quarters of what nobody should.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heapify, heapreplace
from itertools import islice

from model.engine.protocol import QueueFull
from model.engine.scheduling import FIRST_ANSWER_S, Average

LANE = "model"  # concurrency_id of all that uses the model
LANE_LIMIT = 128  # questions at once, above all that the crowd lets in: the engine batches four and says how many wait
LONGEST_WAIT_S = 60.0  # nobody should wait longer
LET_IN_S = 0.75 * LONGEST_WAIT_S
LONGEST_QUEUE = 100  # as the engine's
AT_ONCE = 4  # answers that are written together, as the engine's slots
MEMORY = 0.9  # the last ten answers, about: their lengths differ
LAPSE_S = 15.0  # a question that was let in and never began has gone: its page was closed within the moment


class Place:
    """One question's place among the others; the crowd's own thing."""

    def __init__(self, came: float) -> None:
        self.came = came
        self.begun = False
        self.had_s = 0.0  # its share of the machine so far
        self.counts = False  # as an example of what an answer takes: a refusal or small talk takes next to nothing


class Crowd:
    """Gives places and takes them back. Any thread may use it."""

    def __init__(self, at_once: int = AT_ONCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once = at_once
        self._clock = clock
        self._lock = threading.Lock()
        self._places: dict[Place, None] = {}  # in the order in which they were given
        self._seen = clock()
        self._answer = Average(FIRST_ANSWER_S, MEMORY)

    def enter(self) -> Place:
        """A place for one who is let in; raises QueueFull with the wait that would be too long."""
        with self._lock:
            self._tick()
            ahead, wait = len(self._places) - self._at_once, self._wait_s()
            if wait > LET_IN_S or ahead >= LONGEST_QUEUE:
                raise QueueFull(wait)
            return self._give()

    def leave(self, place: Place | None) -> None:
        """Its answer has ended, or will never begin."""
        with self._lock:
            self._tick()
            if place and place in self._places:
                del self._places[place]
                if place.begun and place.counts:
                    self._answer.learn(place.had_s)

    @contextmanager
    def answering(self, place: Place | None = None) -> Iterator[Place]:
        """The answer is under way inside the block. Without a place it is given one, however full the house is."""
        with self._lock:
            self._tick()
            if place not in self._places:
                place = self._give()
            assert place is not None
            place.begun = True
        try:
            yield place
        finally:
            self.leave(place)

    def wait_s(self) -> float:
        """How long one more would wait."""
        with self._lock:
            self._tick()
            return self._wait_s()

    def rest_s(self) -> float:
        """How long one that is under way still takes, as far as one can say: half of what it takes among so many."""
        with self._lock:
            return self._answer.value * max(1, min(len(self._places), self._at_once)) / 2

    def _give(self) -> Place:
        place = Place(self._clock())
        self._places[place] = None
        return place

    def _tick(self) -> None:
        """Charge those under way their equal parts of the time since the last look, and strike out who is gone."""
        now = self._clock()
        under_way = list(islice(self._places, self._at_once))
        for place in under_way:
            place.had_s += (now - self._seen) / len(under_way)
        self._seen = now
        for place in [one for one in self._places if not one.begun and now - one.came > LAPSE_S]:
            del self._places[place]

    def _wait_s(self) -> float:
        """Until a slot is free. Sharing equally, whoever lacks least ends first, after as many times that as share."""
        takes = self._answer.value
        if len(self._places) < self._at_once:
            return 0.0
        ends = [max(0.0, takes - place.had_s) for place in islice(self._places, self._at_once)]
        heapify(ends)
        for _ in range(len(self._places) - self._at_once):
            heapreplace(ends, ends[0] + takes)
        return self._at_once * ends[0]
