"""A marked word in every input of the whole application must not appear in logs, metrics or on disk.

The one exception is feedback, which is stored, redacted, because the visitor sent it: its folder is searched for
addresses only.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from app import Around, create_app
from model.engine.scripted import ScriptedEngine
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.edge.admission import Admission
from onboarding.edge.rate_limits import RateLimits, Rates
from onboarding.feedback.service import Feedback, FeedbackSettings
from onboarding.feedback.store import FOLDER
from onboarding.operation.logs import PrintedLines, set_up_logging
from onboarding.usage.counted import CountedSandbox
from onboarding.usage.ledger_writer import LedgerWriter, ledger_in
from onboarding.usage.recorder import usage_of_project
from rag.types import Embedded, Leaning, Passage, SearchResult
from tests.browser.serving import serving

MARK = "canary"
COMMENT = "canary-comment: write to admin@canary-mail.com or 10.4.77.6, password=canary-Pa55word!"
ADDRESSES = ("203.0.113.77", "2001:db8:77::1", "127.0.0.1")
HEADERS = {
    "User-Agent": "canary-agent/1.0",
    "X-Forwarded-For": "203.0.113.77, 2001:db8:77::1",
    "Referer": "http://canary-referer.example/",
    "Cookie": "canary_cookie=1",
    "Accept-Language": "canary-XX",
}


class MarkedSearch:
    """Retrieval whose passage is marked, and which breaks on a certain question, quoting it."""

    holdings: tuple[()] = ()

    def search(
        self, text: str, k: int = 5, embedded: Embedded | None = None, leaning: Leaning | None = None
    ) -> SearchResult:
        if "break" in text:
            raise ValueError(f"cannot look up {text}")
        passage = Passage(
            "canary-id", "The canary-passage answers.", "canary-title", ("canary-heading",), "canary.md", (1, 2),
            "https://example.org/canary", 1.0, "canary-excerpt",
        )  # fmt: skip
        return SearchResult([passage], 0.9, "canary-extract", [], 1.0)


@dataclass
class Place:
    """The running application and everything that it writes."""

    url: str
    log: io.StringIO
    data: Path
    writer: LedgerWriter


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    log, data = io.StringIO(), tmp_path_factory.mktemp("canaries")
    set_up_logging("json", log)
    usage = usage_of_project()
    parts = Parts(PartsSettings(engine="scripted", data=data), CountedSandbox(usage))
    parts._serve(ScriptedEngine(prefill_s=0.01, word_s=0.0))
    parts.retriever = MarkedSearch()  # type: ignore[assignment]
    parts._ready.set()  # no router is loaded: every message takes the general route
    writer = LedgerWriter(usage.registry, ledger_in(data))
    feedback = Feedback.of(FeedbackSettings(data), usage.feedback, usage.upload_failed)
    around = Around(
        usage, Admission(RateLimits(Rates(100)), usage.refused), writer, metrics="everybody", feedback=feedback
    )
    app = create_app(Guide(parts, usage.turn), around, load_parts=False)
    with serving(app) as url:
        yield Place(url, log, data, writer)
    logging.captureWarnings(False)
    root.handlers[:] = before
    root.setLevel(level)


def use_everything(url: str) -> None:
    """Call the endpoints for programs, the page's own handlers, and paths that are neither."""
    client = Client(url, verbose=False, headers=HEADERS)
    for arguments, endpoint in (
        ({"question": "What is canary-question?"}, "/ask"),
        ({"question": "canary-break, please break"}, "/ask"),
        ({"question": "canary-search"}, "/search"),
        ({"question": "canary-break"}, "/search"),
        ({"question": "canary-route"}, "/route"),
        ({"services": ["canary-service"], "host": "healthy"}, "/service_status"),
        ({"host": "canary-host"}, "/service_status"),
        ({"question": "canary " * 3000}, "/ask"),
    ):
        with contextlib.suppress(AppError):
            client.predict(api_name=endpoint, **arguments)
    with httpx2.Client(base_url=url, headers=HEADERS, timeout=30) as http:
        _ask_as_the_page_does(http)
        http.get("/?tour=rhel10&step=2&canary=canary")
        http.get("/canary-path")
        http.post("/gradio_api/queue/join", content=b'{"canary": ')
        http.post("/gradio_api/queue/join", json={"data": ["canary"], "fn_index": 9999, "session_hash": "canary"})
        http.post("/gradio_api/mcp", json={"jsonrpc": "2.0", "method": "canary", "id": 1})


def _ask_as_the_page_does(http: httpx2.Client) -> None:
    """Ask with a conversation that the browser kept, so that there is a history, and complain about the answer."""
    config = http.get("/config").json()
    event = next(d["id"] for d in config["dependencies"] if d.get("api_name") == "_ask")
    turn = {"id": "canaryturn", "question": "canary-history-question", "answer": "canary-history-answer"}
    kept = {"id": "canaryid", "title": "canary-title", "turns": [turn]}
    asked = {"kind": "question", "text": "canary-typed", "conversation": kept}
    join = {"data": ["healthy", None], "event_data": asked, "fn_index": event, "session_hash": "canarysession"}
    turn_id = _completed(http, join)[0]["turns"][-1]["id"]
    submit = next(d["id"] for d in config["dependencies"] if d.get("api_name") == "_submitted")
    for said in (
        {"kind": "down", "turn": turn_id, "reason": "wrong", "comment": COMMENT, "agreed": True},
        {"kind": "wish", "comment": COMMENT, "agreed": True},
    ):
        heard = {"data": [None, {}], "fn_index": submit, "session_hash": "canarysession", "event_data": said}
        assert _completed(http, heard)[0]["reply"]["ok"]
    http.post("/gradio_api/queue/join", json=heard | {"event_data": {"kind": "canary-kind", "comment": COMMENT}})


def _completed(http: httpx2.Client, join: dict[str, Any]) -> Any:
    """Return the values that the page's handler gives in the end."""
    assert http.post("/gradio_api/queue/join", json=join).status_code == 200
    with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": join["session_hash"]}) as stream:
        completed = next(line for line in stream.iter_lines() if "process_completed" in line)
    message = json.loads(completed.removeprefix("data: "))
    assert message["success"], message
    return message["output"]["data"]


def test_no_marked_word_and_no_address_is_found(place: Place) -> None:
    with contextlib.redirect_stderr(PrintedLines()):  # as app.py does; pytest has a stream of its own for each test
        use_everything(place.url)
    metrics = httpx2.get(f"{place.url}/metrics").text
    assert place.writer.write()
    logged = [json.loads(line) for line in place.log.getvalue().splitlines()]
    events = [line for line in logged if line.get("event") == "turn"]
    assert len(events) >= 3  # two questions of a program and the page's: the search did reach everything
    assert any(line.get("level") == "ERROR" and "ValueError" in line.get("message", "") for line in logged)
    assert 'qubinode_questions_total{reason="stop",route="general_question"}' in metrics
    paths = [path for path in place.data.rglob("*") if path.is_file()]
    chosen = {path.name: path.read_text("utf-8") for path in paths if FOLDER in path.parts}
    files = {path.name: path.read_bytes().decode("latin-1") for path in paths if path.name not in chosen}
    assert "usage.sqlite" in files
    kept = "".join(chosen.values())
    assert kept.count("canary-comment") == 2  # what a visitor sends on purpose is kept
    for secret in ("canary-mail", "canary-Pa55word", "10.4.77.6", *ADDRESSES):
        assert secret not in kept
    for where, text in {"the log": place.log.getvalue(), "/metrics": metrics, **files}.items():
        low = text.casefold()
        assert MARK not in low, f"{where}: ...{text[max(0, low.find(MARK) - 300) : low.find(MARK) + 100]}"
        for address in ADDRESSES:
            assert address not in text, f"{where}: ...{text[max(0, text.find(address) - 300) :][:400]}"


def test_a_session_shows_as_eight_hex_digits(place: Place) -> None:
    with httpx2.Client(base_url=place.url, headers=HEADERS, timeout=30) as http:
        events: list[dict[str, Any]] = http.get("/config").json()["dependencies"]
        for load in (one for one in events if any(target[1] == "load" for target in one["targets"])):
            body = {"data": [None] * len(load["inputs"]), "fn_index": load["id"], "session_hash": "canarysession"}
            http.post("/gradio_api/run/predict", json=body)
    logged = [json.loads(line) for line in place.log.getvalue().splitlines()]
    shown = next(line["session"] for line in logged if line.get("event") == "visit")
    assert len(bytes.fromhex(shown)) == 4
    assert MARK not in place.log.getvalue()
