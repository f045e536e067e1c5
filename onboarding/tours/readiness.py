"""Check a simulated host for RHEL 10, and simulate a run of the RHEL 10 plugin on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.simulation.cpu import RHEL_LEVEL, missing_flags, x86_64_level
from tools.simulation.hosts import Host

MAJOR = 10
LEAST_PYTHON = (3, 12)
# Packages of upstream's RHEL 10 plugin, plugins/os/rhel10_plugin.py, as far as the simulated hosts list them.
PACKAGES = ("podman", "firewalld", "ansible-core", "java-21-openjdk-devel", "lvm2", "gcc", "git")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the readiness check: what it looked at, what it found, and advice."""

    what: str
    found: str
    ok: bool
    advice: str = ""  # for a host that fails the check


@dataclass(frozen=True, slots=True)
class PluginRun:
    """One simulated run of a plugin: the packages before and after, and its status."""

    before: tuple[str, ...]  # packages
    missing: tuple[str, ...]
    after: tuple[str, ...]
    status: str  # "completed" or "skipped", as upstream's PluginStatus

    @property
    def changed(self) -> bool:
        """Return true when the run installed something."""
        return bool(self.missing)


def readiness(host: Host) -> list[Check]:
    """Return the checks of a host, in the order in which a failure stops an installation."""
    return [_cpu(host), _virtualisation(host), _system(host), _python(host)]


def plugin_run(host: Host, installed: Sequence[str] = ()) -> PluginRun:
    """Check, compare, apply and check again; `installed` names the packages that earlier runs of a visit added."""
    before = tuple(sorted({*host.machine.system.packages, *installed}))
    missing = tuple(name for name in PACKAGES if name not in before)
    after = tuple(sorted({*before, *missing}))
    return PluginRun(before, missing, after, "completed" if missing else "skipped")


def _cpu(host: Host) -> Check:
    flags = host.machine.cpu.flags
    level, missing = x86_64_level(flags), missing_flags(flags, RHEL_LEVEL[MAJOR])
    found = f"x86-64-v{level}" + (f", lacks {', '.join(missing)}" if missing else "; `abm` is lzcnt under Linux")
    advice = "RHEL 10 will not install on this processor; stay on RHEL 9 or move to newer hardware."
    return Check("Processor level v3", found, not missing, advice)


def _virtualisation(host: Host) -> Check:
    flag = next((flag for flag in ("vmx", "svm") if flag in host.machine.cpu.flags), "")
    advice = "Switch on VT-x or AMD-V in the firmware; without it no virtual machine starts."
    return Check("Hardware virtualisation", f"`{flag}`" if flag else "neither `vmx` nor `svm`", bool(flag), advice)


def _system(host: Host) -> Check:
    name = host.machine.system.name
    release = next((int(word.split(".")[0]) for word in name.split() if word[0].isdigit()), 0)
    advice = {
        8: "The deployment script refuses RHEL 8; upgrade to 9 first, then to 10.",
        9: "RHEL 9 is supported as it is; to move to 10, upgrade in place or install anew.",
    }.get(release, "Install RHEL 10 or CentOS Stream 10.")
    return Check("Operating system", name, release == MAJOR, advice)


def _python(host: Host) -> Check:
    versions = host.machine.system.pythons
    ok = any(tuple(int(part) for part in version.split(".")[:2]) >= LEAST_PYTHON for version in versions)
    return Check(
        "Python 3.12", ", ".join(versions), ok, "RHEL 10 brings Python 3.12; on RHEL 9: dnf install python3.12"
    )
