"""Visitors who leave, answers that take too long, and a process told to end: over the real engine, by events."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import httpx2
import pytest
from fastapi import FastAPI

from model.engine.events import Finished, Prefill, Queued, TextDelta
from model.engine.local import EngineOptions, LocalEngine
from model.engine.protocol import Options
from model.prompting.conversation import Conversation
from model.turn.chat import Ask, Chat
from model.turn.events import Notice, RouteChosen, TurnEvent, TurnFinished
from onboarding.api import Programs
from onboarding.assistant.guide import Status
from onboarding.edge.allowlist import Allowlist
from onboarding.edge.call_check import CallCheck
from onboarding.mcp_tools import McpTools
from onboarding.ui.page.page import build_page, mount_options
from rag.types import Passage, SearchResult
from tests.browser.serving import HOSTS, serving
from tests.conftest import DataFolder, OpenEngine
from tests.fakes import ROUTES
from tests.hardening.serving import PATIENCE_S, running
from tests.model.test_engine import finish, prompt
from tests.prompt_texts import TEXTS
from tests.turn_fakes import FakeSearcher
from tests.waiting import eventually
from tools.simulation.hosts import load_hosts

LONG = "word " * 600  # some seconds of reading
ENDLESS = Options(max_tokens=3000, ignore_end=True)


class OnePageGuide:
    """A guide over one passage and the real engine that a test gives it; a question's first word is what it takes."""

    engine: LocalEngine

    def __init__(self) -> None:
        self.routes = ROUTES
        self.retriever = None

    def status(self) -> Status:
        return Status({"model": "ready"}, "SmolLM2")

    def ask(
        self, text: str, conversation: Conversation, *, route: str | None = None, host: str = ""
    ) -> Iterator[TurnEvent]:
        yield RouteChosen("introduction", "", 1.0)
        page = prompt("Go on.", passage=LONG if text.startswith("long") else "A short page. ")
        options = Options(max_tokens=4) if text.startswith("short") else ENDLESS
        for event in self.engine.submit(page, options):
            if isinstance(event, Finished):
                done = TurnFinished("done", event.reason, event.counts, event.timings, "SmolLM2", True, conversation)
                yield done
            else:
                yield event


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[OnePageGuide, str]]:
    guide: Any = OnePageGuide()
    app = FastAPI()
    programs = Programs(guide, load_hosts())
    page = build_page(guide, HOSTS, endpoints=programs.build)
    gr.mount_gradio_app(app, page, "/", **mount_options())
    McpTools(programs.endpoints()).serve(page, "test")
    app.add_middleware(Allowlist, check=CallCheck(page))
    with serving(app) as url:
        yield guide, url


class Visitor:
    """A raw connection to the stream of one question, so that it can be torn off at any byte."""

    def __init__(self, url: str, question: str, *, way: str) -> None:
        self._netloc = urlsplit(url).netloc
        if way == "page":
            handler = next(h for h in httpx2.get(f"{url}/config").json()["dependencies"] if h["api_name"] == "_ask")
            session = uuid.uuid4().hex
            body = {"data": ["healthy", None], "event_data": {"kind": "question", "text": question}, "fn_index": handler["id"], "session_hash": session,
                    "trigger_id": handler["targets"][0][0]}  # fmt: skip
            assert httpx2.post(f"{url}/gradio_api/queue/join", json=body, timeout=60).status_code == 200
            self._open(f"/gradio_api/queue/data?session_hash={session}")
        elif way == "mcp":
            call = {"name": "ask", "arguments": {"question": question}, "_meta": {"progressToken": 1}}
            sent = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
            self._open(
                "/gradio_api/mcp/", "POST", sent,
                f"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {len(sent)}\r\n",
            )  # fmt: skip
        else:
            joined = httpx2.post(f"{url}/gradio_api/call/ask", json={"data": [question, "healthy"]}, timeout=60)
            self._open(f"/gradio_api/call/ask/{joined.json()['event_id']}")

    def _open(self, path: str, method: str = "GET", body: str = "", headers: str = "") -> None:
        host, port = self._netloc.split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self._socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: {self._netloc}\r\n{headers}\r\n{body}".encode())

    def hear(self) -> str:
        return self._socket.recv(65_536).decode("utf-8", "replace")

    def leave(self) -> None:
        self._socket.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("way", ["page", "program", "mcp"])
@pytest.mark.parametrize("moment", ["prefill", "decode", "queue"])
def test_who_leaves_frees_the_engine_and_the_next_visitor_is_answered(
    open_engine: OpenEngine, served: tuple[OnePageGuide, str], moment: str, way: str
) -> None:
    guide, url = served
    guide.engine = engine = open_engine(cells=4096, options=EngineOptions(slots=1))
    kind = "long" if moment == "prefill" else "endless"
    first = Visitor(url, f"{kind} question {moment}1", way=way)
    eventually(lambda: engine.load().running == 1)
    if moment == "decode":
        eventually(lambda: any(job.generated for job in list(engine._running)))
    leaver = first
    if moment == "queue":
        leaver = Visitor(url, f"{kind} question {moment}2", way=way)
        eventually(lambda: engine.load().waiting == 1)
    leaver.hear()
    leaver.leave()
    if moment == "queue":
        staying = engine._running[0]
        eventually(lambda: engine.load().waiting == 0)
        assert engine._running == [staying]  # who stayed is served on, and nobody else in the leaver's place
        first.leave()
    eventually(lambda: engine.load().running == 0)
    last = Visitor(url, "short question", way=way)
    heard = ""
    while "done" not in heard:
        heard += last.hear()
    last.leave()


def test_an_answer_that_takes_too_long_ends_with_what_it_has_and_frees_its_place(open_engine: OpenEngine) -> None:
    engine = open_engine(options=EngineOptions(slots=1))
    slow = engine.submit(prompt("Go on for ever"), Options(max_tokens=1500, deadline_s=0.5, ignore_end=True))
    waiting = engine.submit(prompt("Me too"), Options(max_tokens=4))
    text, last = finish(slow)
    assert (last.reason, last.counts.generated < 1500) == ("deadline", True)
    assert text or last.counts.generated == 0
    assert finish(waiting)[1].reason in {"stop", "length"}
    eventually(lambda: engine.load().running == 0)


def test_the_visitor_keeps_the_part_that_was_written_and_is_told_why_it_ends(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    passage = Passage("p", "RHEL 8 is refused.", "RHEL 8", (), "a.md", (1, 2), "https://github.com/a/b", 1.0, "")

    found = FakeSearcher(SearchResult([passage], 0.9, "RHEL 8 is refused."))
    engine = open_engine(cells=4096)
    submit = engine.submit  # with a deadline that no answer meets; its first token comes all the same
    impatient = Options(max_tokens=2000, deadline_s=1.0, ignore_end=True)
    monkeypatch.setattr(engine, "submit", lambda prompt, _options: submit(prompt, impatient))
    chat = Chat(lambda _: engine, lambda: found, lambda _call: pytest.fail("no tool is asked for"), TEXTS)
    events = list(chat.answer(Ask("Is RHEL 8 supported?", Conversation.new(), "rhel10", "Be brief.")))
    last = events[-1]
    assert isinstance(last, TurnFinished)
    assert last.reason == "deadline"
    assert last.answer.startswith("RHEL 8 is refused.")
    assert any("took too long" in event.text for event in events if isinstance(event, Notice))
    assert last.conversation.turns[0].answer == last.answer  # and the conversation can go on
    assert any(isinstance(event, Prefill | Queued | TextDelta) for event in events)


@pytest.mark.timeout(400)
def test_sigterm_under_load_ends_in_time_with_everything_written(smol: Path, data_folder: DataFolder) -> None:
    data = data_folder()
    with running(data, MODEL=str(smol)) as app:
        app.wait_until_ready()
        heard = threading.Semaphore(0)

        def ask(number: int) -> None:
            body = {"data": [f"Which variables must I set for host {number}? " * 20, "healthy"]}
            try:
                joined = httpx2.post(f"{app.url}/gradio_api/call/ask", json=body, timeout=60).json()
                with httpx2.stream("GET", f"{app.url}/gradio_api/call/ask/{joined['event_id']}", timeout=60) as events:
                    for line in events.iter_lines():
                        if line.startswith("data:") and "answer" in line:
                            heard.release()
            except (httpx2.HTTPError, json.JSONDecodeError):
                return  # the server has gone, as it was told

        visitors = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(6)]
        for visitor in visitors:
            visitor.start()
        assert heard.acquire(timeout=PATIENCE_S)
        before = time.monotonic()
        assert app.stop() == 0
        print(f"ended after {time.monotonic() - before:.1f} s")
        for visitor in visitors:
            visitor.join(PATIENCE_S)
        log = app.log
    assert "Traceback" not in log
    assert "Segmentation" not in log
    assert (data / "usage.sqlite").stat().st_size > 0
    assert list((data / "prefix-cache").glob("*/*.part")) == []
