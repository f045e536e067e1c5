"""Counts what an address, a visitor and everybody together do, and says when that is too much.

`limits` does the counting, in memory, over sliding windows. A client can make up sessions, not addresses, so a flood
meets its address's limits and everybody else finds the engine as it would be without it, but for that much.

Does not cover: a flood from many addresses (the limit for everybody then refuses honest visitors too), and clients
that share one address (raise ASKS_PER_MINUTE for a class behind one router).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from onboarding.edge.client_address import Asker
from onboarding.edge.cpu_budget import SHARE

# Refusals a minute that an address reads on its page: a person needs no more, and drawing one costs what a search does.
DRAWN_REFUSALS = 6
USUAL_ASKS = 12


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates that are allowed. The defaults fit two cores that finish about six answers a minute."""

    asks: int = USUAL_ASKS  # questions an address may ask a minute; 0 lifts every limit

    @property
    def at_once(self) -> int:
        """Answers an address may have under way or waiting; a visitor has one."""
        return max(2, self.asks // 6)

    @property
    def questions(self) -> list[tuple[str, RateLimitItem]]:
        """(whose limit, limit) of questions, which use the model."""
        return [
            ("visitor", RateLimitItemPerMinute(math.ceil(self.asks * 2 / 3), namespace="ask")),
            ("address", RateLimitItemPerMinute(self.asks, namespace="ask")),
            ("address", RateLimitItemPerHour(self.asks * 15, namespace="ask")),
            ("everybody", RateLimitItemPerMinute(self.asks * 5, namespace="ask")),
        ]

    @property
    def calls(self) -> list[tuple[str, RateLimitItem]]:
        """(whose limit, limit) of programs' searches, routes and tools, which take milliseconds."""
        return [
            ("visitor", RateLimitItemPerMinute(self.asks * 5, namespace="call")),
            ("address", RateLimitItemPerMinute(self.asks * 10, namespace="call")),
            ("everybody", RateLimitItemPerMinute(self.asks * 50, namespace="call")),
        ]

    @property
    def drawn_refusals(self) -> RateLimitItem:
        """Refusals that an address reads on its page; see DRAWN_REFUSALS."""
        return RateLimitItemPerMinute(DRAWN_REFUSALS, namespace="refusal")

    @property
    def requests(self) -> RateLimitItem:
        """HTTP requests of an address that make the server work: a page polls twice a second at most."""
        return RateLimitItemPerMinute(self.asks * 100, namespace="request")

    @property
    def sessions(self) -> RateLimitItem:
        """New sessions of an address: each keeps memory that all share, and a program's call takes one."""
        return RateLimitItemPerMinute(self.asks * 10, namespace="session")

    @property
    def feedback(self) -> list[RateLimitItem]:
        """Rows of feedback, and deletions, of an address: a thumb on each answer, and some words."""
        return [
            RateLimitItemPerMinute(self.asks, namespace="feedback"),
            RateLimitItemPerHour(self.asks * 10, namespace="feedback"),
        ]

    @property
    def visits(self) -> RateLimitItem:
        """Opened pages of an address that are counted."""
        return RateLimitItemPerMinute(max(1, self.asks // 2), namespace="visit")

    @property
    def unread(self) -> int:
        """Sessions of an address whose results nobody reads."""
        return self.asks * 2

    @property
    def open_requests(self) -> int:
        """Requests of an address that are open at once, streams among them; an open page holds one or two."""
        return self.asks * 10

    @property
    def cpu_share(self) -> float:
        """CPU seconds a second that an address may use, beside the engine's."""
        return SHARE * self.asks / USUAL_ASKS


@dataclass(frozen=True, slots=True)
class Excess:
    """A limit that one more would exceed."""

    scope: str  # "visitor", "address" or "everybody"
    limit: RateLimitItem
    wait_s: float  # until it no longer would


class RateLimits:
    """Sliding windows over what is counted. Any thread may use it."""

    def __init__(self, rates: Rates = Rates(), storage: MemoryStorage | None = None) -> None:
        """Count in `storage`, by default in a memory of its own."""
        self.rates = rates
        self._limiter = SlidingWindowCounterRateLimiter(storage or MemoryStorage())

    @property
    def is_off(self) -> bool:
        """True where nobody is limited."""
        return not self.rates.asks

    def excess(self, items: list[tuple[str, RateLimitItem]], asker: Asker) -> Excess | None:
        """Return the first limit that one more of `asker` would exceed; counts nothing."""
        if self.is_off:
            return None
        keys = asker.keys
        over = (pair for pair in items if not self._limiter.test(pair[1], pair[0], keys[pair[0]]))
        return next((Excess(scope, item, self._wait_s(item, scope, keys[scope])) for scope, item in over), None)

    def count(self, items: list[tuple[str, RateLimitItem]], asker: Asker) -> None:
        """Count one more of `asker` under every limit."""
        if not self.is_off:
            keys = asker.keys
            for scope, item in items:
                self._limiter.hit(item, scope, keys[scope])

    def count_refusal(self, host: str) -> None:
        """Count a refusal that an address reads on its page."""
        self._limiter.hit(self.rates.drawn_refusals, host)

    def refusals_wait_s(self, host: str) -> float:
        """Return 0.0, or the seconds to wait for an address that was refused so often that it reads no refusals."""
        item = self.rates.drawn_refusals
        return 0.0 if self.is_off or self._limiter.test(item, host) else self._wait_s(item, host)

    def request_wait_s(self, host: str) -> float:
        """Count an HTTP request of an address: 0.0, or the seconds to wait when it is one too many."""
        return self._hit([self.rates.requests], host)

    def session_wait_s(self, host: str) -> float:
        """Count a new session of an address: 0.0, or the seconds to wait when it is one too many."""
        return self._hit([self.rates.sessions], host)

    def feedback_wait_s(self, host: str) -> float:
        """Count a row of feedback or a deletion: 0.0, or the seconds to wait when it is one too many."""
        return self._hit(self.rates.feedback, host)

    def counts_visit(self, host: str) -> bool:
        """Count an opened page of an address; False when it is one too many to be a person's."""
        return not self._hit([self.rates.visits], host)

    def _hit(self, items: list[RateLimitItem], host: str) -> float:
        """Count one more under every limit, or under none where one of them is reached: then the seconds to wait."""
        if self.is_off:
            return 0.0
        if reached := [item for item in items if not self._limiter.test(item, host)]:
            return max(self._wait_s(item, host) for item in reached)
        for item in items:
            self._limiter.hit(item, host)
        return 0.0

    def _wait_s(self, item: RateLimitItem, *key: str) -> float:
        return max(1.0, self._limiter.get_window_stats(item, *key).reset_time - time.time())


NO_LIMITS = Rates(0)  # for tests of other things, and for whoever limits in front of the app
