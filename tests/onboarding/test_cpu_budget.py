"""CPU seconds of an address: who pays for what, and when somebody has to wait."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio.to_thread
import gradio as gr
import pytest
from gradio_client import Client
from starlette.types import Receive, Scope, Send

from app import create_app
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.edge.admission import Admission, Refused, carried
from onboarding.edge.client_address import Asker
from onboarding.edge.cpu_budget import CpuBudget, Pay, meter_handlers, meter_threads, metered
from onboarding.edge.rate_limits import NO_LIMITS, RateLimits, Rates
from onboarding.edge.throttle import Throttle
from tests.browser.serving import serving

ANNA, BERT = "192.0.2.1", "192.0.2.2"


def burn(seconds: float) -> None:
    """Use so much of this thread's CPU."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_spent_beyond_the_burst_is_paid_back_by_waiting() -> None:
    clock = Clock()
    budget = CpuBudget(share=0.1, burst_s=5.0, clock=clock)
    budget.charge(ANNA, 5.0)
    assert budget.wait_s(ANNA) == 0.0
    budget.charge(ANNA, 2.0)
    assert budget.wait_s(ANNA) == pytest.approx(20.0)
    assert budget.wait_s(BERT) == 0.0
    clock.now += 20.1
    assert budget.wait_s(ANNA) == 0.0


def test_many_addresses_leave_no_memory_once_they_have_paid_back() -> None:
    clock = Clock()
    budget = CpuBudget(clock=clock)
    for number in range(10_000):
        budget.charge(f"a{number}", 0.1)
    clock.now += 100
    budget.charge("last", 0.1)
    assert set(budget._debts) == {"last"}


def test_steps_and_threads_are_paid_for_and_waiting_is_not() -> None:
    meter_threads()
    spent: dict[str, float] = {"anna": 0.0, "bert": 0.0}

    def payer(who: str) -> Pay:
        def pay(seconds: float) -> None:
            spent[who] += seconds

        return pay

    async def stepwise() -> str:
        for _ in range(3):
            burn(0.02)
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        await anyio.to_thread.run_sync(burn, 0.05)
        await metered(asyncio.sleep(0), payer("anna"))  # a part of what is measured already
        return "done"

    async def both() -> list[str]:
        return list(await asyncio.gather(metered(stepwise(), payer("anna")), metered(stepwise(), payer("bert"))))

    assert asyncio.run(both()) == ["done", "done"]
    for who in ("anna", "bert"):
        assert 0.11 <= spent[who] < 0.2  # its own, and nothing of the other's


def test_an_exception_and_a_cancellation_pass_through() -> None:
    cleaned: list[str] = []

    async def breaks() -> None:
        await asyncio.sleep(0)
        raise ValueError("as it was")

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cleaned.append("up")
            raise

    async def tried() -> None:
        with pytest.raises(ValueError, match="as it was"):
            await metered(breaks(), lambda _s: None)
        task = asyncio.create_task(metered(waits(), lambda _s: None))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(tried())
    assert cleaned == ["up"]


def ask(throttle: Throttle, path: str = "/", host: str = ANNA) -> int:
    """The status of a request."""
    statuses: list[int] = []

    async def send(message: object) -> None:
        if isinstance(message, dict) and "status" in message:
            statuses.append(message["status"])

    scope = {"type": "http", "path": path, "method": "GET", "headers": [], "client": (host, 1)}
    asyncio.run(throttle(scope, lambda: asyncio.sleep(0, {}), send))
    return statuses[0]


@pytest.mark.parametrize("rates", [Rates(), NO_LIMITS])
def test_reading_costs_as_calling_does_and_probes_and_running_answers_go_on(rates: Rates) -> None:
    async def draws(_scope: Scope, _receive: Receive, send: Send) -> None:
        burn(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    budget = CpuBudget(rates.cpu_share / 1000, burst_s=0.12)
    throttle = Throttle(draws, RateLimits(rates), budget, hold_s=0.0)
    statuses = [ask(throttle) for _ in range(5)]
    assert statuses == ([200, 200, 200, 429, 429] if rates.asks else [200] * 5)
    assert ask(throttle, host=BERT) == 200
    assert [ask(throttle, path) for path in ("/healthz", "/readyz", "/gradio_api/queue/data")] == [200] * 3


def test_an_address_holds_only_so_many_requests_open() -> None:
    held = asyncio.Event()

    async def streams(_scope: Scope, _receive: Receive, send: Send) -> None:
        await held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def tried() -> list[int]:
        throttle, statuses = Throttle(streams, RateLimits(Rates()), CpuBudget(), hold_s=0.0), []

        async def send(message: object) -> None:
            if isinstance(message, dict) and "status" in message:
                statuses.append(message["status"])

        async def one(host: str) -> None:
            scope = {"type": "http", "path": "/", "method": "GET", "headers": [], "client": (host, 1)}
            await throttle(scope, lambda: asyncio.sleep(0, {}), send)

        tasks = [asyncio.create_task(one(ANNA)) for _ in range(Rates().open_requests + 7)]
        tasks.append(asyncio.create_task(one(BERT)))
        await asyncio.sleep(0.05)
        assert statuses == [429] * 7
        held.set()
        await asyncio.gather(*tasks)
        assert not throttle._open
        return statuses

    assert asyncio.run(tried()).count(200) == Rates().open_requests + 1


def test_a_handler_that_ends_with_an_exception_gives_its_place_back_and_is_paid_for() -> None:
    admission, budget = Admission(RateLimits(Rates())), CpuBudget(clock=Clock())
    request = SimpleNamespace(state=SimpleNamespace(), client=SimpleNamespace(host=ANNA), session_hash="anna")

    class Page:
        async def process_api(self, request: object) -> None:
            burn(0.02)
            raise ValueError("no such choice")

    page: Any = Page()
    meter_handlers(page, lambda one: budget.payer(one.client.host), lambda one: admission.release(carried(one)))
    for _ in range(5):
        place = admission.decide(Asker("anna", ANNA))
        assert not isinstance(place, Refused)
        request.state.admitted = place
        with pytest.raises(ValueError, match="no such choice"):
            asyncio.run(page.process_api(request=request))
    assert admission.waiting.ahead == 0 and not admission._places
    assert 0.1 <= budget._debts[ANNA][0] < 0.3


def test_a_call_costs_no_more_for_the_calls_before_it(tmp_path: Path) -> None:
    """Gradio would keep 10,000 calls and make a table of them after each, and draw up the page for each session."""
    guide = Guide(Parts(PartsSettings(engine="scripted", data=tmp_path)))
    app = create_app(guide, load_parts=False)
    mounted = next(inner for route in app.routes if isinstance(inner := getattr(route, "app", None), gr.routes.App))
    queue = mounted.get_blocks()._queue
    with serving(app) as url:
        for _ in range(3):
            Client(url, verbose=False).predict("healthy", api_name="/system_info")
    assert queue.events_recorded == 3
    assert len(queue.event_analytics) == 1
    assert queue.cached_event_analytics_summary == {"functions": {}}
    sessions = mounted.state_holder.session_data.values()
    assert [session.config_values for session in sessions] == [{}] * 3
