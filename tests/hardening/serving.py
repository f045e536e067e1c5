"""The whole application as a process of its own, its log in a file, for tests that look at it from outside.

Requests are plain HTTP; `verify=False` only saves each of them the reading of every certificate.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.loopback import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0  # nothing here measures time; this only ends a test that would hang


@dataclass(frozen=True)
class App:
    """A running application."""

    url: str
    data: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.data / "app.log").read_text("utf-8", "replace")

    def state(self) -> dict[str, Any]:
        """What /healthz says; {} while nothing answers yet."""
        try:
            answer = httpx2.get(f"{self.url}/healthz", verify=False, timeout=10)
        except httpx2.HTTPError:
            return {}
        return dict(answer.json())

    def wait_for(self, part: str, begins: str) -> str:
        """The state of a part once it begins so; AssertionError with the log when it never does."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            state = str(self.state().get("parts", {}).get(part, ""))
            if state.startswith(begins):
                return state
            time.sleep(0.1)
        raise AssertionError(f"{part} never became {begins!r}: {self.state()}\n{self.log}")

    def wait_until_ready(self) -> None:
        """Every part answers."""
        for part in ("model", "search", "router", "tools"):
            self.wait_for(part, "ready")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(with_signal)
        return self.process.wait(timeout=PATIENCE_S)


@contextmanager
def running(data: Path, program: Sequence[str] = ("app.py",), root: Path | str = ROOT, **env: str) -> Iterator[App]:
    """The application over its own data folder while the block runs. program: what Python is to run, in `root`."""
    port = free_port()
    with (data / "app.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *program], cwd=root, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, "DATA_DIR": str(data), "PORT": str(port), "HF_HUB_OFFLINE": "1", "ASKS_PER_MINUTE": "0", **env},
        )  # fmt: skip
    try:
        yield App(f"http://127.0.0.1:{port}", data, process)
    finally:
        process.kill()
        process.wait()


def post(app: App, path: str, body: Any) -> httpx2.Response:
    """Any JSON value to any path, lone surrogates too."""
    try:
        content = json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        content = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    return httpx2.post(f"{app.url}{path}", content=content, headers=headers, verify=False, timeout=60)


def call(app: App, name: str, *data: Any) -> tuple[str, Any]:
    """The last event of a named endpoint and its value, as any program would ask for them."""
    joined = post(app, f"/gradio_api/call/{name}", {"data": list(data)})
    if joined.status_code != 200:
        return f"HTTP {joined.status_code}", joined.json()
    address = f"{app.url}/gradio_api/call/{name}/{joined.json()['event_id']}"
    last: tuple[str, Any] = ("", None)
    with httpx2.stream("GET", address, verify=False, timeout=60) as events:
        kind = ""
        for line in events.iter_lines():
            if line.startswith("event:"):
                kind = line.removeprefix("event:").strip()
            elif line.startswith("data:") and kind != "heartbeat":
                value = json.loads(line.removeprefix("data:"))
                last = (kind, value[0] if isinstance(value, list) and value else value)
    return last
