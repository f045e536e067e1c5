"""Counts the CPU seconds that an address makes this process spend, over every request and handler; bounds them.

What is paid for: each step of a request and of a handler on the event loop, and each call that either hands to a
thread. The clock is the thread's own, so that nobody pays for what others do meanwhile. An address may spend BURST_S
at once and SHARE of a core for good; whoever has spent more is refused until time has paid it back.

Does not cover: the engine's computing, which the places of `admission.py` bound; threads that native code starts; many
addresses together. What is under way is not stopped, so one request must not be able to cost much: texts, lists and
drawings have limits of their own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread
import gradio as gr

T = TypeVar("T")
Pay = Callable[[float], None]  # CPU seconds

SHARE = 0.1  # of a core, for each address that may ask twelve questions a minute
BURST_S = 5.0
MOST_ADDRESSES = 10_000  # of which something is remembered
OVERHEAD_S = 0.0005  # of the server's own work for each request

# Who pays for what runs now, and the task whose steps are measured already.
PAYER: ContextVar[tuple[Pay, object] | None] = ContextVar("payer", default=None)


class CpuBudget:
    """What each address has spent and not yet paid back. Any thread may use it."""

    def __init__(
        self, share: float = SHARE, burst_s: float = BURST_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """share: CPU seconds paid back a second; 0 lifts the bound."""
        self._share = share
        self._burst_s = burst_s
        self._clock = clock
        self._lock = threading.Lock()
        self._debts: dict[str, tuple[float, float]] = {}  # address -> (CPU seconds, when that was so)

    def charge(self, address: str, seconds: float) -> None:
        """Note CPU seconds that an address made us spend."""
        if not self._share:
            return
        with self._lock:
            now = self._clock()
            self._debts[address] = (self._debt(address, now) + seconds, now)
            if len(self._debts) > MOST_ADDRESSES:
                self._debts = {one: debt for one, debt in self._debts.items() if self._debt(one, now) > 0}

    def wait_s(self, address: str) -> float:
        """Return 0.0, or the seconds until an address has paid back what it spent beyond its burst."""
        with self._lock:
            return max(0.0, self._debt(address, self._clock()) - self._burst_s) / (self._share or 1.0)

    def payer(self, address: str) -> Pay:
        """Return what charges an address."""
        return partial(self.charge, address)

    def _debt(self, address: str, now: float) -> float:
        debt, then = self._debts.get(address, (0.0, now))
        return max(0.0, debt - (now - then) * self._share)


class _Metered(Awaitable[T]):
    """An awaitable whose every step is paid for."""

    def __init__(self, inner: Awaitable[T], pay: Pay) -> None:
        self._inner = inner
        self._pay = pay

    def __await__(self) -> Generator[Any, Any, T]:
        steps: Any = self._inner.__await__()
        value: Any = None
        error: BaseException | None = None
        while True:
            began = time.thread_time()
            try:
                waits_for = steps.throw(error) if error else steps.send(value)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            finally:
                self._pay(time.thread_time() - began)
            try:
                value, error = (yield waits_for), None
            except BaseException as raised:  # cancelled from outside, too: what is measured decides
                value, error = None, raised


async def metered(inner: Awaitable[T], pay: Pay) -> T:
    """Await something at somebody's expense; what it hands to threads is paid for as well."""
    task = asyncio.current_task()
    paid = PAYER.get()
    if paid and paid[1] is task:
        return await inner  # as a part of what is measured already
    token = PAYER.set((pay, task))
    try:
        return await _Metered(inner, pay)
    finally:
        PAYER.reset(token)


def meter_handlers(page: gr.Blocks, pay_of: Callable[[Any], Pay], failed: Callable[[Any], None]) -> None:
    """Have every handler of the page paid for by whom its request came from.

    Gradio runs handlers in tasks of its queue, out of their requests; `process_api` is the one way into them all.
    failed: is given the request of a handler that ended with an exception, before its first step or later.
    """
    plain = page.process_api

    async def process_api(*args: Any, **kwargs: Any) -> Any:
        request = kwargs.get("request")
        try:
            return await metered(plain(*args, **kwargs), pay_of(request))
        except BaseException:
            failed(request)
            raise

    page.process_api = process_api


def _timed(func: Callable[..., T], pay: Pay, *args: Any) -> T:
    began = time.thread_time()
    try:
        return func(*args)
    finally:
        pay(time.thread_time() - began)


_plain_run_sync = anyio.to_thread.run_sync


async def _run_sync(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
    paid = PAYER.get()
    timed = partial(_timed, func, paid[0]) if paid else func
    return await _plain_run_sync(timed, *args, **options)


def meter_threads() -> None:
    """Have work in anyio's threads paid for; idempotent. Starlette and Gradio call it by this name."""
    setattr(anyio.to_thread, "run_sync", _run_sync)  # noqa: B010 - mypy knows the module, and that it is a function
