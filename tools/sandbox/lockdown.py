"""Lock the sandbox's worker down, from inside: resource limits, an audit hook, a system-call filter.

It takes two steps: `Lockdown.enter` still allows reading, so that the worker can load tools and hosts; `seal` ends it.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

MIB = 2**20
OPEN_FILES = 4  # standard input, output, error and the reply channel; the worker can open no other
WRITING = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC  # flags of open(2); O_RDONLY is 0
# Audit events (docs.python.org, "Audit events table") that the hook allows, besides `open`, while the worker loads
# modules. It refuses every event that is on no list, those of future Pythons included.
LOADING = frozenset(
    {
        "import",
        "os.listdir",
        "compile",
        "exec",
        "marshal.load",
        "marshal.loads",
        "code.__new__",
        "object.__getattr__",
        "object.__setattr__",
        "object.__delattr__",
        "sys._getframe",
        "sys._getframemodulename",  # since Python 3.12; named tuples and enumerations raise it
        "builtins.id",
        "re.compile",
        "time.sleep",
    }
)
# Modules that reach native code, other modules' state, or an interpreter without the hook.
NATIVE = frozenset({"ctypes", "_ctypes", "gc", "_testcapi", "_testinternalcapi", "_xxsubinterpreters", "_interpreters"})
SEALING = frozenset({"resource.setrlimit"})  # allowed while `seal` runs
CALLING = frozenset({"builtins.id", "time.sleep"})  # allowed while a tool runs


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """The limits of one worker and of its calls."""

    cpu_s: int = 20  # a call needs ~1 ms; the parent replaces the worker at half of it
    memory_mib: int = 256  # address space; the worker needs ~40
    call_s: float = 2.0  # wall clock of one call; the parent enforces it
    reply_bytes: int = 256 * 1024  # of one call
    request_bytes: int = 16 * 1024  # of one call; below a pipe's 64 KiB, so that writing never waits for the worker


@dataclass(frozen=True, slots=True)
class AuditHook:
    """The handles of the audit hook."""

    allow: Callable[[frozenset[str]], None]  # change the list of allowed events
    refusals: Callable[[], int]  # return the number of events that the hook has refused


class Lockdown:
    """Keep the state of this process's lockdown; nothing can take it back."""

    def __init__(self, hook: AuditHook, seal_filter: Callable[[], None] | None) -> None:
        """Take a hook in force and a filter that is ready; `enter` makes both."""
        self.filtered = seal_filter is not None  # the kernel filters system calls as well
        self.refusals = hook.refusals
        self._allow = hook.allow
        self._seal_filter = seal_filter

    @classmethod
    def enter(cls, limits: WorkerLimits, roots: Sequence[str]) -> Lockdown:
        """Limit this process for good; allow reading below `roots` (absolute, folders end with a slash)."""
        limit_resources(limits)
        seccomp = import_module("tools.sandbox.seccomp")
        loading = seccomp.prepare([*seccomp.COMPUTE, *seccomp.LOAD], {"openat": seccomp.READ_ONLY})
        calling = seccomp.prepare(seccomp.COMPUTE, dict.fromkeys(("mmap", "mprotect"), seccomp.NO_NEW_CODE))
        if loading is not None:
            loading()
        _forget("tools.sandbox.seccomp", "ctypes", "ctypes._endian", "_ctypes")
        return cls(add_hook(tuple(roots)), calling)

    def seal(self) -> None:
        """End loading: from now on this process opens nothing and imports nothing."""
        allow = self._allow
        allow(SEALING)
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        if self._seal_filter is not None:
            self._seal_filter()
        allow(CALLING)
        del self._allow  # no tool can reach it any more


def add_hook(roots: tuple[str, ...]) -> AuditHook:
    """Refuse every audit event that is on no list; allow reading below `roots` while modules load.

    The hook is a closure: a tool can replace a class's methods, but cannot reach a local variable.
    """
    allowed, refused = LOADING, 0

    def may_read(path: object, flags: object) -> bool:
        if not isinstance(path, str) or not isinstance(flags, int) or flags & WRITING:
            return False
        return path.startswith(roots) and ".." not in path

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal refused
        if event in allowed and not (event == "import" and arguments[0] in NATIVE):
            return
        if event == "open" and allowed is LOADING and may_read(arguments[0], arguments[2]):
            return
        refused += 1
        raise PermissionError(f"the sandbox refuses {event}")

    def allow(events: frozenset[str]) -> None:
        nonlocal allowed
        allowed = events

    sys.addaudithook(audit)
    return AuditHook(allow, lambda: refused)


def limit_resources(limits: WorkerLimits) -> None:
    """Set the POSIX limits; for root the system-call filter, not the kernel's limit, keeps processes from starting."""
    for kind, amount in (
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_AS, limits.memory_mib * MIB),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 32),
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
