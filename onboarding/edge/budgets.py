"""Refuses an address that has spent its CPU seconds, or has too many requests open. Pure ASGI."""

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
from onboarding.edge.rate_limits import Rates

# Probes, and streams of what was let in: nobody loses an answer that is under way.
FREE = frozenset({"/healthz", "/readyz", "/gradio_api/queue/data"})
SPENT = "This address has used up its share of the machine; try again in {} s."
OPEN = "This address has {} requests open; end some of them first."


class Budgets:
    """Has every request paid for by its address, and answers 429 to one that cannot."""

    def __init__(
        self,
        app: ASGIApp,
        budget: CpuBudget,
        rates: Rates,
        refused: Callable[[str], None] = lambda _scope: None,
        hold_s: float = HOLD_S,
    ) -> None:
        """refused: is told "requests" at each refusal. hold_s: how late a refusal over CPU seconds comes."""
        self._app = app
        self._budget = budget
        self._most_open = rates.open_requests
        self._refused = refused
        self._hold_s = hold_s
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on at its address's expense, or refuse it."""
        if scope["type"] != "http" or not self._most_open:
            await self._app(scope, receive, send)
            return
        host = address(scope)
        self._budget.charge(host, OVERHEAD_S)
        if self._open[host] >= self._most_open and scope["path"] not in FREE:
            await self._refuse(OPEN.format(self._open[host]), 1.0, scope, receive, send)
            return
        self._open[host] += 1
        try:
            if scope["path"] not in FREE and (wait_s := self._budget.wait_s(host)):
                await asyncio.sleep(self._hold_s)
                await self._refuse(SPENT.format(math.ceil(wait_s)), wait_s, scope, receive, send)
            else:
                await metered(self._app(scope, receive, send), self._budget.payer(host))
        finally:
            self._open[host] -= 1
            if self._open[host] <= 0:
                del self._open[host]

    async def _refuse(self, said: str, wait_s: float, scope: Scope, receive: Receive, send: Send) -> None:
        self._refused("requests")
        answer = PlainTextResponse(said, 429, {"Retry-After": str(math.ceil(wait_s))})
        await answer(scope, receive, with_headers(send))
