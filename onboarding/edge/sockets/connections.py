"""Bounds connections: how many an address holds, how long a request may take to come, and an answer to be read.

uvicorn waits without end for the first byte of a connection, for the rest of a request that has begun, and for a reader
who stopped. This protocol ends each of these. Its own limit (`limit_concurrency`) then bounds all together.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from onboarding.edge.client_address import UNKNOWN, Network, bucket, is_in, networks

HEAD_S = 20.0  # for the line and headers of a request, from the connection or their first byte on
STALL_S = 60.0  # for a reader to take something of what waits for it
HEADER_BYTES = 32 * 1024  # of a request's line and headers
KEEP_ALIVE_S = 10  # of a connection without a request
MOST = 2_000  # connections of everybody
FILES_BESIDE = 200  # open files that are no connections


def bounded(most: int, trust: str = "", head_s: float = HEAD_S, stall_s: float = STALL_S) -> type[H11Protocol]:
    """Return a protocol for uvicorn. most: connections of an address, 0 for any number; trusted proxies hold more.

    trust: as in `client_address.ClientAddress`.
    """
    own = {"most": most, "proxies": networks(trust), "head_s": head_s, "stall_s": stall_s, "held": Counter[str]()}
    return type("BoundedConnection", (_Bounded,), own)


class _Bounded(H11Protocol):
    """One connection; what all share stands in a class made by `bounded`."""

    most: ClassVar[int]
    proxies: ClassVar[list[Network]]
    head_s: ClassVar[float]
    stall_s: ClassVar[float]
    held: ClassVar[Counter[str]]  # connections of each address

    _peer = ""
    _waiting: asyncio.TimerHandle | None = None  # for a request
    _stalled: asyncio.TimerHandle | None = None  # for a reader

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        host = self.client[0] if self.client else UNKNOWN
        if self.most and not is_in(host, self.proxies):
            self._peer = bucket(host)
            self.held[self._peer] += 1
        if self._peer and self.held[self._peer] > self.most:
            transport.abort()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        self._end_stall()
        if self._peer:
            self.held[self._peer] -= 1
            if self.held[self._peer] <= 0:
                del self.held[self._peer]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._end_wait()
        elif self._waiting is None and not self.transport.is_closing():
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self._stalled or self.loop.call_later(self.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._end_stall()
        super().resume_writing()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.head_s, self.transport.abort)

    def _end_wait(self) -> None:
        if self._waiting:
            self._waiting.cancel()
        self._waiting = None

    def _end_stall(self) -> None:
        if self._stalled:
            self._stalled.cancel()
        self._stalled = None


def most_connections() -> int:
    """Return how many connections fit, after raising this process's limit of open files as far as it may."""
    try:
        import resource
    except ImportError:  # Windows
        return MOST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST if soft == resource.RLIM_INFINITY else max(64, min(MOST, soft - FILES_BESIDE))
