"""Whatever a model server does, each answer ends with its reason, and the next one is asked for."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from model.engine.protocol import NO_ANSWER, ModelUnusable, Options, Sampling
from model.engine.remote import THOUGHT_TOKENS, RemoteEngine, checked_url
from model.streaming.server_stream import chunks
from tests.model.strange_servers import (
    DONE,
    Act,
    Handler,
    Server,
    chunk,
    event,
    hangs_up,
    says,
    server,
    silent,
    without_end,
)
from tests.model.test_engine import finish
from tests.model.test_remote import prompt, until

SHORT = Options(max_tokens=12, deadline_s=20)
GOOD = (chunk("Good"), chunk(" day", "stop"), DONE)
HTML = b"<!doctype html><title>Internal error</title><p>a trace of somebody's program</p>"

# What a server does: the text that is left, the reason, words of what the visitor reads and words that must not be there.
WAYS: dict[str, tuple[Act, str, str, str, str]] = {
    "null usage": (says(chunk("Good"), chunk(" day", "stop", usage=None), DONE), "Good day", "stop", "", ""),
    "a usage of nulls": (
        says(*GOOD[:2], event({"choices": [], "usage": {"prompt_tokens": None, "completion_tokens": None}}), DONE),
        "Good day", "stop", "", "",
    ),
    "a usage of words": (says(*GOOD[:2], event({"usage": {"prompt_tokens": "many"}}), DONE), "Good day", "stop", "", ""),
    "a usage of a list": (says(*GOOD[:2], event({"usage": [1, 2]}), DONE), "Good day", "stop", "", ""),
    "null delta": (
        says(event({"choices": [{"index": 0, "delta": None}]}), *GOOD), "Good day", "stop", "", "",
    ),
    "nothing but null deltas": (
        says(event({"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}), DONE),
        "", "error", "sent no text", "",
    ),
    "null choices": (says(event({"choices": None}), *GOOD), "Good day", "stop", "", ""),
    "choices that are none": (says(event({"choices": [None, 7, "x"]}), *GOOD), "Good day", "stop", "", ""),
    "a number for a text": (says(chunk("Good"), chunk(7), DONE), "Good", "error", "cannot be read", ""),
    "a text in parts": (
        says(chunk([{"type": "text", "text": "Good"}]), chunk(" day", "stop"), DONE), "Good day", "stop", "", "",
    ),
    "deep JSON": (says(chunk("Good"), event(b"[" * 200_000)), "Good", "error", "no JSON object", ""),
    "deep JSON that closes": (
        says(chunk("Good"), event(b'{"a":' * 150_000 + b"1" + b"}" * 150_000)), "Good", "error", "no JSON object", "",
    ),
    "an event in several lines": (
        says(b'data: {"choices":\ndata: [{"delta":\ndata: {"content": "Good"}}]}\n\n', *GOOD[1:]), "Good day", "stop", "", "",
    ),
    "events without an empty line between": (
        says(GOOD[0].replace(b"\n\n", b"\n"), GOOD[1].replace(b"\n\n", b"\n"), DONE), "Good day", "stop", "", "",
    ),
    "events without data": (says(b"event: ping\ndata:\n\ndata\n\n", *GOOD), "Good day", "stop", "", ""),
    "a byte order mark": (says(BOM_UTF8, *GOOD), "Good day", "stop", "", ""),
    "closed within an event of several lines": (
        says(chunk("Good"), b'data: {"choices":\n'), "Good", "error", "broke off in the middle", "",
    ),
    "a list for a chunk": (says(chunk("Good"), event([1])), "Good", "error", "no JSON object", ""),
    "no UTF-8": (says(chunk("Good"), event(b'{"choices": "\xff\xfe"}')), "Good", "error", "no JSON object", ""),
    "text without end": (without_end(chunk("again ")), "again " * 12, "length", "", ""),
    "long texts without end": (without_end(chunk("a" * 5000)), "aaaaaaaaa", "length", "", ""),
    "comments without end": (without_end(b": still here\n\n" * 5000), "", "error", "without end", ""),
    "a line without end": (without_end(b"data: " + b"x" * 50_000), "", "error", "a line without end", ""),
    "a redirect": (
        says(status=307, Location="http://127.0.0.1:9/v1/chat/completions"), "", "error", "another address", "127.0.0.1:9",
    ),
    "a page": (says(HTML, kind="text/html"), "", "error", "text/html instead of", "somebody"),
    "JSON instead of a stream": (
        says(b'{"error": {"message": "streams are off"}}', kind="application/json"), "", "error", "streams are off", "",
    ),
    "compressed": (says(b"\x1f\x8b", Content_Encoding="gzip"), "", "error", "compressed", ""),
    "closed in the middle": (says(chunk("Good")), "Good", "error", "broke off in the middle", ""),
    "closed within a chunk": (says(chunk("Good"), b'data: {"choi'), "Good", "error", "broke off in the middle", ""),
    "closed before an answer": (hangs_up, "", "error", "broke off", ""),
    "400 with a reason": (
        says(b'{"error": {"message": "max_tokens is too large: 12", "code": 400}}', status=400, kind="application/json"),
        "", "error", "HTTP 400: max_tokens is too large: 12", "",
    ),
    "400 as FastAPI words it": (
        says(b'{"detail": [{"loc": ["model"], "msg": "field required"}]}', status=422, kind="application/json"),
        "", "error", "HTTP 422: field required", "",
    ),
    "400 in plain words": (says(b"no such model\n", status=400, kind="text/plain"), "", "error", "no such model", ""),
    "401": (says(b'{"error": "bad key"}', status=401), "", "error", "ENGINE_TOKEN (HTTP 401: bad key)", ""),
    "404": (says(b'{"message": "no model x"}', status=404), "", "error", "check MODEL and ENGINE_URL", ""),
    "500 with a page": (says(HTML, status=500, kind="text/html"), "", "error", "has failed (HTTP 500)", "somebody"),
    "503": (says(b'{"error": {"message": "Loading model"}}', status=503), "", "error", "HTTP 503: Loading model", ""),
    "a reason of a megabyte": (
        says(json.dumps({"error": {"message": "why " * 250_000}}).encode(), status=400), "", "error", "HTTP 400", "",
    ),
    "an error in the stream": (
        says(chunk("Good"), event({"error": {"message": "out of\nmemory"}})), "Good", "error", "(out of memory)", "",
    ),
}  # fmt: skip


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[Act, str, str, str, str]:
    return WAYS[request.param]


def test_a_server_that_misbehaves_ends_its_answer_with_a_reason(way: tuple[Act, str, str, str, str]) -> None:
    act, left, reason, words, never = way
    with server(act) as strange:
        engine = RemoteEngine(strange.url, wait_s=0.01)
        text, last = finish(engine.submit(prompt("Hello"), SHORT))
        assert text.startswith(left)
        assert len(text) <= max(len(left), (SHORT.max_tokens + THOUGHT_TOKENS + 100) * 64)
        assert (last.reason, words in last.error) == (reason, True), last.error
        assert bool(last.error) == (reason == "error")
        assert not never or never not in last.error
        assert len(last.error) < 400
        strange.act = says(*GOOD)
        assert finish(engine.submit(prompt("Hello"), SHORT))[0] == "Good day"
        assert engine.load().running == 0
        engine.close()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_the_same_wherever_the_network_cuts_it(size: int, end: bytes) -> None:
    lines = ('data:{"choices":', 'data: [{"delta": {"content": "использовать 😀"}}]}', "", "data: [DONE]", "", "")
    sent = BOM_UTF8 + end.join(line.encode() for line in lines)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(sent), size):
            yield sent[at : at + size]

    async def read() -> list[dict[str, Any]]:
        headers = {"Content-Type": "text/event-stream"}
        return [found async for found in chunks(httpx2.Response(200, headers=headers, content=pieces()))]

    assert asyncio.run(read()) == [{"choices": [{"delta": {"content": "использовать 😀"}}]}]


def test_a_redirect_is_not_followed_and_takes_no_key_along() -> None:
    with server(says(*GOOD)) as elsewhere:
        with server(says(status=307, Location=f"{elsewhere.url}/v1/chat/completions")) as strange:
            engine = RemoteEngine(strange.url, token="secret")
            assert finish(engine.submit(prompt("Hello"), SHORT))[1].reason == "error"
            engine.close()
        assert elsewhere.seen == []


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.engine.remote.SILENCE_S", 0.2)
    with server(silent) as strange:
        engine = RemoteEngine(strange.url, wait_s=0.01)
        _, last = finish(engine.submit(prompt("Hello"), SHORT))
        assert "has sent nothing for" in last.error
        _, last = finish(engine.submit(prompt("Hello"), Options(deadline_s=0.1)))
        assert (last.reason, last.error) == ("deadline", "")
        engine.close()


@pytest.mark.parametrize(("url", "words"), [
    ("http://127.0.0.1:{closed}", "refuses connections"),
    ("http://no-such-host.invalid:8000", "is not known"),
    ("https://127.0.0.1:{plain}", "no secure connection"),
])  # fmt: skip
def test_an_address_out_of_reach_is_told_apart(url: str, words: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    with server(says(*GOOD)) as plain:
        engine = RemoteEngine(url.format(closed=closed, plain=plain.server_address[1]), wait_s=0.01)
        _, last = finish(engine.submit(prompt("Hello"), SHORT))
        engine.close()
    assert last.reason == "error"
    assert "does not answer" in last.error
    assert words in last.error


@pytest.mark.parametrize("text", [
    "127.0.0.1:8099/v1", "localhost:8099", "ftp://127.0.0.1/v1", "http://", "http:///v1", "//host/v1", "http://host:99999",
    "http://host:port/v1", "http://a b/v1", "http://host/\n", "vllm", "file:///etc/passwd", "http://[::1/v1",
])  # fmt: skip
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ModelUnusable, match="is not the address of a server; write it like http"):
        RemoteEngine(text)


@pytest.mark.parametrize(("text", "posted"), [
    ("http://h:1", "http://h:1/v1/chat/completions"),
    ("http://h:1/", "http://h:1/v1/chat/completions"),
    ("https://h/v1/", "https://h/v1/chat/completions"),
    ("http://h/api/v1/chat/completions", "http://h/api/v1/chat/completions"),
    ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
    ("https://h/openai/v1?api-version=1", "https://h/openai/v1/chat/completions?api-version=1"),
])  # fmt: skip
def test_a_base_address_leads_to_where_a_chat_is_posted(text: str, posted: str) -> None:
    assert str(checked_url(text)) == posted
    assert checked_url(posted) == checked_url(text)


@pytest.fixture
def thinking() -> Iterator[tuple[Server, RemoteEngine]]:
    with server(says()) as strange:
        engine = RemoteEngine(strange.url)
        yield strange, engine
        engine.close()


@pytest.mark.parametrize("pieces", [
    ["<think>Hm", ", is it?</think>", "Yes."], ["<", "think", ">Hm</thi", "nk>\n\nYes."], ["Hm, is it?", "</think>Yes."],
])  # fmt: skip
def test_thoughts_are_left_out_of_the_answer(thinking: tuple[Server, RemoteEngine], pieces: list[str]) -> None:
    strange, engine = thinking
    strange.act = says(*map(chunk, pieces), chunk("", "stop"), DONE)
    for _ in range(2):
        text, last = finish(engine.submit(prompt("Is it?"), SHORT))
        assert (text, last.reason) == ("Yes.", "stop")
    first, second = (body["max_tokens"] for _, body in strange.seen)
    assert (first, second) == (12, 12 + THOUGHT_TOKENS), "a model that thinks needs room for it"


def test_reasoning_in_a_field_of_its_own_is_no_answer(thinking: tuple[Server, RemoteEngine]) -> None:
    strange, engine = thinking
    thought = event({"choices": [{"delta": {"content": None, "reasoning_content": "Hm"}, "finish_reason": None}]})
    strange.act = says(thought, *GOOD)
    assert finish(engine.submit(prompt("Is it?"), SHORT))[0] == "Good day"


def test_a_thought_that_never_ends_is_said_to_be_no_answer(thinking: tuple[Server, RemoteEngine]) -> None:
    strange, engine = thinking
    strange.act = says(chunk("<think>Hm"), chunk(" and hm", "length"), DONE)
    text, last = finish(engine.submit(prompt("Is it?"), SHORT))
    assert (text, last.reason, last.error) == ("", "error", NO_ANSWER)


def test_once_an_answer_began_without_a_thought_the_next_ones_stream(thinking: tuple[Server, RemoteEngine]) -> None:
    strange, engine = thinking
    strange.act = says(*GOOD)
    finish(engine.submit(prompt("Hello"), SHORT))

    def stalls(handler: Handler) -> None:
        says(chunk("Good"))(handler)
        silent(handler)

    strange.act = stalls
    generation = engine.submit(prompt("Hello"), SHORT)
    assert next(iter(generation)) is not None
    generation.cancel()


def test_a_server_whose_template_refuses_a_system_message_gets_it_in_the_first_question() -> None:
    def gemma(handler: Handler) -> None:
        _, body = handler.server.seen[-1]  # type: ignore[attr-defined]
        if body["messages"][0]["role"] == "system":
            says(b'{"message": "System role not supported"}', status=400)(handler)
        else:
            says(*GOOD)(handler)

    with server(gemma) as strange:
        engine = RemoteEngine(strange.url)
        for _ in range(2):
            assert finish(engine.submit(prompt("Hello"), SHORT))[0] == "Good day"
        assert [body["messages"] for _, body in strange.seen[1:]] == [
            [{"role": "user", "content": "You are a guide.\n\nHello"}]
        ] * 2
        assert len(strange.seen) == 3, "it is asked the refused way once"
        strange.act = says(b'{"message": "no"}', status=400)
        assert "HTTP 400: no" in finish(engine.submit(prompt("Hello"), SHORT))[1].error
        engine.close()


def test_a_bound_answer_is_passed_on_as_it_is(thinking: tuple[Server, RemoteEngine]) -> None:
    strange, engine = thinking
    strange.act = says(chunk('{"a":'), chunk(" 1}", "stop"), DONE)
    bound = Options(max_tokens=12, sampling=Sampling(schema='{"type": "object"}'))
    assert finish(engine.submit(prompt("Which?"), bound))[0] == '{"a": 1}'


def test_tool_calls_of_any_shape_end_as_a_call(thinking: tuple[Server, RemoteEngine]) -> None:
    strange, engine = thinking
    odd = [None, 7, {}, {"function": None}, {"index": 0, "function": {"name": "a", "arguments": None}}]
    strange.act = says(event({"choices": [{"delta": {"tool_calls": odd}, "finish_reason": "tool_calls"}]}), DONE)
    text, _ = finish(engine.submit(prompt("Which?"), Options(max_tokens=12, tools=({"type": "function"},))))
    assert json.loads(text) == {"name": "a", "arguments": {}}


def test_an_engine_whose_thread_ended_is_silent_for_good() -> None:
    with server(says(*GOOD)) as strange:
        engine = RemoteEngine(strange.url)
        assert engine.load().silent_s == 0
        engine.close()
        until(lambda: engine.load().silent_s == math.inf)
