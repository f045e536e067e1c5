"""Serves the page over a guide on loopback, behind the same content policy as the app. Usable by hand:

python -m tests.browser.serving [--port 7861] [--pace 0.05]
"""

from __future__ import annotations

import argparse
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response

from onboarding.ui.page import Tab, build_page, mount_options
from tests.fakes import ScriptedGuide

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'"
)
HOSTS = {"healthy": "A hypervisor nobody complains about", "libvirtd-down": "libvirtd is down"}


def make_app(guide: Any, tabs: tuple[Tab, ...] = ()) -> FastAPI:
    """The page at "/" with the app's content policy."""
    app = FastAPI()

    @app.middleware("http")
    async def policy(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    gr.mount_gradio_app(app, build_page(guide, HOSTS, tabs), "/", **mount_options())
    return app


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The address of the app while the block runs; a free port unless one is given."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7861)
    parser.add_argument("--pace", type=float, default=0.05, help="seconds between two events")
    options = parser.parse_args()
    with serving(make_app(ScriptedGuide(pace_s=options.pace)), options.port):
        threading.Event().wait()


if __name__ == "__main__":
    main()
