"""A small ASGI guard in front of the page: only the routes it uses, small bodies, and headers that keep data in.

Covers: unused Gradio routes (uploads, file access, proxying, component servers, streams, run history, monitoring)
answer 404; bodies over the limit 413; no script, style, image, font or connection from a foreign host; no sniffing;
framing only by the Hub. Does not cover: rate limits, and what a handler does with a message that is let through.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 256 * 1024  # bytes; a conversation of 40 turns coming back from the browser is the largest honest body
EXACT = frozenset(
    {"/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json", "/pwa_icon", "/healthz", "/readyz"}
    | {f"/gradio_api/{name}" for name in ("info", "queue/join", "queue/data", "queue/status", "run/predict")}
    | {f"/gradio_api/{name}" for name in ("cancel", "reset", "startup-events", "app_id", "login_check", "heartbeat")}
    | {"/gradio_api/mcp", "/gradio_api/mcp/"}
)
PREFIXES = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/", "/gradio_api/call/", "/gradio_api/theme.css")
FRAMES = "'self' https://huggingface.co https://*.hf.space"
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
}


class Guard:
    """Wraps the whole application; everything that is not HTTP passes."""

    def __init__(self, app: ASGIApp, extra: Sequence[str] = ()) -> None:
        self._app = app
        self._exact = EXACT | set(extra)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404 or 413, or hand on with headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._allowed(scope["path"]):
            await PlainTextResponse("Not found", 404)(scope, receive, _with_headers(send))
            return
        if _declared_length(scope) > MAX_BODY:
            await PlainTextResponse("The request is too large", 413)(scope, receive, _with_headers(send))
            return
        limited = _Limited(receive)
        await self._app(scope, limited, _with_headers(send))

    def _allowed(self, path: str) -> bool:
        return ".." not in path and (path in self._exact or path.startswith(PREFIXES))


class _Limited:
    """A body that ends where it grows over the limit, whatever length was declared."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        return message if self._seen <= MAX_BODY else {"type": "http.disconnect"}


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return wrapped


def _declared_length(scope: Scope) -> int:
    value = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(value) if value.isdigit() else 0
