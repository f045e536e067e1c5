"""Report the status of systemd services."""

from __future__ import annotations

from typing import Any

from tools.simulation.view import HostView

DEFAULT_SERVICES = (
    "libvirtd",
    "qemu-kvm",
    "NetworkManager",
    "firewalld",
    "sshd",
    "chronyd",
    "systemd-resolved",
    "dnsmasq",
)
MAX_SERVICES = 32  # a reply stays readable, and far below the sandbox's size cap
# state in the host file -> (status of `systemctl is-active`, load state, active state, sub-state)
STATES = {
    "running": ("active", "loaded", "active", "running"),
    "exited": ("active", "loaded", "active", "exited"),
    "dead": ("inactive", "loaded", "inactive", "dead"),
    "failed": ("failed", "loaded", "failed", "failed"),
    "masked": ("inactive", "masked", "inactive", "dead"),
    "auto-restart": ("activating", "loaded", "activating", "auto-restart"),
    "absent": ("inactive", "not-found", "inactive", "dead"),
}


def service_status(host: HostView, services: list[str] | None = None) -> dict[str, Any]:
    """Show whether systemd services are active, inactive or failed.

    Args:
        host: The simulated host to look at.
        services: Names of services, such as libvirtd or sshd. The usual ones of a hypervisor if left out.

    """
    names = services or list(DEFAULT_SERVICES)  # as upstream: an empty list too
    if not isinstance(names, list) or len(names) > MAX_SERVICES:
        raise ValueError(f"services must be a list of at most {MAX_SERVICES} service names")
    return {"services": {name: _status(host, name) for name in names}}


def _status(host: HostView, name: str) -> dict[str, Any]:
    state = host.machine.services.get(name.removesuffix(".service"), "absent")
    if state == "timeout":
        return {"status": "timeout", "active": False, "error": "Command timeout"}
    status, load, active, sub = STATES[state]
    return {"status": status, "active": status == "active", "loadstate": load, "activestate": active, "substate": sub}
