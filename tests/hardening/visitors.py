"""Visitors of the served page, as their browsers would be: the page's own handler, its event stream, its answers."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2

PATIENCE_S = 180.0  # a visitor who has heard nothing at all for so long hangs
QUESTIONS = (
    "Is RHEL 8 supported?",
    "Which variables must I set before deploying?",
    "How do I write a plugin?",
    "What hardware do I need?",
    "How do I deploy on RHEL 10?",
    "Where are the logs of a deployment?",
    "How can I contribute?",
    "What is Qubinode Navigator?",
)
HOST = "healthy"
FULL = re.compile(r"try again in about (\d+) s")
PLACE = re.compile(r"(?:(\d+) questions?|nobody) ahead of you")
TEXT = re.compile(r'"append",\["turns",\d+,"text"\]')

Outcome = Literal["answered", "refused", "left", "lost"]


@dataclass
class Visit:
    """What became of one question; seconds since it was sent."""

    outcome: Outcome = "lost"
    status: int = 0  # of the HTTP answer to the question
    places: list[int] = field(default_factory=list)  # how many were ahead, as the page said it
    first_text_s: float = 0.0
    end_s: float = 0.0
    told_s: int = 0  # the wait that a refusal named
    said: str = ""  # the answer, or whatever came instead


class Page:
    """A served application, asked over one connection pool. Use it as an async context."""

    def __init__(self, url: str) -> None:
        self.url = url
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
        self.client = httpx2.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=limits)
        self.statuses: list[int] = []
        self._handler = -1

    async def __aenter__(self) -> Page:
        config = (await self.client.get("/config")).json()
        self._handler = next(d["id"] for d in config["dependencies"] if d.get("api_name") == "_ask")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def get(self, path: str) -> float:
        """Read a path; the seconds it took."""
        began = time.monotonic()
        self.statuses.append((await self.client.get(path)).status_code)
        return time.monotonic() - began

    @asynccontextmanager
    async def staying(self, session: str) -> AsyncIterator[None]:
        """The page is open inside the block: the stream by which Gradio knows that its state is still wanted."""
        async with self.client.stream("GET", f"/gradio_api/heartbeat/{session}") as alive:
            self.statuses.append(alive.status_code)
            yield

    async def post(self, path: str, data: Sequence[Any]) -> None:
        """Call a named endpoint and read its result."""
        joined = await self.client.post(path, json={"data": list(data)})
        self.statuses.append(joined.status_code)
        if joined.status_code == 200:
            self.statuses.append((await self.client.get(f"{path}/{joined.json()['event_id']}")).status_code)

    async def ask(
        self, question: str, session: str = "", address: str = "", leave: float = 0.0, stored: object = None
    ) -> Visit:
        """Ask as the composer does. address: behind a proxy that is trusted. leave: close the page after so long."""
        visit, began = Visit(), time.monotonic()
        headers = {"x-forwarded-for": address} if address else {}
        try:
            await asyncio.wait_for(self._follow(visit, question, session, headers, began), leave or PATIENCE_S)
        except TimeoutError:
            visit.outcome = "left" if leave else "lost"
        except httpx2.HTTPError as error:
            visit.said = repr(error)
        visit.end_s = time.monotonic() - began
        return visit

    async def _follow(self, visit: Visit, question: str, session: str, headers: dict[str, str], began: float) -> None:
        session = session or uuid.uuid4().hex[:12]
        call = {"data": [HOST, None], "event_data": {"kind": "question", "text": question},
                "fn_index": self._handler, "session_hash": session}  # fmt: skip
        joined = await self.client.post("/gradio_api/queue/join", json=call, headers=headers)
        visit.status = joined.status_code
        self.statuses.append(joined.status_code)
        if joined.status_code != 200:
            visit.said = joined.text[:200]
            if joined.status_code in (429, 503) and (told := FULL.search(joined.text)):
                visit.outcome, visit.told_s = "refused", int(told[1])
            return
        async for line in self._stream(session, headers):
            self._take(visit, line, time.monotonic() - began)

    async def _stream(self, session: str, headers: dict[str, str]) -> AsyncIterator[str]:
        address = f"/gradio_api/queue/data?session_hash={session}"
        async with self.client.stream("GET", address, headers=headers) as events:
            self.statuses.append(events.status_code)
            async for line in events.aiter_lines():
                if line.startswith("data:"):
                    yield line.removeprefix("data:").strip()
                if '"close_stream"' in line:
                    return

    def _take(self, visit: Visit, line: str, now: float) -> None:
        if found := PLACE.search(line):
            visit.places.append(int(found[1] or 0))
        if not visit.first_text_s and TEXT.search(line):
            visit.first_text_s = now
        if found := FULL.search(line):
            visit.told_s = int(found[1])
        if '"process_completed"' in line:
            visit.outcome, visit.said = _outcome(json.loads(line), visit)


def _outcome(completed: dict[str, Any], visit: Visit) -> tuple[Outcome, str]:
    if not completed["success"]:
        return "lost", json.dumps(completed["output"])[:200]
    turns = (completed["output"]["data"][0] or {}).get("turns", [])
    if visit.told_s:
        return "refused", f"about {visit.told_s} s"
    return ("answered", turns[-1]["text"]) if turns and turns[-1]["text"] else ("lost", "an empty answer")


def never_overtaken(visits: Sequence[Visit]) -> bool:
    """Whether nobody who waited ever saw the number of those ahead grow."""
    return all(
        later <= earlier for visit in visits for earlier, later in zip(visit.places, visit.places[1:], strict=False)
    )
