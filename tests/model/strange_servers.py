"""Model servers on loopback that misbehave, each in one way: what a foreign address may turn out to be."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STREAM = "text/event-stream"
Act = Callable[["Handler"], None]


def event(value: object) -> bytes:
    """One event of a stream, a JSON value as such."""
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chunk(text: object, finish: str | None = None, **more: Any) -> bytes:
    """One chunk of an answer."""
    delta = {"role": "assistant", "content": text}
    return event({"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


DONE = event(b"[DONE]")


class Handler(BaseHTTPRequestHandler):
    """Answers every request as `act` says; the server keeps the bodies that it was sent."""

    def do_POST(self) -> None:
        """Take a question."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, body))  # type: ignore[attr-defined]
        try:
            self.server.act(self)  # type: ignore[attr-defined]
        except OSError:
            self.server.left += 1  # type: ignore[attr-defined]

    def head(self, status: int = 200, kind: str = STREAM, **headers: str) -> None:
        """Begin an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def says(*pieces: bytes, status: int = 200, kind: str = STREAM, **headers: str) -> Act:
    """The pieces, then the connection is closed."""

    def act(handler: Handler) -> None:
        handler.head(status, kind, **headers)
        for piece in pieces:
            handler.wfile.write(piece)

    return act


def without_end(piece: bytes, kind: str = STREAM) -> Act:
    """The same piece until the other side hangs up."""

    def act(handler: Handler) -> None:
        handler.head(kind=kind)
        while True:
            handler.wfile.write(piece)

    return act


def silent(handler: Handler) -> None:
    """Nothing at all until the other side hangs up."""
    handler.connection.settimeout(30)
    handler.rfile.read(1)


def hangs_up(handler: Handler) -> None:
    """The connection is closed before an answer."""
    handler.close_connection = True


class Server(ThreadingHTTPServer):
    """One such server."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, act: Act) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.act = act
        self.seen: list[tuple[str, Any]] = []
        self.left = 0  # requests that the other side hung up on

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def server(act: Act) -> Iterator[Server]:
    """A server that does so."""
    with Server(act) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        try:
            yield made
        finally:
            made.shutdown()
