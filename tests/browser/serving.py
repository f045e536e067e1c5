"""Serves the page over a guide on loopback, behind the app's own guard. Usable by hand:

python -m tests.browser.serving [--port 7861] [--pace 0.05]
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, sync_playwright

from onboarding.edge.admission import Admission
from onboarding.edge.allowlist import Allowlist
from onboarding.edge.call_check import CallCheck
from onboarding.feedback.service import Feedback
from onboarding.ui.page.page import Tab, build_page, mount_options
from tests.fakes import ScriptedGuide

HOSTS = {"healthy": "A hypervisor nobody complains about", "libvirtd-down": "libvirtd is down"}

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, or the one that CHROMIUM names; a missing one is an error that says what to do."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        yield browser
        browser.close()


def chromium_path() -> str:
    """Where the browser lies."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        raise FileNotFoundError("no browser found: run `apt-get install chromium`, or set CHROMIUM to the path of one")
    return path


def make_app(
    guide: Any, tabs: tuple[Tab, ...] = (), feedback: Feedback | None = None, admission: Admission | None = None
) -> FastAPI:
    """The page at "/" behind the app's guard."""
    app = FastAPI()
    page = build_page(guide, HOSTS, tabs, feedback=feedback, admission=admission)
    gr.mount_gradio_app(app, page, "/", **mount_options())
    app.add_middleware(Allowlist, check=CallCheck(page))
    return app


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The address of the app while the block runs; a free port unless one is given."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def process(port: int) -> Iterator[str]:
    """The page in a process of its own while the block runs; it is killed at the end, as a crash would."""
    command = [sys.executable, "-m", "tests.browser.serving", "--port", str(port), "--pace", "0.002"]
    server = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    try:
        while not _listens(port):
            if server.poll() is not None:
                raise RuntimeError(f"the server ended with {server.returncode} before it listened")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
