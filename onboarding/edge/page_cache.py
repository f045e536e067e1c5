"""Keeps the page as it was drawn and sends it again. Pure ASGI, inside the allowlist.

Gradio copies its whole configuration, fills its template and compresses the result anew for every visitor, a few
hundred milliseconds of this process while answers are being written. What comes out depends on the address by which the
page is reached and on the encodings that the browser takes, on nothing else: there are no logins, cookies or
run-time layouts here. So it is kept as sent, by exactly those, and the whole answer with its headers is sent again.

Does not cover: what a query parameter of Gradio's own changes (`page`, `deep_link`), HEAD, answers other than 200 and
answers that set a cookie; those are drawn each time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = frozenset({"/", "/config"})
OWN = frozenset({"page", "deep_link"})  # parameters that Gradio reads; the rest is read by the page's script
ORIGIN = ("host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server")  # what Gradio makes its own address from
ENCODINGS = ("br", "gzip")
KEPT = 64  # a client can invent hosts: the addresses by which the page is really reached are few, and asked for often

Key = tuple[str, ...]


class PageCache:
    """ASGI middleware that keeps the page as drawn. Belongs to one event loop."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: OrderedDict[Key, list[Message]] = OrderedDict()
        self._drawing = asyncio.Lock()  # a crowd that comes at once draws it once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is kept, or have it drawn."""
        if not _is_shell(scope):
            await self._app(scope, receive, send)
            return
        key = _key(scope)
        if key not in self._kept:
            async with self._drawing:
                if key not in self._kept:
                    self._keep(key, await self._drawn(scope, receive, send))
        if key in self._kept:
            self._kept.move_to_end(key)
            for message in self._kept[key]:
                await send(_copied(message))

    async def _drawn(self, scope: Scope, receive: Receive, send: Send) -> list[Message]:
        """Return the messages of the answer; [] when it is not to be kept, and then it has been sent."""
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
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in PATHS:
        return False
    return OWN.isdisjoint(parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def _key(scope: Scope) -> Key:
    headers = Headers(scope=scope)
    accepted = headers.get("accept-encoding", "")
    encodings = (name if name in accepted else "" for name in ENCODINGS)
    return (
        scope["path"],
        scope["scheme"],
        scope.get("root_path", ""),
        *(headers.get(name, "") for name in ORIGIN),
        *encodings,
    )
