"""Bounds what an address may leave behind in the server: sessions, and results that nobody reads.

Gradio keeps a session for each call of a program and each open page, and each result until its stream is read; both
stores are shared by everybody and drop the oldest when they are full. So an address may begin only so many sessions,
and has to read what it asked for before it asks for more.
"""

from __future__ import annotations

import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from urllib.parse import parse_qs

import gradio as gr
from starlette.types import ASGIApp, Receive, Scope, Send

from onboarding.edge.allowlist import CallRefused
from onboarding.edge.open_pages import CLOSED_S
from onboarding.edge.rate_limits import RateLimits

PAGE_STREAM = "/gradio_api/queue/data"
CALL_STREAM = re.compile(r"/gradio_api/call/[a-z_]+/([0-9a-f]{1,64})")


class Sessions:
    """Sessions by address, and which of them have something that is not being read. Belongs to one event loop."""

    def __init__(self, limits: RateLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._known: dict[str, OrderedDict[str, float]] = {}  # address -> session -> last use
        self._unread: dict[str, dict[str, None]] = {}  # address -> sessions
        self._streams: Counter[str] = Counter()  # session -> open streams

    def begin(self, address: str, session: str) -> None:
        """Note a call of a session; raises CallRefused where an address has too many sessions or unread results."""
        if self._limits.is_off:
            return
        self._forget_old()
        unread = self._unread.get(address, {})
        if session not in unread and len(unread) >= self._limits.rates.unread:
            said = f"{len(unread)} of your calls have results that nobody reads; read their streams first."
            raise CallRefused(said, 429, 1.0, hold=True)
        known = self._known.setdefault(address, OrderedDict())
        if session not in known and (wait_s := self._limits.session_wait_s(address)):
            raise CallRefused(f"Too many new sessions; try again in {wait_s:.0f} s.", 429, wait_s, hold=True)
        known[session] = self._clock()
        known.move_to_end(session)
        if not self._streams[session]:
            self._unread.setdefault(address, {})[session] = None

    def opened(self, session: str) -> None:
        """Note that somebody reads the results of a session."""
        self._streams[session] += 1
        for unread in self._unread.values():
            unread.pop(session, None)

    def closed(self, session: str) -> None:
        """Note that a reader has left."""
        self._streams[session] -= 1
        if self._streams[session] <= 0:
            del self._streams[session]

    def _forget_old(self) -> None:
        """Forget sessions as the server does; what they left unread goes with them."""
        before = self._clock() - CLOSED_S
        for address, known in list(self._known.items()):
            while known and next(iter(known.values())) < before:
                session, _ = known.popitem(last=False)
                self._unread.get(address, {}).pop(session, None)
            if not known:
                del self._known[address]
                self._unread.pop(address, None)


class Readers:
    """ASGI middleware that tells Sessions whose results are being read."""

    def __init__(self, app: ASGIApp, sessions: Sessions, page: gr.Blocks) -> None:
        self._app = app
        self._sessions = sessions
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; note a stream for as long as it lasts."""
        session = self._read(scope) if scope["type"] == "http" and scope["method"] == "GET" else ""
        if not session:
            await self._app(scope, receive, send)
            return
        self._sessions.opened(session)
        try:
            await self._app(scope, receive, send)
        finally:
            self._sessions.closed(session)

    def _read(self, scope: Scope) -> str:
        path, query = str(scope["path"]), str(scope["query_string"], "latin-1")
        if path == PAGE_STREAM:
            return parse_qs(query).get("session_hash", [""])[0]
        called = CALL_STREAM.fullmatch(path)
        return self._session_of(called[1]) if called else ""

    def _session_of(self, event: str) -> str:
        queue = self._page._queue
        held = queue.event_ids_to_events.get(event)
        if held is not None:
            return str(held.session_hash)
        return next((str(one) for one, events in queue.pending_event_ids_session.items() if event in events), "")
