"""Connections that hold without asking, readers who stop, and where this process may connect to."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from onboarding.edge.sockets.connections import HEADER_BYTES, bounded, most_connections
from onboarding.edge.sockets.outbound import HUB, Outbound, allowed_hosts

MOST = 3
ROOT = Path(__file__).parents[2]


async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Send more than any buffer takes; a short answer to /short."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(1 if _scope["path"] == "/short" else 2_000):
        await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def served(most: int = MOST, trust: str = "") -> Iterator[tuple[str, int]]:
    """A server with short patience."""
    http = bounded(most, trust, head_s=0.3, stall_s=0.3)
    config = uvicorn.Config(
        endless, http=http, ws="none", log_level="error", lifespan="off", h11_max_incomplete_event_size=HEADER_BYTES
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(30)


def opened(address: tuple[str, int], sent: bytes = b"") -> socket.socket:
    """A connection on which so much was sent."""
    connection = socket.create_connection(address, timeout=30)
    connection.sendall(sent)
    return connection


def is_ended(connection: socket.socket) -> bool:
    """Whether the server ends it before the patience does, whatever it says first."""
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"GET /short HTTP/1.1\r\nHost: x\r\n"]
)
def test_a_connection_that_does_not_ask_is_ended(sent: bytes) -> None:
    with served() as address, opened(address, sent) as connection:
        assert is_ended(connection)


def test_headers_have_a_size() -> None:
    with served() as address, opened(address, b"GET / HTTP/1.1\r\nX: " + b"x" * 3 * HEADER_BYTES) as connection:
        assert connection.recv(12) == b"HTTP/1.1 400"


def test_a_reader_who_stops_is_left() -> None:
    with served() as address, opened(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        threading.Event().wait(1.0)  # the buffers are full by now, and the stall has lasted
        received = 0
        try:
            while piece := connection.recv(1 << 20):
                received += len(piece)
        except OSError:
            pass
        assert received < 2_000 * 100_000


@pytest.mark.parametrize("trust", ["", "127.0.0.0/8"])
def test_an_address_holds_only_so_many_connections_unless_it_is_the_proxys(trust: str) -> None:
    ask = b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n"
    with served(trust=trust) as address:
        held = [opened(address, ask) for _ in range(MOST + 2)]
        answered = 0
        for connection in held:
            try:
                answered += connection.recv(15) == b"HTTP/1.1 200 OK"
            except OSError:
                continue
        assert answered == (MOST + 2 if trust else MOST)
        for connection in held:
            connection.close()
        again = [opened(address, ask) for _ in range(1)]  # what is closed counts no longer
        assert again[0].recv(15) == b"HTTP/1.1 200 OK"
        again[0].close()


def test_the_limit_of_all_connections_fits_the_open_files() -> None:
    assert 64 <= most_connections() <= 2_000


# What a request, a library or a file could make the process try: each a line that must raise.
TRIES = {
    "a name": "socket.create_connection(('evil.example', 443), 2)",
    "an address": "socket.create_connection(('198.51.100.7', 443), 2)",
    "another port": "socket.create_connection(('127.0.0.1', other), 2)",
    "without a sound": "error = socket.socket().connect_ex(('127.0.0.1', other)); raise OSError(error)",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('198.51.100.7', 53))",
    "a look-up": "socket.getaddrinfo('secret.evil.example', 80)",
    "an old look-up": "socket.gethostbyname('secret.evil.example')",
    "an older name": "sys.modules['_socket'].getaddrinfo('secret.evil.example', 80)",
    "urllib": "urllib.request.urlopen('http://evil.example/x', timeout=2)",
    "a look-alike": "urllib.request.urlopen('https://evilhuggingface.co/x', timeout=2)",
    "an event loop": "asyncio.run(asyncio.open_connection('127.0.0.1', other))",
    "an HTTP client": "httpx2.get(f'http://127.0.0.1:{other}/', timeout=2)",
    "IPv6": "socket.socket(socket.AF_INET6).connect(('::1', other))",
}
SCRIPT = """
import asyncio, json, os, socket, sys, urllib.request
import httpx2
from onboarding.edge.sockets.outbound import Outbound, Unreachable, allowed_hosts
engine, other, tries = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
Outbound(allowed_hosts(f"http://localhost:{engine}/v1", {})).watch()
def came_of(line):
    try:
        exec(line)
    except BaseException as error:
        while error and not isinstance(error, Unreachable):
            error = error.__cause__ or error.__context__ or (error.args and isinstance(error.args[0], BaseException) and error.args[0])
        return "refused" if error else "something else"
    return "connected"

found = {name: came_of(line) for name, line in tries.items()}
found["the model server"] = httpx2.get(f"http://localhost:{engine}/short", timeout=5).status_code
print(json.dumps(found))
"""


def test_the_process_reaches_the_model_server_and_nothing_else() -> None:
    with served(most=0) as (_, engine), socket.create_server(("127.0.0.1", 0)) as other:
        command = [sys.executable, "-c", SCRIPT, str(engine), str(other.getsockname()[1]), json.dumps(TRIES)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
        found = json.loads(done.stdout)
        assert found == dict.fromkeys(TRIES, "refused") | {"the model server": 200}, done.stderr
        other.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.accept()


def test_what_is_allowed_is_the_hub_the_model_server_and_their_proxies_at_their_ports() -> None:
    env = {"HTTPS_PROXY": "http://proxy.example:3128", "HF_ENDPOINT": "https://mirror.example"}
    allowed = allowed_hosts("http://127.0.0.1:8099/v1", env)
    assert allowed == {
        **{host: {443} for host in HUB}, "127.0.0.1": {8099}, "proxy.example": {3128}, "mirror.example": {443},
    }  # fmt: skip
    damaged = {"HTTPS_PROXY": "proxy.example:port", "HTTP_PROXY": "http://[::1", "HF_ENDPOINT": "https://x:99999"}
    assert allowed_hosts("", damaged) == {host: {443} for host in HUB}  # leads nowhere, and ends no start
    guard = Outbound(allowed)
    assert guard._ports("cdn-lfs.hf.co") == {443} and not guard._ports("hf.co.evil.example")
