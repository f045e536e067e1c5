"""Report basic facts about the host."""

from __future__ import annotations

from typing import Any

from tools.simulation.cpu import missing_flags, x86_64_level
from tools.simulation.view import HostView


def system_info(host: HostView) -> dict[str, Any]:
    """Show the host's name, operating system, kernel, Python version, CPU model, boot time and uptime."""
    system, cpu = host.machine.system, host.machine.cpu
    return {
        "hostname": host.machine.hostname,
        "platform": f"Linux-{system.kernel}-x86_64-with-glibc{system.glibc}",
        "system": "Linux",
        "release": system.kernel,
        "version": system.kernel_build,
        "machine": "x86_64",
        "processor": "",  # as `platform.processor()` returns on most Linux hosts
        "python_version": system.python,
        "uptime_seconds": round(host.uptime_s, 2),
        "boot_time": round(host.boot_time, 2),
        # upstream's tool lacks this field; without it no tool could tell that RHEL 10 will not install
        "cpu": {
            "model": cpu.model,
            "x86_64_level": x86_64_level(cpu.flags),
            "missing_for_v3": missing_flags(cpu.flags, 3),
            "is_virtual": "hypervisor" in cpu.flags,
        },
    }
