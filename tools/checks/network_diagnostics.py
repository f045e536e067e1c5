"""Report interfaces, reachability and name resolution."""

from __future__ import annotations

import ipaddress
import zlib
from typing import Any

from tools.simulation.machine import Address, Interface
from tools.simulation.view import HostView

DEFAULT_TARGETS = ("8.8.8.8", "1.1.1.1", "google.com")
MAX_TARGETS = 16  # a reply stays readable, and far below the sandbox's size cap
MAX_NAME = 253  # characters of a domain name
DNS_PROBE = "google.com"
NO_SUCH_ZONE = ("invalid", "test", "example", "localdomain")  # no public name ends with one of these
FAMILIES = {"AF_INET": 2, "AF_INET6": 10, "AF_PACKET": 17}
SIMULATED_NET = "203.0.113"  # a documentation network: addresses that belong to nobody


def network_diagnostics(host: HostView, targets: list[str] | None = None) -> dict[str, Any]:
    """Show network interfaces and addresses, ping targets, and check that names resolve.

    Args:
        host: The simulated host to look at.
        targets: Host names or IP addresses to ping. Three well-known public ones if left out.

    """
    names = targets or list(DEFAULT_TARGETS)  # as upstream: an empty list too
    if not isinstance(names, list) or len(names) > MAX_TARGETS:
        raise ValueError(f"targets must be a list of at most {MAX_TARGETS} host names or addresses")
    interfaces = {
        interface.name: [_row(host, address) for address in [*interface.addresses, *_unwritten(host, interface)]]
        for interface in host.machine.interfaces
    }
    return {"interfaces": interfaces, "connectivity": {name: _ping(host, name) for name in names}, **_dns(host)}


def _row(host: HostView, address: Address) -> dict[str, Any]:
    """Return an address as upstream prints it: Python 3.11 and later show a family by its number."""
    old = tuple(int(part) for part in host.machine.system.python.split(".")[:2]) < (3, 11)
    family = f"AddressFamily.{address.family}" if old else str(FAMILIES[address.family])
    return {"family": family, "address": address.address, "netmask": address.netmask, "broadcast": address.broadcast}


def _unwritten(host: HostView, interface: Interface) -> list[Address]:
    """Return the addresses that no host file needs to name: hardware and IPv6, which libvirt's bridge goes without."""
    if interface.name == "lo":
        return [Address("AF_INET6", "::1", ":".join(["ffff"] * 8)), Address("AF_PACKET", "00:00:00:00:00:00")]
    a, b, c, *_ = zlib.crc32(f"{host.machine.hostname}/{interface.name}".encode()).to_bytes(4, "big")
    hardware = Address("AF_PACKET", f"52:54:00:{a:02x}:{b:02x}:{c:02x}", broadcast="ff:ff:ff:ff:ff:ff")
    local = f"fe80::5054:ff:fe{a:02x}:{b:02x}{c:02x}%{interface.name}"
    bridge = interface.name.startswith("virbr")
    return [hardware] if bridge else [Address("AF_INET6", local, "ffff:ffff:ffff:ffff::"), hardware]


def _ping(host: HostView, target: str) -> dict[str, Any]:
    """Return the outcome of `ping -c 3 -W 3`; as upstream, a failed one has standard error, "" for lost packets."""
    network = host.machine.network
    state = network.reach.get(target)
    if state == "timeout":
        return {"reachable": False, "error": "timeout"}
    if target.startswith("-"):
        return {"reachable": False, "output": "ping: usage error: Destination address required\n"}
    address = _address(host, target)
    if not address:
        trouble = "Name or service not known" if network.dns == "working" else "Temporary failure in name resolution"
        return {"reachable": False, "output": f"ping: {target[:MAX_NAME]}: {trouble}\n"}
    if state == "up" or (state is None and _answers(host, address)):
        return {"reachable": True, "output": _replies(host, target, address)}
    return {"reachable": False, "output": ""}


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
            "",
        ]
    )


def _dns(host: HostView) -> dict[str, Any]:
    """Return the outcome of `nslookup` of a public name.

    As upstream: a missing program, or one that waits more than ten seconds for a silent server, leaves an error in
    place of the outcome; an answer that is an error leaves no output, because nslookup prints it to standard output.
    """
    network = host.machine.network
    if network.dns == "nslookup-missing":
        return {"dns_error": "[Errno 2] No such file or directory: 'nslookup'"}
    if network.dns == "unreachable":
        return {"dns_error": f"Command '['nslookup', '{DNS_PROBE}']' timed out after 10 seconds"}
    if network.dns != "working":
        return {"dns_resolution": {"working": False, "output": ""}}
    server = f"Server:\t\t{network.nameserver}\nAddress:\t{network.nameserver}#53\n"
    answer = f"Non-authoritative answer:\nName:\t{DNS_PROBE}\nAddress: {_address(host, DNS_PROBE)}\n"
    return {"dns_resolution": {"working": True, "output": f"{server}\n{answer}\n"}}
