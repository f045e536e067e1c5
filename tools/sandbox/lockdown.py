"""Close the sandbox's worker, from inside and for good: resource limits, a system-call filter, an audit hook.

`close` comes before the first line of a check runs; nothing opens the worker again.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module

MIB = 2**20
OPEN_FILES = 4  # standard input, output, error and the reply channel; the worker can open no other
# Audit events (docs.python.org, "Audit events table") that the hook allows while a tool runs. It refuses every event
# that is on no list, those of future Pythons included.
CALLING = frozenset({"builtins.id", "time.sleep"})
# What Python itself raises besides while it runs a module's text and reads its functions' signatures: data classes,
# named tuples and enumerations execute code that they wrote, and look at the frame that defines them.
LOADING = CALLING | {"compile", "exec", "sys._getframe", "sys._getframemodulename", "object.__setattr__"}
LOADED, REFUSALS = "tools.sandbox.loaded", "tools.sandbox.refusals"
SIGNATURE = frozenset({"__code__", "__defaults__", "__kwdefaults__"})  # of `object.__getattr__`, while modules load


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """The limits of one worker and of its calls."""

    cpu_s: int = 20  # a call needs ~1 ms; the parent replaces the worker at half of it
    memory_mib: int = 256  # address space; the worker needs ~40
    call_s: float = 2.0  # wall clock of one call; the parent enforces it
    reply_bytes: int = 256 * 1024  # of one call
    request_bytes: int = 16 * 1024  # of one call; below a pipe's 64 KiB, so that writing never waits for the worker


def close(limits: WorkerLimits, modules: Collection[str]) -> bool:
    """Close this process for good; it can still import the modules that it has, and `modules` from memory.

    Returns:
        Whether the kernel filters system calls; the limits and the audit hook hold either way.

    """
    seccomp = import_module("tools.sandbox.seccomp")
    filter_calls = seccomp.prepare(seccomp.COMPUTE, seccomp.ARGUMENTS)
    limit_resources(limits)
    if filter_calls is not None:
        filter_calls()
    _forget("tools.sandbox.seccomp", "ctypes", "ctypes._endian", "_ctypes")
    filtered = refused_by_the_kernel()
    add_hook(frozenset(modules))
    return filtered


def loaded() -> None:
    """Say that the checks are loaded: from now on the hook allows what a call needs, and no more."""
    sys.audit(LOADED)


def refusals() -> int:
    """Return the number of audit events that the hook has refused."""
    found: list[int] = []
    sys.audit(REFUSALS, found)
    return found[0]


def refused_by_the_kernel() -> bool:
    """Return true when the kernel refuses to look at a file, at limits, at a process, as the filter must make it.

    Without a filter each of these succeeds in the very process that asks.
    """
    canaries: tuple[Callable[[], object], ...] = (
        lambda: os.stat(os.devnull),  # noqa: PTH116 - the call itself
        lambda: resource.prlimit(0, resource.RLIMIT_CORE) if sys.platform == "linux" else None,
        lambda: os.kill(os.getpid(), 0),
    )
    for canary in canaries:
        try:
            canary()
        except PermissionError:
            continue
        return False
    return True


def add_hook(modules: frozenset[str]) -> None:
    """Refuse every audit event that is on no list; while checks load, allow the import of `modules`.

    The hook and its state are local variables that no object leads to, so a tool cannot reach them in Python; the
    worker talks to the hook through two events of its own. `LOADED` only takes away. Arguments may be a tool's own
    objects, so the hook looks at texts and lists alone.
    """
    allowed, refused = LOADING, 0

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal allowed, refused
        if event in allowed:
            return
        if event == LOADED:
            allowed = CALLING
            return
        if event == REFUSALS and type(arguments[0]) is list:
            arguments[0].append(refused)
            return
        name = arguments[event == "object.__getattr__"] if event in ("import", "object.__getattr__") else None
        if type(name) is str and allowed is LOADING and name in (modules if event == "import" else SIGNATURE):
            return
        refused += 1
        raise PermissionError(f"the sandbox refuses {event}{f' of {name}' if type(name) is str else ''}")

    sys.addaudithook(audit)


def limit_resources(limits: WorkerLimits) -> None:
    """Set the POSIX limits; for root the system-call filter, not the kernel's limit, keeps processes from starting."""
    for kind, amount in (
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_AS, limits.memory_mib * MIB),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(kind, (amount, amount))
        except (ValueError, OSError):
            if sys.platform == "linux":  # other systems refuse some, macOS the address space; the rest hold
                raise


def _forget(*names: str) -> None:
    """Remove modules from `sys.modules` and from their packages, so that tools cannot find them."""
    for name in names:
        package, _, last = name.rpartition(".")
        if sys.modules.pop(name, None) is not None and package in sys.modules:
            vars(sys.modules[package]).pop(last, None)
