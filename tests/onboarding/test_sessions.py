"""What an address may leave behind, what is remembered of closed pages, and what a program has to bring."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import gradio as gr
import httpx2
import pytest
import time_machine
from fastapi import FastAPI

from onboarding.api import Programs
from onboarding.edge.allowlist import Allowlist, CallRefused
from onboarding.edge.call_check import CallCheck
from onboarding.edge.rate_limits import NO_LIMITS, RateLimits, Rates
from onboarding.edge.sessions import CLOSED_S, MOST, Sessions, SessionStreams, forget_closed
from onboarding.mcp_tools import McpAddress, McpTools
from onboarding.ui.page.page import build_page, mount_options
from tests.browser.serving import serving
from tests.fakes import ScriptedGuide
from tests.waiting import eventually
from tools.simulation.hosts import load_hosts

RATES = Rates()
ANNA, BERT = "192.0.2.1", "192.0.2.2"


def begun(sessions: Sessions, address: str, names: list[str], *, read: bool = True) -> int:
    """How many of these sessions may begin."""
    count = 0
    for name in names:
        try:
            sessions.begin(address, name)
        except CallRefused as refused:
            assert refused.status == 429
            continue
        count += 1
        if read:
            with sessions.reader(name):
                pass
    return count


def test_one_address_cannot_push_the_sessions_of_others_out() -> None:
    with time_machine.travel(1_780_000_000.0, tick=False):
        sessions = Sessions(RateLimits(RATES), clock=lambda: 0.0)
        assert begun(sessions, ANNA, [f"a{number}" for number in range(500)]) == RATES.asks * 10
        assert begun(sessions, BERT, ["b"]) == 1
        assert begun(sessions, ANNA, ["a1"]) == 1  # a page that is open goes on


def test_what_nobody_reads_is_bounded_until_it_is_forgotten() -> None:
    now = [0.0]
    sessions = Sessions(RateLimits(RATES), clock=lambda: now[0])
    names = [f"a{number}" for number in range(RATES.unread + 5)]
    assert begun(sessions, ANNA, names, read=False) == RATES.unread
    assert begun(sessions, BERT, ["b"], read=False) == 1
    with sessions.reader("a0"):
        assert begun(sessions, ANNA, ["a0", "a0", "new"], read=False) == 3  # its stream is open: all of it is read
    now[0] = CLOSED_S + 1
    assert begun(sessions, ANNA, ["later"], read=False) == 1
    assert not any(name in sessions._known[ANNA] for name in names)


def test_without_limits_nothing_is_counted() -> None:
    sessions = Sessions(RateLimits(NO_LIMITS))
    assert begun(sessions, ANNA, [f"a{number}" for number in range(500)], read=False) == 500


def test_a_session_is_forgotten_once_no_page_is_open_for_it_and_no_other() -> None:
    page, app = build_page(ScriptedGuide(), {}), FastAPI()  # type: ignore[arg-type]
    sessions = Sessions(RateLimits(NO_LIMITS))
    open_pages = sessions.open_pages
    gr.mount_gradio_app(app, page, "/", **mount_options())
    app.add_middleware(SessionStreams, sessions=sessions, page=page)
    handler = next(number for number, fn in page.fns.items() if fn.api_name == "_manage_saved")
    call = {"data": [None], "fn_index": handler}
    with serving(app) as url, httpx2.Client(base_url=url, timeout=60) as http:
        assert page.state_holder.capacity == MOST < 10_000
        for session in ("stays", "leaves", "a program's"):
            http.post("/gradio_api/run/predict", json=call | {"session_hash": session})
        held = page.state_holder.session_data
        assert set(held) == {"stays", "leaves", "a program's"}
        with http.stream("GET", "/gradio_api/heartbeat/stays") as stays:
            staying = stays.iter_lines()  # held: httpx closes the stream with it
            assert "ALIVE" in next(staying)
            with http.stream("GET", "/gradio_api/heartbeat/leaves") as leaves:
                leaving = leaves.iter_lines()
                assert "ALIVE" in next(leaving)
                assert set(open_pages) == {"stays", "leaves"}
            eventually(lambda: set(open_pages) == {"stays"})
            assert forget_closed(page, open_pages) == 0, "it may have turned to another page for a moment"
            for session in held:
                page.state_holder.time_last_used[session] -= timedelta(seconds=CLOSED_S)
            assert forget_closed(page, open_pages) == 2
            assert set(held) == set(page.state_holder.time_last_used) == {"stays"}


TOKEN = "only-ours"
SAID = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("token", ["", TOKEN])
def test_programs_bring_the_token_where_there_is_one_and_the_page_does_not(token: str) -> None:
    guide = ScriptedGuide()
    programs = Programs(guide, load_hosts())  # type: ignore[arg-type]
    page, app = build_page(guide, {}, endpoints=programs.build), FastAPI()  # type: ignore[arg-type]
    gr.mount_gradio_app(app, page, "/", **mount_options())
    McpTools(programs.endpoints()).serve(page, "test")
    app.add_middleware(McpAddress, token=token)
    app.add_middleware(Allowlist, check=CallCheck(page, token=token))
    numbers = {fn.api_name: number for number, fn in page.fns.items()}
    with serving(app) as url, httpx2.Client(base_url=url, timeout=60) as http:
        for given in ("", "Bearer wrong", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN}"):
            passes = not token or given == f"Bearer {token}"
            headers = ACCEPT | ({"authorization": given} if given else {})
            called = http.post("/gradio_api/call/tours", json={"data": []}, headers=headers)
            asked = http.post("/gradio_api/mcp", json=SAID, headers=headers)
            assert (called.status_code, asked.status_code) == ((200, 200) if passes else (401, 401)), given
            for name, open_to_all in (("tours", False), ("_manage_saved", True)):
                body = {"data": [None] if open_to_all else [], "fn_index": numbers[name], "session_hash": "one"}
                http.post("/gradio_api/queue/join", json=body, headers=headers)
                with http.stream("GET", "/gradio_api/queue/data?session_hash=one") as events:
                    said = "".join(events.iter_lines())
                assert ('"success":true' in said) is (passes or open_to_all), (name, given)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    statuses: list[int] = []

    async def send(message: object) -> None:
        if isinstance(message, dict) and "status" in message:
            statuses.append(message["status"])

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b"{", "more_body": True}

    async def never(*_: object) -> None:
        raise AssertionError("a half body was handed on")

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/queue/join", "headers": []}
    asyncio.run(Allowlist(never, body_s=0.1)(scope, receive, send))
    assert statuses == [408]
