"""Finds the address a request really comes from: pure ASGI, outside everything else.

A proxy's X-Forwarded-For is believed only from the networks that TRUST_PROXY names; uvicorn's own middleware reads
it, and takes the last address that is not a proxy's.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

PRIVATE = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,::1/128,fc00::/7"  # where proxies live
UNKNOWN = "unknown"  # no address is known, as over a Unix socket; all of those count as one
IPV6_PREFIX = 64  # what one household or host gets; single addresses of it are free to choose


@dataclass(frozen=True, slots=True)
class Asker:
    """The visitor behind a request: one open page or one client's session, and the address it comes from."""

    visitor: str
    address: str  # see `bucket`

    @property
    def keys(self) -> dict[str, str]:
        """The key of each scope of limits.

        A session alone is not enough for a visitor: a client can choose another's.
        """
        return {"visitor": f"{self.visitor} {self.address}", "address": self.address, "everybody": ""}


class ClientAddress:
    """ASGI middleware that sets the scope's client to the address that really asks."""

    def __init__(self, app: ASGIApp, trust: str = "") -> None:
        """trust: proxies' networks separated by commas, or "" to believe nobody; see `trusted`."""
        self._app = app
        self._entry: Any = ProxyHeadersMiddleware(app, trust) if trust else app  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the address and pass the request on."""
        await (self._entry if scope["type"] == "http" else self._app)(scope, receive, send)


def address(scope: Scope) -> str:
    """Return the address that counts, of a request that has passed ClientAddress."""
    return bucket((scope.get("client") or (UNKNOWN, 0))[0])


def asker_of(request: Any) -> Asker:
    """Return who is behind a request of Gradio's; None, as in a direct call, is somebody of its own."""
    client = getattr(request, "client", None)
    host = bucket(getattr(client, "host", None) or UNKNOWN)
    session = getattr(request, "session_hash", None) or host  # an MCP client's call outside the queue has no session
    return Asker(str(session)[:64], host)


def bucket(host: str) -> str:
    """Return the address that counts: an IPv4 address, the /64 of an IPv6 one, anything else as it is, cut short."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def trusted(value: str) -> str:
    """Return the networks that TRUST_PROXY means: "1" is every private one, "" or "0" none; raises ValueError."""
    if value in ("", "0"):
        return ""
    if value == "1":
        return PRIVATE
    for network in value.split(","):
        ipaddress.ip_network(network.strip())
    return value
