"""Report basic facts about the host."""

from __future__ import annotations

import re
from typing import Any

from tools.simulation.cpu import missing_flags, x86_64_level
from tools.simulation.view import HostView

NOTE = (
    "`cpu` is this Space's own, not upstream's. "
    "On a real host: lscpu; /lib64/ld-linux-x86-64.so.2 --help; systemd-detect-virt"
)


def system_info(host: HostView) -> dict[str, Any]:
    """Show the host's name, operating system, kernel, Python version, CPU model, boot time and uptime."""
    system, cpu = host.machine.system, host.machine.cpu
    says_processor = re.search(r"\.el[89]", system.kernel)  # `uname -p` of RHEL 10 knows no type
    return {
        "hostname": host.machine.hostname,
        "platform": f"Linux-{system.kernel}-x86_64-with-glibc{system.glibc}",
        "system": "Linux",
        "release": system.kernel,
        "version": system.kernel_build,
        "machine": "x86_64",
        "processor": "x86_64" if says_processor else "",
        "python_version": system.python,
        "uptime_seconds": host.clock - host.boot_time,
        "boot_time": host.boot_time,
        "space_adds": {
            "note": NOTE,
            "cpu": {
                "model": cpu.model,
                "x86_64_level": x86_64_level(cpu.flags),
                "missing_for_v3": missing_flags(cpu.flags, 3),
                "is_virtual": "hypervisor" in cpu.flags,
            },
        },
    }
