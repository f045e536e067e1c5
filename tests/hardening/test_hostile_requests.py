"""What one address can do to the others by requests alone: the served application with its limits on."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from onboarding.edge.rate_limits import Rates
from tests.conftest import DataFolder
from tests.hardening.serving import App, running

RATES = Rates()
WORK_S = 5.0  # CPU seconds: many times what any handler takes on a slow machine, a twentieth of what was found
TRIPLE = {"accept": "application/json, text/event-stream"}
EVIL = "evil-canary.example"
# Each made one of the parsers behind an answer take quadratic time, or more.
COSTLY = {
    "a lexer": "```systemd\na" + " " * 3_980 + "\n```",
    "a console": ("```console\na" + "@" * 980 + "\n```\n\n") * 18,
    "images": "![" * 9_900,
    "brackets": "[" * 19_900,
    "quotes": "> " * 9_900,
    "emphasis": "**a*" * 4_900,
    "code": "".join("`" * length + " " for length in range(1, 190)),
    "a table": "|a" * 500 + "|\n" + "|-" * 500 + "|\n" + "|\n" * 8_000,
    "escapes": "\\x1b[2J" * 2_500,
}


@pytest.fixture(scope="module")
def guarded(data_folder: DataFolder) -> Iterator[App]:
    """Behind a proxy that is trusted, so that a test can come from any address; nobody has asked anything yet."""
    env = {"ASKS_PER_MINUTE": str(RATES.asks), "TRUST_PROXY": "127.0.0.0/8", "LOG_FORMAT": "text"}
    with running(data_folder(), ENGINE="scripted", **env) as served:
        served.wait_until_ready()
        yield served


class Visitor:
    """Somebody at an address of his own, with the page's own handlers at hand."""

    def __init__(self, app: App, address: str) -> None:
        self.http = httpx2.Client(base_url=app.url, timeout=60, headers={"x-forwarded-for": address})
        self.config = self.http.get("/config").json()
        self.handlers = {one["api_name"]: one["id"] for one in self.config["dependencies"]}

    def join(self, handler: int, data: list[Any], event: Any = None, session: str = "") -> httpx2.Response:
        """Put a call into the queue."""
        body = {"data": data, "event_data": event, "fn_index": handler, "session_hash": session or _new()}
        return self.http.post("/gradio_api/queue/join", json=body)

    def heard(self, session: str) -> str:
        """What a session's stream says until it ends."""
        with self.http.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as events:
            return "\n".join(events.iter_lines())

    def called(self, name: str, data: list[Any], event: Any = None, session: str = "") -> str:
        """Call one of the page's handlers and read what it says; a refusal is its status."""
        session = session or _new()
        joined = self.join(self.handlers[name], data, event, session)
        return self.heard(session) if joined.status_code == 200 else f"HTTP {joined.status_code} {joined.text}"


def _new() -> str:
    return uuid.uuid4().hex[:12]


def cpu_s(app: App) -> float:
    """The CPU seconds of the served process so far."""
    stat = Path(f"/proc/{app.process.pid}/stat").read_text()
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_first_request_of_each_protocol_decides_nothing_for_those_after_it(guarded: App) -> None:
    forged = {"x-forwarded-for": "192.0.2.1", "x-gradio-server": f"http://{EVIL}", "x-original-host": EVIL}
    with socket.create_server(("127.0.0.1", 0)) as elsewhere, httpx2.Client(base_url=guarded.url, timeout=60) as http:
        there = f"127.0.0.1:{elsewhere.getsockname()[1]}"
        for host in ({"host": EVIL}, {"x-forwarded-host": EVIL}, {"x-forwarded-host": there}):
            for path in ("/gradio_api/info", "/config", "/", "/gradio_api/startup-events", "/gradio_api/app_id"):
                assert http.get(path, headers=forged | host).status_code == 200
            call = {"name": "search", "arguments": {"question": "what is kcli"}}
            said = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            assert "answered" in http.post("/gradio_api/mcp", json=said, headers=TRIPLE | forged | host).text
        for path in ("/gradio_api/info", "/config", "/"):
            answer = http.get(path)
            assert EVIL not in answer.text and there not in answer.text, path
        elsewhere.settimeout(0.5)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_parameters_of_gradios_own_change_nothing(guarded: App) -> None:
    with httpx2.Client(base_url=guarded.url, timeout=60) as http:
        plain = http.get("/").text
        for query in ("page=zz", "page=", "deep_link=x", "deep_link=../../x", "page=zz&deep_link=x&tab=search"):
            answer = http.get(f"/?{query}")
            assert (answer.status_code, answer.text) == (200, plain), query


def test_calls_that_nobody_is_answered_for_hold_no_place(guarded: App) -> None:
    visitor = Visitor(guarded, "192.0.2.2")
    for _ in range(RATES.at_once + 2):  # one after another, each read by nobody
        assert visitor.http.post("/gradio_api/call/ask", json={"data": ["x", "no-such-host"]}).status_code == 200
        visitor.called("_draw", [None])  # the queue is first in, first out: the call before has ended
    for at in range(2):
        asked = {"kind": "question", "text": "" if at else "thanks"}
        assert "still being answered" not in visitor.called("_ask", ["healthy", None], asked, "one-page")
    joined = visitor.http.post("/gradio_api/call/ask", json={"data": ["thanks"]}).json()
    said = visitor.http.get(f"/gradio_api/call/ask/{joined['event_id']}").text
    assert "event: complete" in said and "try again" not in said


def test_who_reads_no_results_is_refused_and_nobody_else(guarded: App) -> None:
    silent, other = Visitor(guarded, "192.0.2.3"), Visitor(guarded, "192.0.2.4")
    statuses = [silent.join(silent.handlers["_draw"], [None]).status_code for _ in range(RATES.unread + 3)]
    assert statuses == [200] * RATES.unread + [429] * 3
    assert '"success":true' in other.called("_draw", [None])
    session = _new()
    for _ in range(3):  # one page that reads may go on as long as it likes
        assert '"success":true' in other.called("_draw", [None], session=session)


@pytest.mark.parametrize("kind", COSTLY)
def test_drawing_what_a_browser_brings_back_is_bounded_work(guarded: App, kind: str) -> None:
    visitor = Visitor(guarded, f"192.0.2.{10 + list(COSTLY).index(kind)}")
    turns = [{"id": f"t{at}", "question": "q", "answer": COSTLY[kind][:20_000], "label": "x"} for at in range(8)]
    before = cpu_s(guarded)
    said = visitor.called("_manage_saved", [None], {"kind": "open", "conversation": {"id": "c", "turns": turns}})
    assert '"success":true' in said
    assert cpu_s(guarded) - before < WORK_S


def test_feedback_of_one_address_is_bounded_and_that_of_others_kept(guarded: App) -> None:
    loud, other = Visitor(guarded, "192.0.2.5"), Visitor(guarded, "192.0.2.6")
    wish = {"kind": "wish", "agreed": True, "comment": "more"}
    replies = [loud.called("_submitted", [None, {}], wish) for _ in range(RATES.asks + 3)]
    assert ["could not be kept" in reply for reply in replies] == [False] * RATES.asks + [True] * 3
    gone = [loud.called("_submitted", [None, {"key": uuid.uuid4().hex}], {"kind": "forget"}) for _ in range(3)]
    assert all("was deleted" not in reply for reply in gone)
    assert "your wish was kept" in other.called("_submitted", [None, {}], wish)


def test_names_and_line_ends_of_a_request_never_reach_the_log(guarded: App) -> None:
    canary = f"CANARY-{uuid.uuid4().hex}\n2026-01-01 00:00:00,000 app: forged"
    long = canary + "x" * 150_000
    bodies: list[Any] = [
        {"method": "tools/call", "params": {"name": long, "arguments": {}}},
        {"method": "tools/call", "params": {"name": "search", "arguments": {canary: canary}}},
        {"method": "tools/call", "params": {"name": [canary], "arguments": canary}},
        {"method": long, "params": {canary: canary}},
        {"method": "prompts/get", "params": {"name": canary}},
        {"method": "resources/read", "params": {"uri": f"x://{canary}"}},
        {"method": "initialize", "params": {"protocolVersion": canary, "clientInfo": {"name": canary}}},
        {"method": f"notifications/{canary}", "params": {"reason": canary}},
        {canary: canary},
    ]
    headers = TRIPLE | {"x-forwarded-for": "192.0.2.7"}
    with httpx2.Client(base_url=guarded.url, timeout=60) as http:
        for body in bodies:
            for name in ("jsonrpc", canary):
                http.post("/gradio_api/mcp", json={name: "2.0", "id": 1} | body, headers=headers)
        http.get("/x", headers={"user-agent": "CANARY", "referer": "CANARY", "x-canary": "CANARY"})
        http.post("/gradio_api/call/search", json={"data": [canary, canary]}, headers=headers)
    assert "CANARY" not in guarded.log and "forged" not in guarded.log, guarded.log[-20_000:]
    assert "Traceback" not in guarded.log


def values_of(config: dict[str, Any], ids: list[int], text: str) -> list[Any]:
    """A value for each input of a handler: the component's own, or the text where one may be typed."""
    blocks = {block["id"]: block for block in config["components"]}
    given = []
    for one in ids:
        block = blocks[one]
        typed = block["type"] in ("textbox", "code", "api")
        given.append(text if typed else None if block["type"] == "state" else block["props"].get("value"))
    return given


HOSTILE_TEXTS = {"brackets": "[" * 4_000, "letters": "aA0-a.b-" * 3_500, "blanks": "a" + " " * 28_000}
KEEPING = ("_ask", "_manage_saved", "_submitted")


def events_of(handler: dict[str, Any], text: str) -> list[dict[str, Any]]:
    """What a browser sends with a call of a handler."""
    if handler["api_name"] not in KEEPING:
        return [{"value": text}]
    kept = {"id": "c", "turns": [{"id": "t", "question": text[:4_000], "answer": text[:20_000], "label": "x"}]}
    sent = {"text": text, "comment": text[:2_000], "agreed": True, "conversation": kept}
    return [{"kind": kind, **sent} for kind in ("question", "look", "open", "wish")]


def test_no_handler_of_the_page_works_long_whatever_it_is_given(app: App) -> None:
    """Each handler is given all the texts, one after the other; one stream hears what it says to all of them.

    A session costs more than most handlers do, so only those that keep a conversation have one each.
    """
    visitor, costs, shared = Visitor(app, "192.0.2.8"), {}, _new()
    config = visitor.config
    for handler in config["dependencies"]:
        if not handler["backend_fn"]:
            continue
        before, session = cpu_s(app), _new() if handler["api_name"] in KEEPING else shared
        calls = [(text, event) for text in HOSTILE_TEXTS.values() for event in events_of(handler, text)]
        joined = [
            visitor.join(handler["id"], values_of(config, handler["inputs"], text), event, session).status_code
            for text, event in calls
        ]
        if 200 in joined:
            visitor.heard(session)
        costs[handler["api_name"]] = (cpu_s(app) - before) * len(HOSTILE_TEXTS) / len(calls)  # all texts, one event
    assert len(costs) > 50
    assert {name: cost for name, cost in costs.items() if cost > WORK_S} == {}
    print(json.dumps(dict(sorted(costs.items(), key=lambda pair: -pair[1])[:5])))
