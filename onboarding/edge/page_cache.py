"""Keeps the page as it was drawn and sends it again. Pure ASGI, inside the allowlist.

Gradio copies its whole configuration, fills its template and compresses the result anew for every visitor, a few
hundred milliseconds of this process while answers are being written. What comes out depends on the address by which the
page is reached and on the encodings that the browser takes, on nothing else: there are no logins, cookies or
run-time layouts here. So it is kept as sent, by exactly those, and the whole answer with its headers is sent again.

The query stays outside: Gradio would read `page` and `deep_link` there, of which this page has none, and draw anew or
fail. Does not cover: answers other than 200 and answers that set a cookie; those are drawn each time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = frozenset({"/", "/config", "/gradio_api/info"})
ENCODINGS = ("br", "gzip")
KEPT = 64  # a client can invent hosts: the addresses by which the page is really reached are few, and asked for often

Key = tuple[str, ...]


class PageCache:
    """ASGI middleware that keeps the page as drawn. Belongs to one event loop."""

    def __init__(self, app: ASGIApp, forget: Callable[[], None] = lambda: None) -> None:
        """forget: called before each drawing. Gradio keeps the address of whoever asked first for its description."""
        self._app = app
        self._forget = forget
        self._kept: OrderedDict[Key, list[Message]] = OrderedDict()
        self._drawing = asyncio.Lock()  # a crowd that comes at once draws it once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is kept, or have it drawn."""
        if not _is_shell(scope):
            await self._app(scope, receive, send)
            return
        is_head, scope = scope["method"] == "HEAD", {**scope, "method": "GET", "query_string": b""}
        key = _key(scope)
        if key not in self._kept:
            async with self._drawing:
                if key not in self._kept:
                    self._keep(key, await self._drawn(scope, receive, send))
        if key in self._kept:
            self._kept.move_to_end(key)
            for message in self._kept[key]:
                await send({**_copied(message), "body": b""} if is_head and "body" in message else _copied(message))

    async def _drawn(self, scope: Scope, receive: Receive, send: Send) -> list[Message]:
        """Return the messages of the answer; [] when it is not to be kept, and then it has been sent."""
        self._forget()
        messages: list[Message] = []
        passing = False

        async def collect(message: Message) -> None:
            nonlocal passing
            if message["type"] == "http.response.start":
                passing = message["status"] != 200 or "set-cookie" in Headers(raw=message["headers"])
            if passing:
                await send(message)
            else:
                messages.append(message)

        await self._app(scope, receive, collect)
        return messages

    def _keep(self, key: Key, messages: list[Message]) -> None:
        if messages:
            self._kept[key] = messages
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


def _copied(message: Message) -> Message:
    """Return the message with headers of its own: the allowlist adds to them."""
    return {**message, "headers": [*message["headers"]]} if "headers" in message else {**message}


def _is_shell(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"] in PATHS


def _key(scope: Scope) -> Key:
    headers = Headers(scope=scope)
    accepted = headers.get("accept-encoding", "")
    encodings = (name if name in accepted else "" for name in ENCODINGS)
    return (
        scope["path"],
        scope["scheme"],
        scope.get("root_path", ""),
        headers.get("host", ""),  # Gradio makes its own address from it; client_address.py leaves no other way
        *encodings,
    )
