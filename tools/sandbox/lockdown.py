"""What the sandbox's worker does to itself: resource limits, an audit hook, a system-call filter.

In two steps. `Lockdown.enter` leaves reading, so that tools and hosts can be loaded; `seal` takes it away.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

MIB = 2**20
OPEN_FILES = 4  # standard input, output, error and the reply channel: no descriptor is left for another
WRITING = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC  # flags of open(2); O_RDONLY is 0
# Audit events (docs.python.org, "Audit events table") that may happen while modules are loaded, besides `open`.
# Whatever is on no list is refused, so that an event of a future Python is too.
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
        "sys._getframemodulename",  # since Python 3.12; named tuples and enumerations ask it
        "builtins.id",
        "re.compile",
        "time.sleep",
    }
)
# Modules that lead out of Python, or to an interpreter without the hook.
NATIVE = frozenset({"ctypes", "_ctypes", "gc", "_testcapi", "_testinternalcapi", "_xxsubinterpreters", "_interpreters"})
SEALING = frozenset({"resource.setrlimit"})  # and between the two
CALLING = frozenset({"builtins.id", "time.sleep"})  # and while a tool runs


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """WorkerLimits of one worker, from its start to its end."""

    cpu_s: int = 20  # a call needs ~1 ms; the worker is replaced at half of it
    memory_mib: int = 256  # address space; the worker needs ~40
    call_s: float = 2.0  # wall clock, enforced by the parent
    reply_bytes: int = 256 * 1024
    request_bytes: int = 16 * 1024  # below a pipe's 64 KiB, so that writing never waits for the worker


@dataclass(frozen=True, slots=True)
class AuditHook:
    """Handles of the audit hook."""

    allow: Callable[[frozenset[str]], None]  # change to another list
    refusals: Callable[[], int]  # how many events it has refused


class Lockdown:
    """The limits in force in this process; they cannot be taken back."""

    def __init__(self, hook: AuditHook, seal_filter: Callable[[], None] | None) -> None:
        """Prefer `enter`."""
        self.filtered = seal_filter is not None  # the kernel's filter is in force as well
        self.refusals = hook.refusals
        self._allow = hook.allow
        self._seal_filter = seal_filter

    @classmethod
    def enter(cls, limits: WorkerLimits, roots: Sequence[str]) -> Lockdown:
        """Limit this process for good; reading stays possible below `roots` (absolute, folders end with a slash)."""
        limit_resources(limits)
        seccomp = import_module("tools.sandbox.seccomp")
        loading = seccomp.prepare([*seccomp.COMPUTE, *seccomp.LOAD], {"openat": seccomp.READ_ONLY})
        calling = seccomp.prepare(seccomp.COMPUTE, dict.fromkeys(("mmap", "mprotect"), seccomp.NO_NEW_CODE))
        if loading is not None:
            loading()
        _forget("tools.sandbox.seccomp", "ctypes", "ctypes._endian", "_ctypes")
        return cls(add_hook(tuple(roots)), calling)

    def seal(self) -> None:
        """End loading: from here on this process opens nothing and imports nothing."""
        allow = self._allow
        allow(SEALING)
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        if self._seal_filter is not None:
            self._seal_filter()
        allow(CALLING)
        del self._allow  # so that nothing leads to it any more


def add_hook(roots: tuple[str, ...]) -> AuditHook:
    """Refuse every audit event that is on no list.

    A closure, and not methods: a tool can replace a class's methods, it cannot reach a local variable.
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
    """POSIX limits; as root the kernel does not enforce the number of processes, the system-call filter does."""
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
            if sys.platform == "linux":  # elsewhere some cannot be set, on macOS the address space; others hold
                raise


def _forget(*names: str) -> None:
    """Take modules away from those that are loaded later: from the list of modules and from their packages."""
    for name in names:
        package, _, last = name.rpartition(".")
        if sys.modules.pop(name, None) is not None and package in sys.modules:
            vars(sys.modules[package]).pop(last, None)
