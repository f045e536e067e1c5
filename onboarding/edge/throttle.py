"""Answers 429 to an address that sends too many requests, holds too many open or has spent its CPU. Pure ASGI."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from onboarding.edge.allowlist import HOLD_S, with_headers
from onboarding.edge.client_address import address
from onboarding.edge.cpu_budget import OVERHEAD_S, CpuBudget, metered
from onboarding.edge.rate_limits import RateLimits

# Probes, and streams of what was let in: nobody loses an answer that is under way.
FREE = frozenset({"/healthz", "/readyz", "/gradio_api/queue/data"})
OPEN = "This address has {} requests open; end some of them first."
SPENT = "This address has used up its share of the machine; try again in {} s."
MANY = "Too many requests; try again in {} s."


class Throttle:
    """Has every request paid for by its address, and refuses those of one that asks for too much."""

    def __init__(
        self,
        app: ASGIApp,
        limits: RateLimits,
        budget: CpuBudget,
        refused: Callable[[str], None] = lambda _scope: None,
        hold_s: float = HOLD_S,
    ) -> None:
        """refused: is told "requests" at each refusal. hold_s: how late one comes that names a wait."""
        self._app = app
        self._limits = limits
        self._budget = budget
        self._refused = refused
        self._hold_s = hold_s
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on at its address's expense, or refuse it."""
        if scope["type"] != "http" or self._limits.is_off:
            await self._app(scope, receive, send)
            return
        host = address(scope)
        self._budget.charge(host, OVERHEAD_S)
        if self._open[host] >= self._limits.rates.open_requests and scope["path"] not in FREE:
            await self._refuse(OPEN.format(self._open[host]), 1, scope, receive, send)
            return
        self._open[host] += 1
        try:
            said, wait_s = self._excess(scope, host)
            if said:
                await asyncio.sleep(self._hold_s)
                await self._refuse(said.format(wait_s), wait_s, scope, receive, send)
            else:
                await metered(self._app(scope, receive, send), self._budget.payer(host))
        finally:
            self._open[host] -= 1
            if self._open[host] <= 0:
                del self._open[host]

    def _excess(self, scope: Scope, host: str) -> tuple[str, int]:
        """Return what there is too much of and the seconds to wait; ("", 0) for a request that may pass.

        A POST makes the server work, so each of them counts.
        """
        if scope["path"] not in FREE and (wait_s := self._budget.wait_s(host)):
            return SPENT, math.ceil(wait_s)
        if scope["method"] == "POST" and (wait_s := self._limits.request_wait_s(host)):
            return MANY, math.ceil(wait_s)
        return "", 0

    async def _refuse(self, said: str, wait_s: int, scope: Scope, receive: Receive, send: Send) -> None:
        self._refused("requests")
        answer = PlainTextResponse(said, 429, {"Retry-After": str(wait_s)})
        await answer(scope, receive, with_headers(send))
