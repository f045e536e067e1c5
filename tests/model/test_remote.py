"""The engine past this machine, against llama.cpp's own server, and against one that misbehaves on purpose."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx2
import pytest

from model.engine.events import Finished, TextDelta
from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import Options, QueueFull, Sampling
from model.engine.remote import ATTEMPTS, RemoteEngine
from model.turn.tool_calling import ToolMenu, choose
from tests.loopback import http_server
from tests.model.test_engine import finish
from tests.model_server import llama_server
from tools.registry import Registry

SHORT = Options(max_tokens=12)


def prompt(question: str) -> Prompt:
    return Prompt((PromptSegment("You are a guide.", role="system"), PromptSegment(question, turn=1, role="user")))


@pytest.fixture(scope="module")
def server(smol: Path) -> Iterator[str]:
    with llama_server(smol, key="open-sesame") as address:
        yield address


@pytest.fixture
def engine(server: str) -> Iterator[RemoteEngine]:
    engine = RemoteEngine(server, token="open-sesame")
    yield engine
    engine.close()


def test_an_answer_streams_in_pieces_with_the_servers_own_counts(engine: RemoteEngine) -> None:
    events = list(engine.submit(prompt("What is a hypervisor?"), SHORT))
    pieces = [event.text for event in events if isinstance(event, TextDelta)]
    last = events[-1]
    assert isinstance(last, Finished)
    assert len(pieces) > 3
    assert (last.reason, last.counts.generated) == ("length", 12)
    assert last.counts.prompt > 10
    assert last.timings.first_token_s is not None
    assert last.timings.first_token_s <= last.timings.total_s


def test_stop_before_the_first_word_closes_the_connection_at_once() -> None:
    with misbehaving(["silence"]) as (address, seen):
        engine = RemoteEngine(address)
        generation = engine.submit(prompt("Hello"), SHORT)
        until(lambda: len(seen) == 1)
        generation.cancel()
        assert finish(generation)[1].reason == "cancelled"
        until(lambda: seen[1:] == ["closed"])  # a server may look only when it next writes; ours to do is to hang up


def test_leaving_the_loop_stops_the_server_too(engine: RemoteEngine, server: str) -> None:
    engine._may_open = False  # as after an answer that ended: from now on words come while the server writes
    for event in engine.submit(prompt("Tell me everything."), Options(max_tokens=1500)):
        if isinstance(event, TextDelta):
            break
    until(lambda: not busy(server))


def test_a_deadline_gives_the_partial_answer_and_hangs_up() -> None:
    with misbehaving(["stall"]) as (address, seen):
        engine = RemoteEngine(address)
        text, last = finish(engine.submit(prompt("Hello"), Options(max_tokens=12, deadline_s=1.0)))
        until(lambda: seen[1:] == ["closed"])
    assert (text, last.reason, last.error) == ("Good", "deadline", "")


def test_a_tool_is_chosen_under_a_schema_by_the_servers_own_tool_calls(engine: RemoteEngine) -> None:
    menu = ToolMenu.of("Choose a tool.\n$tools", Registry.default().schemas())
    steps = choose(engine, menu, "Is libvirtd running?", [], "healthy")
    with pytest.raises(StopIteration) as ended:
        while True:
            next(steps)
    call = ended.value.value  # a model of 135M chooses what it likes, but nothing outside the menu
    assert call is None or call.tool in Registry.default().list_tools()


def test_a_schema_binds_the_answer(engine: RemoteEngine) -> None:
    tool = {"enum": ["a", "b"]}
    schema = json.dumps(
        {"type": "object", "properties": {"tool": tool}, "required": ["tool"], "additionalProperties": False}
    )
    text, _ = finish(engine.submit(prompt("Which tool?"), Options(max_tokens=40, sampling=Sampling(schema=schema))))
    assert json.loads(text)["tool"] in ("a", "b")


def test_a_wrong_key_ends_with_one_sentence(server: str) -> None:
    engine = RemoteEngine(server, token="guess")
    _, last = finish(engine.submit(prompt("Hello"), SHORT))
    engine.close()
    assert last.reason == "error"
    assert "HTTP 401" in last.error


def test_a_server_that_is_not_there_is_given_up_after_a_few_attempts() -> None:
    with misbehaving([]) as (address, _):
        pass
    engine = RemoteEngine(address, wait_s=0.01)
    _, last = finish(engine.submit(prompt("Hello"), SHORT))
    engine.close()
    assert last.reason == "error"
    assert "does not answer" in last.error


def test_a_busy_server_is_asked_again_and_only_so_often() -> None:
    with misbehaving(["503", "429", "answer"]) as (address, seen):
        engine = RemoteEngine(address, wait_s=0.01)
        assert finish(engine.submit(prompt("Hello"), SHORT))[0] == "Good day"
        assert len(seen) == 3
    with misbehaving(["503"] * 9) as (address, seen):
        engine = RemoteEngine(address, wait_s=0.01)
        _, last = finish(engine.submit(prompt("Hello"), SHORT))
        assert (last.reason, len(seen)) == ("error", ATTEMPTS)
        assert "HTTP 503" in last.error


@pytest.mark.parametrize("fault", ["cut", "garbage", "error"])
def test_a_stream_that_breaks_keeps_its_text_and_is_not_begun_again(fault: str) -> None:
    with misbehaving([fault, "answer"]) as (address, seen):
        engine = RemoteEngine(address, wait_s=0.01)
        text, last = finish(engine.submit(prompt("Hello"), SHORT))
        engine.close()
    assert (text, last.reason, len(seen)) == ("Good", "error", 1)
    assert "try again" in last.error


def test_the_hubs_own_token_never_goes_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_this_machine")
    with misbehaving(["answer"]) as (address, seen):
        engine = RemoteEngine(address, wait_s=0.01)
        finish(engine.submit(prompt("Hello"), SHORT))
        engine.close()
    assert "hf_of_this_machine" not in seen[0]


def test_more_than_the_limit_are_refused_and_closing_ends_the_rest(server: str) -> None:
    engine = RemoteEngine(server, token="open-sesame", most=2)
    running = [engine.submit(prompt("Tell me everything."), Options(max_tokens=1500)) for _ in range(2)]
    with pytest.raises(QueueFull):
        engine.submit(prompt("One more"))
    engine.close()
    assert engine.load().running == 0
    assert [generation.cancelled for generation in running] == [True, True]


def busy(server: str) -> bool:
    """Whether llama-server computes for anybody."""
    slots = httpx2.get(f"{server}/slots", headers={"Authorization": "Bearer open-sesame"}).json()
    return any(slot["is_processing"] for slot in slots)


def until(holds: object, attempts: int = 400) -> None:
    """Wait for `holds()`; the last attempt's failure is the test's."""
    assert callable(holds)
    pause = threading.Event()
    for _ in range(attempts):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError("it never came to that")


@contextmanager
def misbehaving(script: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """A server that answers its n-th request as `script` says; what it was sent as Authorization, and what it saw."""
    left, seen = list(script), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(self.headers.get("Authorization", ""))
            act = left.pop(0)
            if act == "silence":
                self.wait_for_hangup()
                return
            if act.isdigit():
                self.send_error(int(act))
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", "100000" if act in ("cut", "stall") else str(len(BODIES[act])))
            self.end_headers()
            self.wfile.write(BODIES[act])
            if act == "stall":
                self.wait_for_hangup()

        def wait_for_hangup(self) -> None:
            self.connection.settimeout(30)
            seen.append("closed" if self.rfile.read(1) == b"" else "more")

    with http_server(Handler) as address:
        yield address, seen


def chunk(text: str) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    whole = {"id": "1", "created": 1, "model": "m", "system_fingerprint": "", "choices": [choice]}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"


BODIES = {
    "answer": chunk("Good") + chunk(" day") + b"data: [DONE]\n\n",
    "cut": chunk("Good"),
    "stall": chunk("Good"),
    "garbage": chunk("Good") + b"data: {not json\n\n",
    "error": chunk("Good") + b'data: {"error": "out of memory", "error_type": "overloaded"}\n\n',
}
