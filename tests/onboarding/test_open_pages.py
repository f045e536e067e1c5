"""What the server remembers of pages that are closed, over the served page."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import gradio as gr
import httpx2
from fastapi import FastAPI

from onboarding.edge.open_pages import CLOSED_S, MOST, OpenPages, forget_closed
from onboarding.ui.page.page import build_page, mount_options
from tests.browser.serving import serving
from tests.fakes import ScriptedGuide


def comes_true(check: Callable[[], bool]) -> bool:
    """Whether it does before the patience ends."""
    end = time.monotonic() + 60
    while not check() and time.monotonic() < end:
        threading.Event().wait(0.02)
    return check()


def test_a_session_is_forgotten_once_no_page_is_open_for_it_and_no_other() -> None:
    page, app = build_page(ScriptedGuide(), {}), FastAPI()  # type: ignore[arg-type]
    open_pages: Counter[str] = Counter()
    gr.mount_gradio_app(app, page, "/", **mount_options())
    app.add_middleware(OpenPages, open_pages=open_pages)
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
            assert comes_true(lambda: set(open_pages) == {"stays"})
            assert forget_closed(page, open_pages) == 0, "it may have turned to another page for a moment"
            for session in held:
                page.state_holder.time_last_used[session] -= timedelta(seconds=CLOSED_S)
            assert forget_closed(page, open_pages) == 2
            assert set(held) == set(page.state_holder.time_last_used) == {"stays"}
