"""Lets through only the routes the page uses, small bodies, one origin; closes the headers. Pure ASGI.

Covers: a route or method that is not on the list gets 404 (Gradio's uploads, file access, proxying, component servers,
streams, run history, monitoring). A body over the limit gets 413, whatever length it declares; one that does not come
in time 408; one that is no JSON or no call of the page 422. Hidden characters are taken out of every text of a body. A
request that another site's page makes through a visitor's browser gets 403, and no answer carries CORS headers (Gradio
would reflect any origin, with credentials). The headers forbid foreign scripts, styles, images, fonts and connections,
sniffing, and framing by anybody but the Hub.

Does not cover: rate limits (`throttle.py`, `admission.py`); a name that its owner points at this address (DNS
rebinding), since nothing here depends on who asks; what a handler does with a message that is let through.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.prompting.plain_text import plain

MAX_DEPTH = 40  # of a body's JSON; the shelf of conversations nests eight deep
MAX_BODY = 256 * 1024  # bytes; a conversation of 40 turns coming back from the browser is the largest honest body
READ = frozenset({"GET", "HEAD"})
POST = frozenset({"POST"})
EXACT: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json", "/pwa_icon"), READ),
    **dict.fromkeys(("/healthz", "/readyz"), READ),
    **{f"/gradio_api/{name}": READ for name in ("info", "queue/data", "queue/status", "startup-events")},
    **{f"/gradio_api/{name}": READ for name in ("app_id", "login_check", "theme.css")},
    **{f"/gradio_api/{name}": POST for name in ("queue/join", "run/predict", "cancel", "reset")},
    **dict.fromkeys(("/gradio_api/mcp", "/gradio_api/mcp/"), frozenset({"GET", "POST", "DELETE"})),
}
PATTERNS: Mapping[re.Pattern[str], frozenset[str]] = {
    re.compile(r"/(?:assets|static|svelte)/[^:]+"): READ,
    re.compile(r"/gradio_api/heartbeat/[A-Za-z0-9_-]{1,64}"): READ,
    re.compile(r"/gradio_api/call/[a-z_]+"): POST,
    re.compile(r"/gradio_api/call/[a-z_]+/[0-9a-f]{1,64}"): READ,
}
FRAMES = "'self' https://huggingface.co"  # the Hub frames a Space on its own page, and no Space frames another
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio starts itself from inline scripts
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        f"frame-ancestors {FRAMES}",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
GRANTS = tuple(
    f"access-control-{name}"
    for name in ("allow-origin", "allow-credentials", "allow-methods", "allow-headers", "expose-headers", "max-age")
)


FOREIGN = (
    "Not from another site's page. If this is the site's own page behind a proxy, the proxy must send the Host header "
    "that the browser sent, or X-Forwarded-Host with TRUST_PROXY set here; docs/operators.md shows how."
)
Check = Callable[[Scope, Any], Any]  # the request and its JSON body -> the body that may pass; raises CallRefused
REFUSED = "refused"  # key of a refusal in a request's state
BODY_S = 30.0  # for a body, which a telephone sends within seconds
HOLD_S = 1.0  # a flood's refusals are held back so long: what asks again at each answer slows itself down


class CallRefused(ValueError):
    """A call that makes no sense, or comes too soon; the message says in one sentence why."""

    def __init__(self, message: str, status: int = 422, wait_s: float = 0.0, *, hold: bool = False) -> None:
        """wait_s: when it may come again. hold: answer late."""
        super().__init__(message)
        self.status = status
        self.wait_s = wait_s
        self.hold = hold


def refuse_later(scope: Scope, refused: CallRefused) -> None:
    """Let a refusal travel with its request to the handler, which says it."""
    scope.setdefault("state", {})[REFUSED] = refused


def refusal_of(request: Any) -> CallRefused | None:
    """Return the refusal that travels with a request, given as Gradio or Starlette has it; None where there is none."""
    refusal = getattr(getattr(request, "state", None), REFUSED, None)
    return refusal if isinstance(refusal, CallRefused) else None


class Allowlist:
    """Wraps the whole application; everything that is not HTTP passes. `check` knows the page's own calls."""

    def __init__(
        self,
        app: ASGIApp,
        check: Check = lambda _scope, body: body,
        extra: Collection[str] = frozenset(),
        hold_s: float = HOLD_S,
        body_s: float = BODY_S,
    ) -> None:
        """extra: further paths that may be read. body_s: how long a body may take to come."""
        self._app = app
        self._body_s = body_s
        self._hold_s = hold_s
        self._check = check
        self._extra = frozenset(extra)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, 404, 408, 413 or 422, or hand on with headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = with_headers(send)
        if not (is_known(scope["path"], scope["method"]) or self._is_extra(scope)):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
        elif is_foreign(scope["method"], Headers(scope=scope)):
            await PlainTextResponse(FOREIGN, 403)(scope, receive, send)
        elif scope["method"] != "POST":
            await self._hand_on(scope, receive, send)
        else:
            await self._take(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._body_s):
                body = await _whole_body(scope, receive)
        except TimeoutError:
            closing = {"Connection": "close"}
            await PlainTextResponse("The body did not come in time.", 408, closing)(scope, receive, send)
            return
        if body is None:
            await PlainTextResponse(f"The request is larger than {MAX_BODY // 1024} KiB", 413)(scope, receive, send)
        else:
            await self._post(body, scope, receive, send)

    def _is_extra(self, scope: Scope) -> bool:
        return scope["path"] in self._extra and scope["method"] in READ

    async def _post(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            checked = self._check(scope, _cleaned(json.loads(body, parse_constant=_refuse_constant)))
        except CallRefused as refused:
            await asyncio.sleep(self._hold_s * refused.hold)
            after = {"Retry-After": str(math.ceil(refused.wait_s))} if refused.wait_s else None
            await JSONResponse({"detail": str(refused)}, refused.status, after)(scope, receive, send)
        except (ValueError, RecursionError):
            await JSONResponse({"detail": "The body must be JSON in UTF-8."}, 422)(scope, receive, send)
        else:
            later = scope.get("state", {}).get(REFUSED)
            await asyncio.sleep(self._hold_s * bool(later and later.hold))
            body = json.dumps(checked, ensure_ascii=False).encode()
            MutableHeaders(scope=scope)["content-length"] = str(len(body))
            await self._hand_on(scope, _replayed(body, receive), send)

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; end the stream of an unknown session, which Gradio fails after it has begun."""
        try:
            await self._app(scope, receive, send)
        except RuntimeError as error:
            if not isinstance(error.__cause__, HTTPException):
                raise
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def is_known(path: str, method: str) -> bool:
    """Return whether the page or a program uses this route."""
    if ".." in path or "\\" in path or "\x00" in path:
        return False
    methods = EXACT.get(path) or next((found for like, found in PATTERNS.items() if like.fullmatch(path)), frozenset())
    return method in methods


def is_foreign(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a browser asks on behalf of another site's page; opening the page itself from there is fine.

    Programs send neither of the two headers that tell, and a page cannot forge them.
    """
    site = headers.get("sec-fetch-site", "")
    if site in {"same-origin", "none"}:
        return False
    if site:
        return not (method in READ and headers.get("sec-fetch-mode") == "navigate")
    return "origin" in headers and _host(headers["origin"]) != headers.get("host", "")


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc or origin
    except ValueError:  # e.g. a bracket that never closes
        return origin


def _cleaned(value: Any, depth: int = 0) -> Any:
    """Return the JSON value without hidden characters, keys included."""
    if depth > MAX_DEPTH:
        raise CallRefused(f"The body nests deeper than {MAX_DEPTH} levels.")
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [_cleaned(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {plain(key): _cleaned(item, depth + 1) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):  # 1e999 is JSON, and no number
        raise CallRefused("A number is too large.")
    return value


def _refuse_constant(name: str) -> None:
    raise CallRefused(f"{name} is not JSON.")


async def _whole_body(scope: Scope, receive: Receive) -> bytes | None:
    """Return the body, or None as soon as it is known to be over the limit."""
    body = b""
    if _declared_length(scope) > MAX_BODY:
        return None
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY:
            return None
        if message["type"] != "http.request" or not message.get("more_body"):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receiver that gives the body in one message, then whatever else the connection says."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def with_headers(send: Send) -> Send:
    """Return a sender whose answers carry the headers, and none that lets another site's page look."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in GRANTS:
                del headers[name]
            headers.update(HEADERS)
            if headers.get("content-type", "").startswith("text/event-stream"):
                headers["X-Accel-Buffering"] = "no"  # nginx would keep the events back until its buffer is full
        await send(message)

    return wrapped


def _declared_length(scope: Scope) -> int:
    value = Headers(scope=scope).get("content-length", "")
    return int(value) if value.isdecimal() and len(value) < 20 else 0
