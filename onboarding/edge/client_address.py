"""Finds the address a request really comes from, and the name it really asks for: pure ASGI, outside everything else.

A proxy's headers are believed only from the networks that TRUST_PROXY names. uvicorn's own middleware reads
X-Forwarded-For and -Proto, and takes the last address that is not a proxy's; X-Forwarded-Host becomes the Host. Inside,
nothing is left of headers by which a request could say where this server lives, so no part of it can follow them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from onboarding.edge.allowlist import with_headers

PRIVATE = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,::1/128,fc00::/7"  # where proxies live
UNKNOWN = "unknown"  # no address is known, as over a Unix socket; all of those count as one
# X-Forwarded-For stays: /metrics reads from it that a proxy asks. The rest names this server, which the Host does.
NAMES_US = re.compile(
    rb"x-gradio-server|x-(forwarded|original|rewrite)-(?!for$)[a-z-]+|x-(host|original|rewrite)-?[a-z]*"
)
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]{1,253})(:\d{1,5})?", re.ASCII)
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})  # probes of the container itself
NOT_HERE = "This server has no such name; open it by the address that its operator gave."
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
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
    """ASGI middleware that sets the scope's client, scheme and Host to those that really ask and are asked for."""

    def __init__(self, app: ASGIApp, trust: str = "", hosts: Collection[str] = ()) -> None:
        """trust: proxies' networks separated by commas, or "" to believe nobody; see `trusted`.

        hosts: names without port by which this server may be asked, () for every one.
        """
        self._app = app
        self._proxies = networks(trust)
        self._entry: Any = ProxyHeadersMiddleware(self._named, trust) if trust else self._named  # type: ignore[arg-type]
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the address and pass the request on; answer 421 to a name that is not this server's."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope.get("client"):
            scope = {**scope, "client": (unmapped(scope["client"][0]), scope["client"][1])}
        headers = _own_headers(scope, is_in(_host(scope), self._proxies))
        host = Headers(raw=headers).get("host", "")
        if self._hosts and re.sub(r":\d*$", "", host).lower() not in self._hosts | LOCAL:
            await PlainTextResponse(NOT_HERE, 421)(scope, receive, with_headers(send))
        else:
            await self._entry({**scope, "named": headers}, receive, send)

    async def _named(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request whose address and scheme are known, under the name that it is asked for."""
        headers = scope.pop("named")
        await self._app({**scope, "headers": headers}, receive, send)


def _own_headers(scope: Scope, trusts: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers without those that name this server; a trusted proxy's X-Forwarded-Host becomes the Host."""
    given = Headers(scope=scope).get("x-forwarded-host", "").split(",")[0].strip()
    kept = [(name, value) for name, value in scope["headers"] if not NAMES_US.fullmatch(name)]
    if not (trusts and HOST.fullmatch(given)):
        return kept
    return [*((name, value) for name, value in kept if name != b"host"), (b"host", given.encode())]


def networks(trust: str) -> list[Network]:
    """Return the networks of a list with commas, [] for ""; raises ValueError."""
    return [ipaddress.ip_network(network.strip()) for network in trust.split(",")] if trust else []


def is_in(host: str, proxies: Collection[Network]) -> bool:
    """Return whether an address lies in one of these networks."""
    try:
        peer = ipaddress.ip_address(unmapped(host))
    except ValueError:
        return False
    return any(peer in network for network in proxies)


def unmapped(host: str) -> str:
    """Return the IPv4 address of one that a socket of both families shows in IPv6's form, others as they are."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped) if mapped else host


def address(scope: Scope) -> str:
    """Return the address that counts, of a request that has passed ClientAddress."""
    return bucket(_host(scope))


def _host(scope: Scope) -> str:
    return str((scope.get("client") or (UNKNOWN, 0))[0])


def asker_of(request: Any) -> Asker:
    """Return who is behind a request of Gradio's; None, as in a direct call, is somebody of its own."""
    client = getattr(request, "client", None)
    host = bucket(getattr(client, "host", None) or UNKNOWN)
    session = getattr(request, "session_hash", None) or host  # an MCP client's call outside the queue has no session
    return Asker(str(session)[:64], host)


def bucket(host: str) -> str:
    """Return the address that counts: an IPv4 address, the /64 of an IPv6 one, anything else as it is, cut short."""
    try:
        address = ipaddress.ip_address(unmapped(host.partition("%")[0]))
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def trusted(value: str) -> str:
    """Return the networks that TRUST_PROXY means: "1" is every private one, "" or "0" none; raises ValueError."""
    if value in ("", "0"):
        return ""
    if value == "1":
        return PRIVATE
    networks(value)
    return value
