"""Bounds the sessions that the server remembers: how many, for how long, and what an address leaves behind in them.

Gradio keeps every session for good: an hour after a page closes it drops the values of its states and nothing else,
and each call of a program makes a session that nobody closes. It keeps each result until its stream is read. Both
stores are shared by everybody and drop the oldest when they are full. So an address may begin only so many sessions,
and has to read what it asked for before it asks for more; and a session without an open page is forgotten soon after
its last use. A page that comes back later goes on with the conversation that its browser keeps. A session holds its
states and no copy of the page's configuration, which Gradio would draw up for each, 0.6 MB and 35 ms, for links that
this page does not have.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs

import gradio as gr
from gradio.state_holder import SessionState, StateHolder
from starlette.types import ASGIApp, Receive, Scope, Send

from onboarding.edge.allowlist import CallRefused
from onboarding.edge.rate_limits import RateLimits

MOST = 1000  # sessions, least recently used out first
CLOSED_S = 120.0  # a telephone that turns to another page and back within this finds everything as it was
EVERY_S = 15.0  # between two looks
HEARTBEAT = re.compile(r"/gradio_api/heartbeat/(.+)")  # the stream of a page for its session as long as it is open
PAGE_STREAM = "/gradio_api/queue/data"
CALL_STREAM = re.compile(r"/gradio_api/call/[a-z_]+/([0-9a-f]{1,64})")


class SmallSession(SessionState):  # type: ignore[misc]
    """What is remembered of one session: its states, and no configuration."""

    def __init__(self, page: gr.Blocks) -> None:
        # Gradio draws up the configuration of those blocks that it finds in `blocks`.
        super().__init__(SimpleNamespace(default_config=page.default_config, blocks=()))

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: object) -> None:
        pass


class SmallSessions(StateHolder):  # type: ignore[misc]
    """The sessions of a page, each made when it is first asked for."""

    def __getitem__(self, session: str) -> SessionState:
        if session not in self.session_data:
            self.session_data[session] = SmallSession(self.blocks)
        return super().__getitem__(session)


class Sessions:
    """Sessions by address, which have results that nobody reads, and an open page. Belongs to one event loop."""

    def __init__(self, limits: RateLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.open_pages: Counter[str] = Counter()  # session -> streams that its page holds
        self._limits = limits
        self._clock = clock
        self._known: dict[str, OrderedDict[str, float]] = {}  # address -> session -> last use
        self._unread: dict[str, dict[str, None]] = {}  # address -> sessions
        self._readers: Counter[str] = Counter()  # session -> open streams of its results

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
        if not self._readers[session]:
            self._unread.setdefault(address, {})[session] = None

    def reader(self, session: str) -> AbstractContextManager[None]:
        """Note, for as long as the block runs, that somebody reads the results of a session."""
        for unread in self._unread.values():
            unread.pop(session, None)
        return _one_more(self._readers, session)

    def open_page(self, session: str) -> AbstractContextManager[None]:
        """Note, for as long as the block runs, that a page is open for a session."""
        return _one_more(self.open_pages, session)

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


class SessionStreams:
    """ASGI middleware that tells Sessions which pages are open, and whose results are being read."""

    def __init__(self, app: ASGIApp, sessions: Sessions, page: gr.Blocks) -> None:
        self._app = app
        self._sessions = sessions
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; note a stream for as long as it lasts."""
        with self._noted(scope) if scope["type"] == "http" and scope["method"] == "GET" else nullcontext():
            await self._app(scope, receive, send)

    def _noted(self, scope: Scope) -> AbstractContextManager[None]:
        path, query = str(scope["path"]), str(scope["query_string"], "latin-1")
        if open_page := HEARTBEAT.fullmatch(path):
            return self._sessions.open_page(open_page[1])
        called = CALL_STREAM.fullmatch(path)
        session = self._session_of(called[1]) if called else ""
        if path == PAGE_STREAM:
            session = parse_qs(query).get("session_hash", [""])[0]
        return self._sessions.reader(session) if session else nullcontext()

    def _session_of(self, event: str) -> str:
        queue = self._page._queue
        held = queue.event_ids_to_events.get(event)
        if held is not None:
            return str(held.session_hash)
        return next((str(one) for one, events in queue.pending_event_ids_session.items() if event in events), "")


def forget_closed(page: gr.Blocks, open_pages: Collection[str], closed_s: float = CLOSED_S) -> int:
    """Forget the sessions that were last used so long ago and have no open page; return how many those were.

    An answer uses its session at every step, and nobody waits for so long before one, so none is under way.
    """
    holder = page.state_holder
    before = datetime.now() - timedelta(seconds=closed_s)
    with holder.lock:
        gone = [
            session
            for session in holder.session_data
            if session not in open_pages and holder.time_last_used.get(session, before) <= before
        ]
        for session in gone:
            del holder.session_data[session]
            holder.time_last_used.pop(session, None)
            page._queue.pending_messages_per_session.pop(session, None)
            page._queue.pending_event_ids_session.pop(session, None)
    return len(gone)


async def keep_small(page: gr.Blocks, open_pages: Collection[str]) -> None:
    """Look for closed sessions from time to time, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        forget_closed(page, open_pages)


@contextmanager
def _one_more(counter: Counter[str], session: str) -> Iterator[None]:
    counter[session] += 1
    try:
        yield
    finally:
        counter[session] -= 1
        if counter[session] <= 0:
            del counter[session]
