"""Who may ask how much: rates and answers at once, by visitor, by address and for everybody.

`limits` does the counting, in memory, over sliding windows. An address is an IPv4 address or an IPv6 /64, as
`edge.py` found it; a visitor is one open page or one client's session. A client can make up sessions, not addresses,
so a flood meets the address's limits: it can hold `at_once` answers and start so many a minute, whatever it sends,
and everybody else finds the engine as it would be without it, but for that much.

Does not cover: a flood from many addresses (the limit for everybody then refuses honest visitors too), and clients
that share one address (raise ASKS_PER_MINUTE for a class behind one router).
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from model.engine.events import Prefill
from model.turn.events import TurnFinished
from onboarding.assistant.guide import Unusable
from onboarding.edge.admission import Crowd, Place

T = TypeVar("T")

IPV6_PREFIX = 64  # what one household or host gets; single addresses of it are free to choose
TOLD = (
    6  # refusals a minute that an address gets on its page; a person needs no more, a flood is turned away at the door
)


class Refused(Unusable):
    """A limit refuses; the text says how long to wait. `scope` is whose limit it was."""

    def __init__(self, scope: str, wait_s: float, text: str) -> None:
        super().__init__(text)
        self.scope = scope
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who asks."""

    visitor: str
    address: str  # see `bucket`

    @property
    def both(self) -> str:
        """A session alone is not enough: Gradio's MCP server lends its own to all of its clients."""
        return f"{self.visitor} {self.address}"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is allowed. The defaults fit two cores that finish about six answers a minute."""

    asks: int = 12  # questions an address may ask a minute; 0 lifts every limit

    @property
    def at_once(self) -> int:
        """Answers an address may have under way or waiting; a visitor has one."""
        return max(2, self.asks // 6)

    @property
    def questions(self) -> list[tuple[str, RateLimitItem]]:
        """Whose limit, and what it is, for what uses the model."""
        return [
            ("visitor", RateLimitItemPerMinute(max(1, self.asks * 2 // 3), namespace="ask")),
            ("address", RateLimitItemPerMinute(self.asks, namespace="ask")),
            ("address", RateLimitItemPerHour(self.asks * 15, namespace="ask")),
            ("everybody", RateLimitItemPerMinute(self.asks * 5, namespace="ask")),
        ]

    @property
    def calls(self) -> list[tuple[str, RateLimitItem]]:
        """The same for programs' searches, routes and tools, which take milliseconds."""
        return [
            ("visitor", RateLimitItemPerMinute(self.asks * 5, namespace="call")),
            ("address", RateLimitItemPerMinute(self.asks * 10, namespace="call")),
            ("everybody", RateLimitItemPerMinute(self.asks * 50, namespace="call")),
        ]

    @property
    def told(self) -> RateLimitItem:
        """Refusals of an address that are drawn into its page, each of which costs about what a search does."""
        return RateLimitItemPerMinute(TOLD, namespace="told")

    @property
    def requests(self) -> RateLimitItem:
        """HTTP requests of an address that make the server work: a page polls twice a second at most."""
        return RateLimitItemPerMinute(self.asks * 100, namespace="request")


NO_LIMITS = Allowance(0)  # for tests of other things, and for whoever has a gate of their own in front


class Gate:
    """Lets requests pass, or raises Refused. Any thread may use it.

    refused: is told the scope of each refusal.
    """

    def __init__(
        self,
        allowance: Allowance = Allowance(),
        refused: Callable[[str], None] = lambda _scope: None,
        storage: MemoryStorage | None = None,
        crowd: Crowd | None = None,
    ) -> None:
        self.allowance = allowance
        self.crowd = crowd or Crowd()
        self._refused = refused
        self._limiter = SlidingWindowCounterRateLimiter(storage or MemoryStorage())
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()  # answers under way, by "visitor ..." and "address ..."

    @contextmanager
    def question(self, who: Who) -> Iterator[None]:
        """A seat for one answer, kept inside the block; raises Refused."""
        if not self.allowance.asks:
            yield
            return
        self._sit(who)
        try:
            yield
        finally:
            with self._lock:
                self._held -= Counter(_seats(who))  # a seat that falls to zero is forgotten

    def guarded(self, who: Who, events: Callable[[], Iterator[T]], place: Place | None = None) -> Iterator[T]:
        """The events of an answer, inside its seat; closing this closes them. Raises Refused at the first step.

        place: what the door gave it.
        """
        with self.crowd.answering(place) as taken, self.question(who):
            answer = events()
            try:
                for event in answer:
                    taken.counts = taken.counts or _of_model(event)
                    yield event
            finally:
                if isinstance(answer, Generator):
                    answer.close()

    def door(self, address: str) -> float:
        """0.0, or the seconds to wait for an address that was refused so often of late that it reads no refusals."""
        if not self.allowance.asks or self._limiter.test(self.allowance.told, address):
            return 0.0
        self._refused("door")
        return self._wait(self.allowance.told, address)

    def call(self, who: Who) -> None:
        """Count a program's call that needs no model; raises Refused."""
        if self.allowance.asks:
            self._take(self.allowance.calls, who, "calls")

    def request(self, address: str) -> float:
        """Count an HTTP request: 0.0, or the seconds to wait when it is refused."""
        if not self.allowance.asks or self._limiter.hit(self.allowance.requests, address):
            return 0.0
        self._refused("requests")
        return self._wait(self.allowance.requests, address)

    def _sit(self, who: Who) -> None:
        visitor, address = _seats(who)
        with self._lock:
            if self._held[visitor] >= 1 or self._held[address] >= self.allowance.at_once:
                wait = max(1.0, self.crowd.rest_s())
                whose = (
                    "Your last question is" if self._held[visitor] else f"{self._held[address]} of your questions are"
                )
                raise self._refusal(who, "at_once", wait, f"{whose} still being answered")
            self._take(self.allowance.questions, who, "questions")
            self._held.update((visitor, address))

    def _take(self, items: list[tuple[str, RateLimitItem]], who: Who, what: str) -> None:
        """Count it under every limit, or under none when one refuses."""
        keys = {"visitor": who.both, "address": who.address, "everybody": ""}
        named = [(scope, item, keys[scope]) for scope, item in items]
        for scope, item, key in named:
            if not self._limiter.test(item, scope, key):
                text = "Everybody together asks more than these two cores can answer" if scope == "everybody" else (
                    f"That would be more than {item.amount} {what} in a {item.GRANULARITY.name}")  # fmt: skip
                raise self._refusal(who, scope, self._wait(item, scope, key), text)
        for scope, item, key in named:
            self._limiter.hit(item, scope, key)

    def _wait(self, item: RateLimitItem, *key: str) -> float:
        return max(1.0, self._limiter.get_window_stats(item, *key).reset_time - time.time())

    def _refusal(self, who: Who, scope: str, wait_s: float, text: str) -> Refused:
        self._refused(scope)
        self._limiter.hit(self.allowance.told, who.address)
        return Refused(scope, wait_s, f"{text}; try again in about {math.ceil(wait_s)} s. Tours and search are open.")


def bucket(host: str) -> str:
    """The address that counts: an IPv4 address, the /64 of an IPv6 one, anything else as it is, cut short."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def _seats(who: Who) -> tuple[str, str]:
    return f"visitor {who.both}", f"address {who.address}"


def _of_model(event: object) -> bool:
    """Whether an answer in which this happens is computed by a model."""
    return isinstance(event, Prefill) or (isinstance(event, TurnFinished) and bool(event.model))
