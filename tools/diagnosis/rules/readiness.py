"""The rules about what hinders a deployment on a host that works."""

from __future__ import annotations

import re

from tools.diagnosis.facts import CPU, LEVEL_SHOWN, Facts, Finding
from tools.simulation.cpu import RHEL_LEVEL

OLDEST_RHEL = 9  # oldest major release that the deployment accepts
FLAGS_SHOWN = "on a real host: `lscpu | grep -i flags`"
TARGET_RHEL = 10  # the next release, whose hardware needs the rules check ahead


def os_unsupported(facts: Facts) -> Finding | None:
    """Find a kernel of a release that the deployment refuses."""
    release = _release(facts)
    if release is None or release >= OLDEST_RHEL:
        return None
    return Finding(
        "os_unsupported",
        f"The host runs RHEL {release} or a sibling of it; the deployment refuses releases older than {OLDEST_RHEL}.",
        (facts.line("system_info", "release", says=f"the kernel of release {release}; /etc/redhat-release names it"),),
        (
            "Upgrade in place or install anew.",
            "$ cat /etc/redhat-release",
            "$ dnf install leapp-upgrade",
            "$ leapp preupgrade",
            "$ leapp upgrade",
        ),
        0.9,
    )


def cpu_too_old(facts: Facts) -> Finding | None:
    """Find a CPU below the level that the next release needs; it breaks nothing today."""
    needed = RHEL_LEVEL[TARGET_RHEL]
    if not facts.number("system_info", *CPU, "x86_64_level") < needed:
        return None
    return Finding(
        "cpu_too_old",
        f"The CPU falls short of x86-64-v{needed}: RHEL {TARGET_RHEL} does not install, older releases go on working.",
        (
            facts.line("system_info", *CPU, "x86_64_level", says=f"RHEL {TARGET_RHEL} needs {needed} ({LEVEL_SHOWN})"),
            facts.line("system_info", *CPU, "missing_for_v3", says=f"missing in hardware ({FLAGS_SHOWN})"),
        ),
        ("Stay on RHEL 9 here; plan newer hardware.", "$ /lib64/ld-linux-x86-64.so.2 --help | grep x86-64-v"),
        0.9,
    )


def _release(facts: Facts) -> int | None:
    """Return 10 for the kernel 6.12.0-55.9.1.el10_0.x86_64; None for a kernel of another family."""
    found = re.search(r"\.el(\d+)", str(facts.get("system_info", "release")))
    return int(found[1]) if found else None
