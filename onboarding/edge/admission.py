"""Decides whether somebody may ask now: the only place that does, with the only estimate of the wait.

A question is decided about once, where its request comes in, before it joins any queue or draws anything
(`call_check` asks); the decision, a place or a refusal, travels with the request to its handler. A question without a
request, as in a direct call, is decided about at the first step of its answer.

Refused are, in this order: an address that goes on after several refusals; a visitor with an answer under way, and an
address with as many as it may have; more questions than a rate allows; and everybody, while one more would be expected
to wait too long. A place counts for its visitor and its address from the decision until its answer ends.

The wait is played through from the order of the places, what each has had of the machine, and what a finished answer
takes here (search, drawing and the load of the crowd itself included): those under way share the machine equally, and
the next begins when one of them ends. The estimate is no promise, so a question is let in only while its expected wait
is at most three quarters of the longest wait that is allowed (WAIT_SECONDS).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from heapq import heapify, heapreplace
from itertools import islice
from typing import Any, TypeVar

from starlette.types import Scope

from model.engine.events import Prefill, Queued
from model.turn.events import TurnFinished
from onboarding.edge.client_address import Asker
from onboarding.edge.rate_limits import NO_LIMITS, RateLimits

T = TypeVar("T")

LANE = "model"  # Gradio's concurrency_id of all that uses the model
LANE_LIMIT = 128  # of that lane, above all that is let in: Gradio carries decisions and makes none
LONGEST_WAIT_S = 60.0  # nobody should wait longer
LET_IN_SHARE = 0.75  # of that: a wait is what is expected, and an answer may take far longer than those before it
LONGEST_QUEUE = 100  # places beyond those under way, whatever an answer takes
AT_ONCE = 4  # answers that are written together, as the engine's slots
FIRST_ANSWER_S = 5.0  # guess of what an answer takes, before any has finished
MEMORY = 0.9  # weight of the past: about the last ten answers, since their lengths differ
LAPSE_S = 15.0  # a place whose answer never began is free again: its page was closed within the moment
ADMITTED = "admitted"  # key of a decision in a request's state


class Refused(Exception):
    """A question or a call is refused; the text says how long to wait."""

    def __init__(self, scope: str, wait_s: float, text: str) -> None:
        """scope: "visitor", "address", "everybody", "at_once", "full" or "flood"."""
        super().__init__(text)
        self.scope = scope
        self.wait_s = wait_s


class Place:
    """One question's place among the others, from the decision until its answer ends."""

    def __init__(self, asker: Asker, came: float) -> None:
        self.asker = asker
        self.came = came
        self.begun = False
        self.had_s = 0.0  # its share of the machine so far
        self.computed = False  # a model computes the answer; small talk and refusals take next to nothing
        self.finished = False  # the answer came to its own end: only such ones tell what an answer takes


@dataclass(frozen=True, slots=True)
class Waiting:
    """The wait of one more question, and the number of questions before it."""

    ahead: int
    wait_s: float


class Admission:
    """Gives places and takes them back. Any thread may use it."""

    def __init__(
        self,
        limits: RateLimits | None = None,
        refused: Callable[[str], None] = lambda _scope: None,
        at_once: int = AT_ONCE,
        longest_wait_s: float = LONGEST_WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """limits: by default none. refused: is told the scope of each refusal. at_once: the engine's slots."""
        self._let_in_s = LET_IN_SHARE * longest_wait_s
        self.limits = limits or RateLimits(NO_LIMITS)
        self._refused = refused
        self._at_once = at_once
        self._clock = clock
        self._lock = threading.Lock()
        self._places: dict[Place, None] = {}  # in the order in which they were given
        self._seen = clock()
        self._answer_s, self._answers = FIRST_ANSWER_S, 0

    def decide(self, asker: Asker) -> Place | Refused:
        """Decide about a question where its request comes in: a place, or a refusal that its handler is to show.

        Raises Refused for one that needs no handler: the house is full, or the address goes on after several refusals.
        """
        if wait_s := self.limits.refusals_wait_s(asker.address):
            self._refused("flood")
            text = f"Too many questions from your address; try again in about {math.ceil(wait_s)} s."
            raise Refused("flood", wait_s, text)
        try:
            return self.ask(asker)
        except Refused as refused:
            if refused.scope == "full":
                raise
            return refused

    def ask(self, asker: Asker) -> Place:
        """Return a place for one question; raises Refused, and a refusal uses up no limit."""
        questions = self.limits.rates.questions
        with self._lock:
            self._tick()
            self._refuse_second(asker)
            if excess := self.limits.excess(questions, asker):
                raise self._refusal(asker, excess.scope, excess.wait_s, _too_many(excess, "questions"))
            wait_s = self._wait_s(len(self._places))
            if wait_s > self._let_in_s or len(self._places) - self._at_once >= LONGEST_QUEUE:
                self._refused("full")
                raise Refused("full", wait_s, f"Every seat is taken; {_again(wait_s)}")
            self.limits.count(questions, asker)
            place = Place(asker, self._clock())
            self._places[place] = None
            return place

    def call(self, asker: Asker) -> None:
        """Count a program's call that needs no model; raises Refused."""
        calls = self.limits.rates.calls
        with self._lock:
            if excess := self.limits.excess(calls, asker):
                raise self._refusal(asker, excess.scope, excess.wait_s, _too_many(excess, "calls"))
            self.limits.count(calls, asker)

    def answer(
        self, asker: Asker, events: Callable[[], Iterator[T]], decision: Place | Refused | None = None
    ) -> Iterator[T]:
        """Yield the events of an answer inside its place, and give the place back; closing this closes them.

        decision: what was decided where the request came in. Raises Refused at the first step. A wait that the engine
        reports is told by this estimate.
        """
        if isinstance(decision, Refused):
            raise decision
        place = self._begin(asker, decision)
        try:
            answer = events()
            try:
                for event in answer:
                    yield self._seen_by(place, event)
            finally:
                if isinstance(answer, Generator):
                    answer.close()
        finally:
            self.release(place)

    def release(self, decision: Place | Refused | None) -> None:
        """Give a place back: its answer has ended, or never begins. Anything but a place that is held is ignored."""
        with self._lock:
            self._tick()
            if isinstance(decision, Place) and decision in self._places:
                del self._places[decision]
                if decision.begun and decision.computed and decision.finished:
                    self._learn(decision.had_s)

    @property
    def waiting(self) -> Waiting:
        """The wait that one more would find."""
        with self._lock:
            self._tick()
            return Waiting(max(0, len(self._places) - self._at_once), self._wait_s(len(self._places)))

    def _begin(self, asker: Asker, decision: Place | None) -> Place:
        """Return the place that was decided on, or one that is decided on now; its answer is under way."""
        with self._lock:
            self._tick()
            if decision in self._places:
                decision.begun = True  # before anybody else looks whether it has lapsed
                return decision
        place = self.ask(asker)
        place.begun = True
        return place

    def _seen_by(self, place: Place, event: T) -> T:
        """Note what an event tells of an answer; return it, a wait told by the estimate."""
        if isinstance(event, Queued):
            with self._lock:
                self._tick()
                return replace(event, eta_s=self._wait_s(list(self._places).index(place)))
        if isinstance(event, Prefill):
            place.computed = True
        elif isinstance(event, TurnFinished):
            place.computed = place.computed or bool(event.model)
            place.finished = event.reason not in ("cancelled", "error")
        return event

    def _refuse_second(self, asker: Asker) -> None:
        """Refuse a visitor whose answer is under way, and an address with as many as it may have."""
        if self.limits.is_off:
            return
        address = [place for place in self._places if place.asker.address == asker.address]
        own = [place for place in address if place.asker.visitor == asker.visitor]
        if not own and len(address) < self.limits.rates.at_once:
            return
        # Half of what an answer takes among so many: nobody knows how far those are.
        rest_s = self._answer_s * max(1, min(len(self._places), self._at_once)) / 2
        whose = "Your last question is" if own else f"{len(address)} of your questions are"
        raise self._refusal(asker, "at_once", max(1.0, rest_s), f"{whose} still being answered")

    def _refusal(self, asker: Asker, scope: str, wait_s: float, text: str) -> Refused:
        self._refused(scope)
        self.limits.count_refusal(asker.address)
        return Refused(scope, wait_s, f"{text}; {_again(wait_s)}")

    def _tick(self) -> None:
        """Charge those under way their equal parts of the time since the last look, and drop places that lapsed."""
        now = self._clock()
        under_way = list(islice(self._places, self._at_once))
        for place in under_way:
            place.had_s += (now - self._seen) / len(under_way)
        self._seen = now
        for place in [one for one in self._places if not one.begun and now - one.came > LAPSE_S]:
            del self._places[place]

    def _wait_s(self, before: int) -> float:
        """Return the wait behind the first `before` places.

        They share the machine equally, so whoever lacks least ends first, after as many times that as share it.
        """
        if before < self._at_once:
            return 0.0
        ends = [max(0.0, self._answer_s - place.had_s) for place in islice(self._places, self._at_once)]
        heapify(ends)
        for _ in range(before - self._at_once):
            heapreplace(ends, ends[0] + self._answer_s)
        return self._at_once * ends[0]

    def _learn(self, seconds: float) -> None:
        """Take in what one more answer took; the first replaces the guess."""
        self._answers += 1
        self._answer_s += max(1 / self._answers, 1 - MEMORY) * (seconds - self._answer_s)


def carry(scope: Scope, decision: Place | Refused) -> None:
    """Let a decision travel with its request."""
    scope.setdefault("state", {})[ADMITTED] = decision


def carried(request: Any) -> Place | Refused | None:
    """Return the decision that travels with a request; None where nothing was decided, as in a direct call."""
    decision = getattr(getattr(request, "state", None), ADMITTED, None)
    return decision if isinstance(decision, Place | Refused) else None


def _too_many(excess: Any, what: str) -> str:
    if excess.scope == "everybody":
        return "Everybody together asks more than these two cores can answer"
    amount = excess.limit.amount
    what = what.removesuffix("s") if amount == 1 else what
    return f"That would be more than {amount} {what} in a {excess.limit.GRANULARITY.name}"


def _again(wait_s: float) -> str:
    return f"try again in about {max(1, math.ceil(wait_s))} s. Tours and search are open."
