"""What the server remembers of open pages, kept small.

For every session Gradio keeps a copy of the page's whole configuration, about 0.7 MB, and never gives it back: of a
closed page only the values of its states go, after an hour. So a session is forgotten soon after its page is closed,
and the number of all is bounded, least recently used out first. A page that comes back later, or one that was
forgotten in a flood, goes on with the conversation that its browser keeps.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import gradio as gr

MOST = 1000  # sessions
CLOSED_S = 120.0  # a telephone that turns to another page and back within this finds everything as it was
EVERY_S = 15.0  # between two looks


def forget_closed(page: gr.Blocks, closed_s: float = CLOSED_S) -> int:
    """Forget the sessions that were last used so long ago and whose page is closed; how many those were."""
    holder = page.state_holder
    before = datetime.now() - timedelta(seconds=closed_s)
    with holder.lock:
        gone = [
            session
            for session, state in holder.session_data.items()
            if state.is_closed and holder.time_last_used.get(session, before) <= before
        ]
        for session in gone:
            del holder.session_data[session]
            holder.time_last_used.pop(session, None)
    return len(gone)


async def keep_small(page: gr.Blocks) -> None:
    """Look for closed sessions from time to time, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        forget_closed(page)
