"""Lets this process connect to a few named hosts and ports only, whatever a request, a file or a library asks for.

A name outside the list is refused before it is looked up; an address, before it is connected to. The interpreter's
own audit events are what is listened to, so no module can go around by another way of Python's.

Does not cover: native code that opens sockets itself (the Hub's file transfer in Rust), other processes (pip, which
fetches packages that carry weights), and Unix sockets.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

HUB = ("huggingface.co", "hf.co")  # and what lies below them: its file stores
LOOKED_UP = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
CONNECTED = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class Unreachable(PermissionError):
    """A connection that is not allowed; the text names the host."""


class Outbound:
    """The hosts and ports that this process may connect to. Any thread may use it."""

    def __init__(self, hosts: Mapping[str, Collection[int]]) -> None:
        """hosts: name or address -> its ports; a name allows what lies below it too."""
        self._hosts = {host.lower().rstrip("."): frozenset(ports) for host, ports in hosts.items()}
        self._found: dict[str, frozenset[int]] = {}  # addresses of allowed names

    def watch(self) -> None:
        """Refuse everything else from now on, until the process ends."""
        plain = socket.getaddrinfo

        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            found = plain(host, *args, **kwargs)
            ports = self._ports(_text(host))
            for entry in found if ports else ():
                address = str(entry[4][0])
                self._found[address] = self._found.get(address, frozenset()) | ports
            return found

        socket.getaddrinfo = getaddrinfo
        sys.addaudithook(self._hear)

    def _ports(self, name: str) -> frozenset[int]:
        """Return the ports that a name or address may be connected to at."""
        below = (ports for known, ports in self._hosts.items() if name == known or name.endswith(f".{known}"))
        return frozenset[int]().union(self._found.get(name, ()), *below)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event in LOOKED_UP:
            # None and numbers ask no name server: what they lead to is judged when it is connected to.
            name = _text(args[0]) if args[0] else ""
            if name and not _is_number(name) and not self._ports(name):
                raise Unreachable(f"Connections to {name[:100]!r} are not allowed.")
        elif event in CONNECTED and args[0].family in (socket.AF_INET, socket.AF_INET6):
            to = args[1]
            if to and to[1] not in self._ports(_text(to[0])):
                raise Unreachable(f"Connections to {_text(to[0])[:100]!r}, port {to[1]}, are not allowed.")


def allowed_hosts(engine_url: str, env: Mapping[str, str] = os.environ) -> dict[str, frozenset[int]]:
    """Return the Hub's hosts, the model server's, and those of the proxies by which they are reached, with ports.

    An address that cannot be read leads nowhere, so it allows nothing; whoever fetches by it says what is wrong.
    """
    allowed = dict.fromkeys(HUB, frozenset({443}))
    names = ("HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy")
    for url in filter(None, (engine_url, *(env.get(name, "") for name in names))):
        try:
            parts = urlsplit(url if "//" in url else f"//{url}")
            host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:  # a port that is no number, a bracket that never closes
            continue
        allowed[host] = allowed.get(host, frozenset()) | {port}
    return allowed


def _text(host: object) -> str:
    text = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    return text.lower().rstrip(".").partition("%")[0]


def _is_number(name: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, name)
        except OSError:
            continue
        return True
    return False
