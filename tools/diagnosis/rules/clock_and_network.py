"""The rules about the clock, the network, name resolution and other services."""

from __future__ import annotations

import ipaddress
import re

from tools.diagnosis.facts import Facts, Finding

CLOCK_S = 300.0  # Kerberos refuses tickets beyond five minutes


def clock_wrong(facts: Facts) -> Finding | None:
    """Find a host whose results carry another time than the true one, which upstream's own run does not know."""
    offsets = {name: stamp - facts.now for name, stamp in facts.stamps.items()}
    name, offset = max(offsets.items(), key=lambda item: abs(item[1]), default=("", 0.0))
    if abs(offset) < CLOCK_S:
        return None
    way = "behind" if offset < 0 else "ahead"
    days = f"{abs(offset) / 86_400:.2f} days {way} of the true time (on a real host: `date -u` beside your own clock)"
    lines = [f"{name}: timestamp = {facts.stamps[name]:.0f}: {days}"]
    if facts.get("service_status", "services", "chronyd", "active") is False:
        lines.append(facts.line("service_status", "services", "chronyd", "status", says="nothing corrects the clock"))
    return Finding(
        "clock_wrong",
        f"The host's clock is wrong ({way}), so certificates and tickets look not yet valid or expired.",
        tuple(lines),
        (
            "Start the time service and let it jump.",
            "$ timedatectl",
            "$ systemctl enable --now chronyd",
            "$ chronyc makestep",
        ),
        0.9 if len(lines) > 1 else 0.8,
    )


def network_down(facts: Facts) -> Finding | None:
    """Find a network on which no address answers."""
    addresses = _reachability(facts)
    if not addresses or any(addresses.values()):
        return None
    return Finding(
        "network_down",
        "The host reaches no address outside: its uplink, route or gateway is broken.",
        tuple(_ping(facts, name, "no answer, though no name is needed for it") for name in addresses),
        (
            "Follow the way out step by step.",
            "$ ip -br address",
            "$ ip route",
            "$ nmcli device status",
            "$ ping GATEWAY",
        ),
        0.85,
    )


def dns_broken(facts: Facts) -> Finding | None:
    """Find name resolution that fails; addresses that answer make the finding surer."""
    if "timed out" in str(facts.get("network_diagnostics", "dns_error")):
        lines = [facts.line("network_diagnostics", "dns_error", says="no nameserver answers nslookup")]
    elif facts.get("network_diagnostics", "dns_resolution", "working") is False:
        field = ("dns_resolution", "working")
        lines = [facts.line("network_diagnostics", *field, says="the nameserver gives no usable answer")]
    else:
        return None
    answering = [name for name, reachable in _reachability(facts).items() if reachable]
    lines += [_ping(facts, name, "addresses answer, so the network is up") for name in answering]
    off = [name for name, state in facts.vms() if state != "running" and re.search(r"ipa|dns|bind", name)]
    lines += [f"kvm_diagnostics: vm_list: {name} is not running, which may be the nameserver" for name in off]
    start = [f"$ virsh start {name}" for name in off]
    return Finding(
        "dns_broken",
        f"Name resolution (DNS) is broken{' while the network itself works' if answering else ''}.",
        tuple(lines),
        (
            "See which nameserver is asked and what it answers; mend it or name another.",
            "$ cat /etc/resolv.conf",
            "$ nslookup google.com",
            *start,
        ),
        0.9 if answering else 0.6,
    )


def service_failed(facts: Facts) -> Finding | None:
    """Find a failed service other than libvirtd."""
    services = dict(facts.items("service_status", "services"))
    bad = [name for name, row in services.items() if row["status"] in {"failed", "activating"} and name != "libvirtd"]
    if not bad:
        return None
    lines = tuple(facts.line("service_status", "services", name, "status", says="started and died") for name in bad)
    remedy = ("Read why, then start it.", f"$ journalctl -u {bad[0]} -b", f"$ systemctl restart {bad[0]}")
    return Finding("service_failed", f"The service {', '.join(bad)} has failed.", lines, remedy, 0.8)


def _reachability(facts: Facts) -> dict[str, bool]:
    """Return address -> true when it answered; leave out names, which need DNS, and pings that could not start."""
    return {
        target: bool(row["reachable"])
        for target, row in facts.items("network_diagnostics", "connectivity")
        if _is_address(target) and row.get("error", "timeout") == "timeout"
    }


def _is_address(target: str) -> bool:
    try:
        ipaddress.ip_address(target)
    except ValueError:
        return False
    return True


def _ping(facts: Facts, target: str, says: str) -> str:
    return facts.line("network_diagnostics", "connectivity", target, "reachable", says=says)
