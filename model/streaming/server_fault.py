"""Say in one sentence what is wrong with a model server: whose turn it is to do something, and what."""

from __future__ import annotations

import errno
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

BUSY = (429, 502, 503, 504)  # worth another try
LONGEST_REASON = 200  # characters of what a server says of itself
REASONS = ("message", "detail", "error", "msg", "reason")  # where servers put it
NESTED = 4  # levels down to it


class ServerFault(RuntimeError):
    """The error of a model server; the message is one sentence for the visitor."""

    def __init__(self, message: str, *, passes: bool = False, status: int = 0) -> None:
        super().__init__(message)
        self.passes = passes  # it may be over in a moment
        self.status = status  # of HTTP, 0 where none came


def broken(how: str) -> ServerFault:
    """Return the fault of a server that answers outside the protocol."""
    return ServerFault(f"The model server answers in a way that cannot be read ({how}); please try again soon.")


def cut() -> ServerFault:
    """Return the fault of an answer that ends in the middle."""
    return ServerFault("The model server broke off in the middle of the answer; please try again.", passes=True)


def unanswered(error: httpx2.HTTPError | OSError, silence_s: float) -> ServerFault:
    """Return the fault behind an error of the connection: refused, out of reach, silent, or cut."""
    if isinstance(error, httpx2.ReadTimeout):
        how = f"it has sent nothing for {silence_s:.0f} seconds"
    elif isinstance(error, httpx2.ReadError | httpx2.RemoteProtocolError | httpx2.WriteError):
        return cut()
    else:
        how = _why_out_of_reach(error)
    return ServerFault(f"The model server does not answer: {how}; please try again soon.", passes=True)


def _why_out_of_reach(error: BaseException) -> str:
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "the name in its address (ENGINE_URL) is not known"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "no secure connection to it can be made (https in ENGINE_URL)"
    if any(getattr(cause, "errno", None) == errno.ECONNREFUSED for cause in causes):
        return "its address (ENGINE_URL) refuses connections, so it does not run there"
    return "it cannot be reached over the network"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        for one in getattr(error, "exceptions", ()):
            yield from _causes(one)
        error = error.__cause__ or error.__context__


def refused(status: int, body: bytes) -> ServerFault:
    """Return the fault of an answer whose HTTP status is no success; `body` is how it began."""
    said = reason_in(_parsed(body))
    told = f"HTTP {status}{': ' + said if said else ''}"
    if 300 <= status < 400:
        return ServerFault(
            f"The model server sends this page to another address, which is not followed (HTTP {status}); "
            "ENGINE_URL must name where it is.",
            status=status,
        )
    if status in BUSY:
        return ServerFault(
            f"The model server is busy or being started ({told}); please try again soon.", passes=True, status=status
        )
    if status >= 500:
        return ServerFault(f"The model server has failed ({told}); please try again soon.", status=status)
    if status in (401, 403):
        return ServerFault(f"The model server does not accept this page's key, ENGINE_TOKEN ({told}).", status=status)
    if status == 404:
        return ServerFault(
            f"The model server does not know this model or address ({told}); check MODEL and ENGINE_URL.", status=status
        )
    return ServerFault(f"The model server refuses this request ({told}).", status=status)


def failed(error: object) -> ServerFault:
    """Return the fault that a server reports within its stream."""
    said = reason_in({"error": error})
    return ServerFault(f"The model server has failed{' (' + said + ')' if said else ''}; please try again soon.")


def reason_in(answer: object) -> str:
    """Return what a server's JSON says of a fault, cut to LONGEST_REASON printable characters; "" for nothing."""
    for _ in range(NESTED):
        if isinstance(answer, list) and answer:  # FastAPI lists what it does not accept
            answer = answer[0]
        elif isinstance(answer, Mapping):
            answer = next((answer[name] for name in REASONS if answer.get(name)), "")
    text = answer if isinstance(answer, str) else ""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * LONGEST_REASON]).split())
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "..."


def _parsed(body: bytes) -> Any:
    """Return a body's JSON; its text where that is short and plain; "" for a page of HTML and anything else."""
    text = body.decode("utf-8", "replace").strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return "" if "<" in text[:LONGEST_REASON] or "\ufffd" in text else text
