"""Keeps small what the server remembers of open pages.

Gradio keeps a copy of the page's whole configuration for every session, about 0.7 MB, for good: an hour after a page
closes it drops the values of its states and nothing else, and each call of a program makes a session that nobody
closes. This module forgets a session without an open page soon after its last use, and bounds the number of sessions,
least recently used out first. A page that comes back later goes on with the conversation that its browser keeps.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta

import gradio as gr
from starlette.types import ASGIApp, Receive, Scope, Send

MOST = 1000  # sessions
CLOSED_S = 120.0  # a telephone that turns to another page and back within this finds everything as it was
EVERY_S = 15.0  # between two looks
HEARTBEAT = "/gradio_api/heartbeat/"  # the stream that a page holds for its session as long as it is open


class OpenPages:
    """ASGI middleware that counts in `open_pages` the streams each open page holds, by session."""

    def __init__(self, app: ASGIApp, open_pages: Counter[str]) -> None:
        self._app = app
        self._open = open_pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; note a heartbeat's session for as long as it lasts."""
        _, heartbeat, session = str(scope.get("path", "")).partition(HEARTBEAT)
        if not heartbeat:
            return await self._app(scope, receive, send)
        self._open[session] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[session] -= 1
            if self._open[session] <= 0:
                del self._open[session]


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
