"""Read the event stream of a model server, which is a stranger: every size is bounded, every value may be missing.

The stream is that of OpenAI's chat completions: server-sent events, each one JSON object, the last `[DONE]`.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2

from model.streaming.server_fault import broken, cut, failed, reason_in, refused

MOST_OF_A_LINE = 1_000_000  # bytes; a chunk takes a few hundred, the last one with a whole tool call some thousand
MOST_OF_A_STREAM = 20_000_000  # bytes; each token comes in a few hundred
MOST_OF_A_REFUSAL = 20_000  # bytes that are read for a reason
EVENT_STREAM = "text/event-stream"


async def chunks(response: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON objects of a stream. Raises ServerFault where it is none, breaks off, or reports a fault."""
    await _check(response)
    is_complete = False
    async for chunk in _events(response):
        if chunk is None:
            return
        if chunk.get("error"):
            raise failed(chunk["error"])
        is_complete = is_complete or any(choice.get("finish_reason") for choice in choices(chunk))
        yield chunk
    if not is_complete:
        raise cut()


async def _events(response: httpx2.Response) -> AsyncIterator[dict[str, Any] | None]:
    """Yield the object of each event, None for `[DONE]`; everything without data is passed over.

    An event may spread its object over several lines, and ends with an empty one; some servers leave that out behind
    an object in one line.
    """
    held: list[bytes] = []
    async for line in _lines(response):
        data = line[5:].strip() if line.startswith(b"data:") else b""
        found: dict[str, Any] | None = {}
        if data and not held:
            found = None if data == b"[DONE]" else _object(data)
        elif not line and held:
            found, data, held = _object(b"\n".join(held)), b"", []
            if not found:
                raise broken("a chunk that is no JSON object")
        if found is None or found:
            yield found
        elif data:
            held.append(data)


async def _check(response: httpx2.Response) -> None:
    """Raise ServerFault where an answer is no stream, with what its server says of that."""
    kind = response.headers.get("content-type", EVENT_STREAM).partition(";")[0].strip().lower()
    if not response.is_success:
        raise refused(response.status_code, await _beginning(response))
    if kind != EVENT_STREAM:
        said = reason_in(_object(await _beginning(response)).get("error"))
        raise failed(said) if said else broken(f"{kind[:60]} instead of {EVENT_STREAM}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise broken("compressed, though that was not asked for")


def choices(chunk: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the choices of a chunk that are objects."""
    found = chunk.get("choices")
    return [choice for choice in found if isinstance(choice, Mapping)] if isinstance(found, list) else []


def delta(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a choice adds; empty where the server sends null."""
    found = choice.get("delta")
    return found if isinstance(found, Mapping) else {}


def count(usage: object, *names: str) -> int | None:
    """Return a number of tokens from the server's own count, by the path of its name; None where it states none."""
    for name in names:
        usage = usage.get(name) if isinstance(usage, Mapping) else None
    return usage if isinstance(usage, int) and not isinstance(usage, bool) and 0 <= usage < 2**31 else None


def _object(data: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one for anything else."""
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


async def _lines(response: httpx2.Response) -> AsyncIterator[bytes]:
    total, left, is_first = 0, b"", True
    async for piece in response.aiter_raw():
        total += len(piece)
        if total > MOST_OF_A_STREAM:
            raise broken("a stream without end")
        text = left + piece
        end = len(text) - text.endswith(b"\r")  # what comes next may make it \r\n, which is one line end
        *lines, left = text[:end].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        left += text[end:]
        for line in lines:
            yield line.removeprefix(BOM_UTF8) if is_first else line
            is_first = False
        if len(left) > MOST_OF_A_LINE:
            raise broken("a line without end")
    if left.removeprefix(b"data:").strip() == b"[DONE]":  # anything else without a line end is cut off
        yield left


async def _beginning(response: httpx2.Response) -> bytes:
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) >= MOST_OF_A_REFUSAL:
            break
    return body[:MOST_OF_A_REFUSAL]
