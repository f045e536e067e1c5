"""Report interfaces, reachability and name resolution."""

from __future__ import annotations

import ipaddress
import zlib
from typing import Any

from tools.simulation.machine import Network
from tools.simulation.view import HostView

DEFAULT_TARGETS = ("8.8.8.8", "1.1.1.1", "google.com")
MAX_TARGETS = 16  # a reply stays readable, and far below the sandbox's size cap
MAX_NAME = 253  # characters of a domain name
DNS_PROBE = "google.com"
NO_SUCH_ZONE = ("invalid", "test", "example", "localdomain")  # no public name ends with one of these
SIMULATED_NET = "203.0.113"  # a documentation network: addresses that belong to nobody


def network_diagnostics(host: HostView, targets: list[str] | None = None) -> dict[str, Any]:
    """Show network interfaces and addresses, ping targets, and check that names resolve.

    Args:
        host: The simulated host to look at.
        targets: Host names or IP addresses to ping. Three well-known public ones if left out.

    """
    names = list(DEFAULT_TARGETS) if targets is None else targets
    if not isinstance(names, list) or len(names) > MAX_TARGETS:
        raise ValueError(f"targets must be a list of at most {MAX_TARGETS} host names or addresses")
    interfaces = {
        interface.name: [
            {"family": a.family, "address": a.address, "netmask": a.netmask, "broadcast": a.broadcast}
            for a in interface.addresses
        ]
        for interface in host.machine.interfaces
    }
    return {"interfaces": interfaces, "connectivity": {name: _ping(host, name) for name in names}, **_dns(host)}


def _ping(host: HostView, target: str) -> dict[str, Any]:
    """Return the outcome of `ping -c 3 -W 3`, with its output."""
    network = host.machine.network
    state = network.reach.get(target)
    if state == "timeout":
        return {"reachable": False, "error": "timeout"}
    address = _address(host, target)
    if not address:
        trouble = "Name or service not known" if network.dns == "working" else "Temporary failure in name resolution"
        return {"reachable": False, "output": f"ping: {target[:MAX_NAME]}: {trouble}"}
    if state == "up" or (state is None and _answers(host, address)):
        return {"reachable": True, "output": _replies(host, target, address)}
    sent = f"PING {target} ({address}) 56(84) bytes of data."
    lost = "3 packets transmitted, 0 received, 100% packet loss, time 2048ms"
    return {"reachable": False, "output": f"{sent}\n\n--- {target} ping statistics ---\n{lost}"}


def _address(host: HostView, target: str) -> str:
    """Return the address that a target resolves to, "" when it resolves to none."""
    try:
        return str(ipaddress.ip_address(target))
    except ValueError:
        pass
    if target in {"localhost", host.machine.hostname}:
        return "127.0.0.1"
    labels = target.rstrip(".").lower().split(".")
    plausible = len(target) <= MAX_NAME and len(labels) > 1 and all(_is_label(label) for label in labels)
    if not plausible or labels[-1] in NO_SUCH_ZONE or host.machine.network.dns not in {"working", "nslookup-missing"}:
        return ""
    return f"{SIMULATED_NET}.{zlib.crc32('.'.join(labels).encode()) % 254 + 1}"


def _is_label(label: str) -> bool:
    return label.replace("-", "").isalnum() and label.isascii() and not label.startswith("-")


def _answers(host: HostView, address: str) -> bool:
    """Return true for the host's own addresses, and for public ones when there is internet; `reach` is for others."""
    ip = ipaddress.ip_address(address)
    own = {a.address.split("/")[0] for interface in host.machine.interfaces for a in interface.addresses}
    if ip.is_loopback or address in own:
        return True
    public = ip.is_global or address.startswith(SIMULATED_NET)
    return public and host.machine.network.internet


def _replies(host: HostView, target: str, address: str) -> str:
    mean = host.machine.network.ping_ms if not ipaddress.ip_address(address).is_loopback else 0.05
    times = [host.level(f"ping/{target}/{n}", mean, 0.08 * mean) for n in range(3)]
    average = sum(times) / 3
    spread = (sum((t - average) ** 2 for t in times) / 3) ** 0.5
    return "\n".join(
        [
            f"PING {target} ({address}) 56(84) bytes of data.",
            *(f"64 bytes from {address}: icmp_seq={n} ttl=57 time={t:.2f} ms" for n, t in enumerate(times, start=1)),
            "",
            f"--- {target} ping statistics ---",
            "3 packets transmitted, 3 received, 0% packet loss, time 2003ms",
            f"rtt min/avg/max/mdev = {min(times):.3f}/{average:.3f}/{max(times):.3f}/{spread:.3f} ms",
        ]
    )


def _dns(host: HostView) -> dict[str, Any]:
    """Return the outcome of `nslookup` of a public name; as upstream, a missing program is an error of its own."""
    network = host.machine.network
    if network.dns == "nslookup-missing":
        return {"dns_error": "[Errno 2] No such file or directory: 'nslookup'"}
    return {"dns_resolution": {"working": network.dns == "working", "output": _nslookup(host, network)}}


def _nslookup(host: HostView, network: Network) -> str:
    server = f"Server:\t\t{network.nameserver}\nAddress:\t{network.nameserver}#53\n"
    if network.dns == "unreachable":
        timed_out = f";; communications error to {network.nameserver}#53: timed out\n"
        return f"{timed_out * 3};; no servers could be reached"
    if network.dns == "working":
        return f"{server}\nNon-authoritative answer:\nName:\t{DNS_PROBE}\nAddress: {_address(host, DNS_PROBE)}"
    answer = "REFUSED" if network.dns == "refused" else "SERVFAIL"
    return f"{server}\n** server can't find {DNS_PROBE}: {answer}"
