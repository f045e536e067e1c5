"""Where a request comes from, and a first limit: pure ASGI, outside everything else.

A proxy's X-Forwarded-For is believed only from the networks that TRUST_PROXY names; uvicorn's own middleware reads
it, and takes the last address that is not a proxy's. Gradio's MCP server asks its queue over loopback in the name of
its client, headers included: the true address travels in a header under this process's own secret.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import secrets
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from onboarding.edge.admission import Place
from onboarding.edge.allowlist import HOLD_S, with_headers
from onboarding.edge.rate_limits import Gate, Who, bucket

PRIVATE = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,::1/128,fc00::/7"  # where proxies live
MCP = "/gradio_api/mcp"
CARRIED = "x-visitor-address"
PLACE = "place"
UNKNOWN = "unknown"  # no address is known, as over a Unix socket; all of those count as one


class Edge:
    """Sets the scope's client to who really asks, and answers 429 to an address that asks too much."""

    def __init__(self, app: ASGIApp, gate: Gate, trust: str = "", hold_s: float = HOLD_S) -> None:
        """trust: proxies' networks separated by commas, or "" to believe nobody; see `trusted`."""
        self._app = app
        self._hold_s = hold_s
        self._gate = gate
        self._secret = secrets.token_hex(16)
        inner: Any = self._enter
        self._entry: Any = ProxyHeadersMiddleware(inner, trust) if trust else inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the address, count the request, pass it on."""
        await (self._entry if scope["type"] == "http" else self._app)(scope, receive, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._carry(scope)
        if scope["method"] == "POST":
            wait = self._gate.request(address(scope))
            if wait:
                said = f"Too many requests; try again in {math.ceil(wait)} s."
                await asyncio.sleep(self._hold_s)
                refusal = PlainTextResponse(said, 429, {"Retry-After": str(math.ceil(wait))})
                await refusal(scope, receive, with_headers(send))
                return
        await self._app(scope, receive, send)

    def _carry(self, scope: Scope) -> None:
        """Hand an MCP client's address to the request that is made in its name, and take it up there."""
        carried = Headers(scope=scope).get(CARRIED, "")
        secret, _, address = carried.partition(" ")
        if carried:
            del MutableHeaders(scope=scope)[CARRIED]
        if address and secrets.compare_digest(secret.encode(), self._secret.encode()):
            scope["client"] = (address, 0)
        elif scope["path"].startswith(MCP):
            host = (scope.get("client") or (UNKNOWN, 0))[0]
            MutableHeaders(scope=scope)[CARRIED] = f"{self._secret} {host}"


def address(scope: Scope) -> str:
    """The address that counts, of a request that has passed the edge."""
    return bucket((scope.get("client") or (UNKNOWN, 0))[0])


def who(request: Any) -> Who:
    """Who is behind a request of Gradio's or Starlette's; None, as in a direct call, is somebody of its own."""
    client = getattr(request, "client", None)
    host = bucket(getattr(client, "host", None) or UNKNOWN)
    session = getattr(request, "session_hash", None) or host  # an MCP client's call outside the queue has no session
    return Who(str(session)[:64], host)


def hand_over(scope: Scope, place: Place) -> None:
    """Let a question's place among the others travel with its request."""
    scope.setdefault("state", {})[PLACE] = place


def place_of(request: Any) -> Place | None:
    """The place that the door gave a question; None where there is no door, as in a direct call."""
    place = getattr(getattr(request, "state", None), PLACE, None)
    return place if isinstance(place, Place) else None


def trusted(value: str) -> str:
    """The networks that TRUST_PROXY means: "1" is every private one, "" or "0" none; ValueError says what is wrong."""
    if value in ("", "0"):
        return ""
    if value == "1":
        return PRIVATE
    for network in value.split(","):
        ipaddress.ip_network(network.strip())
    return value
