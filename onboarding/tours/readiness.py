"""Check a simulated host for RHEL 10, and simulate a run of upstream's RHEL 10 plugin on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onboarding.tours.plugin_lab import not_found, printed
from tools.simulation.cpu import RHEL_LEVEL, missing_flags, x86_64_level
from tools.simulation.hosts import Host

MAJOR = 10
LEAST_PYTHON = (3, 12)
# Names, checks and messages of upstream's plugins/os/rhel10_plugin.py at 15e8c636.
PLUGIN = "RHEL10Plugin"
PLUGIN_FLAGS = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
PACKAGES = tuple(
    "bzip2-devel libffi-devel wget vim podman ncurses-devel sqlite-devel firewalld make gcc git unzip sshpass lvm2 "
    "python3 python3-pip java-21-openjdk-devel ansible-core perl-Digest-SHA".split()
)
WRONG_SYSTEM = "RHEL 10 plugin can only run on RHEL 10 or CentOS Stream 10 systems"
WRONG_CPU = "System does not meet x86_64-v3 microarchitecture requirement for RHEL 10/CentOS 10"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the readiness check: what it looked at, what it found, and advice."""

    what: str
    found: str
    ok: bool
    advice: str = ""  # for a host that fails the check


@dataclass(frozen=True, slots=True)
class PluginRun:
    """One run of upstream's RHEL 10 plugin on a simulated host."""

    steps: tuple[tuple[str, str], ...]  # (stage, what happened)
    status: str  # completed or failed; this plugin never ends as skipped
    printed: tuple[str, ...]  # lines of the command line
    packages: tuple[str, ...]  # on the host after the run


def readiness(host: Host) -> list[Check]:
    """Return the checks of a host, in the order in which a failure stops an installation."""
    return [_cpu(host), _virtualisation(host), _system(host), _python(host)]


def plugin_run(host: Host, installed: Sequence[str] = (), mended: bool = False) -> PluginRun:
    """Run the plugin as upstream does; `installed` names the packages that earlier runs of a visit added.

    Ours, not upstream's: `mended` reads `abm` as lzcnt; a package that the host's file does not list counts as missing,
    and firewalld and lab-user are as the plugin wants them.
    """
    before = tuple(sorted({*host.machine.system.packages, *installed}))
    if refusal := _refusal(host, mended):
        lines = f"❌ Failed to load plugin: {PLUGIN}", printed(PLUGIN, "failed", not_found(PLUGIN))
        return PluginRun((("Initialize", refusal),), "failed", lines, before)
    missing = sorted(set(PACKAGES) - set(before))
    changes = [f"Installed packages: {', '.join(missing)}"] if missing else []
    steps = (
        ("Initialize", "the host is accepted"),
        ("Check", f"{len(before)} packages; os_version is the text of /etc/redhat-release"),
        ("Compare", "never equal: the desired os_version is the fixed word rhel10_or_centos10"),
        ("Apply", f"{len(missing)} packages installed" if missing else "nothing to do"),
    )
    message = f"Applied {len(changes)} changes: {'; '.join(changes)}"
    after = tuple(sorted({*before, *missing}))
    return PluginRun(steps, "completed", (printed(PLUGIN, "completed", message, bool(changes)),), after)


def _refusal(host: Host, mended: bool) -> str:
    """Return the error of the plugin's _initialize_plugin, "" when it accepts the host."""
    if _release(host) != MAJOR:
        return WRONG_SYSTEM
    flags = {*host.machine.cpu.flags, *(["lzcnt"] if mended and "abm" in host.machine.cpu.flags else [])}
    missing = [flag for flag in PLUGIN_FLAGS if flag not in flags]
    return f"{WRONG_CPU}: missing {', '.join(missing)}" if missing else ""


def _release(host: Host) -> int:
    return next((int(word.split(".")[0]) for word in host.machine.system.name.split() if word[0].isdigit()), 0)


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
    release = _release(host)
    advice = {
        8: "The deployment script refuses RHEL 8; upgrade to 9 first, then to 10.",
        9: "RHEL 9 is supported as it is; to move to 10, upgrade in place or install anew.",
    }.get(release, "Install RHEL 10 or CentOS Stream 10.")
    return Check("Operating system", host.machine.system.name, release == MAJOR, advice)


def _python(host: Host) -> Check:
    versions = host.machine.system.pythons
    ok = any(tuple(int(part) for part in version.split(".")[:2]) >= LEAST_PYTHON for version in versions)
    return Check(
        "Python 3.12", ", ".join(versions), ok, "RHEL 10 brings Python 3.12; on RHEL 9: dnf install python3.12"
    )
