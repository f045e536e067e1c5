"""Filter the calling process's system calls through the system's libseccomp.

The filter is an allow list: every other call fails with EPERM, whatever language the caller is written in. Debian,
Ubuntu, Fedora and RHEL install `libseccomp.so.2` with their base system; where it is missing (or the system is no
Linux) `prepare` returns None and the caller goes on with its other limits.

libseccomp knows each architecture's call numbers and refuses those of a foreign architecture; see seccomp_rule_add(3).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterable, Mapping

# fmt: off
# The calls that a single-threaded Python needs to compute, print, wait and exit. None of them opens anything or touches
# another process.
COMPUTE = (
    "read", "write", "close", "lseek", "mmap", "munmap", "mprotect", "mremap", "brk", "madvise", "futex",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "sched_yield",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "getrandom", "getpid", "gettid",
    "getrusage", "getcwd", "exit", "exit_group",
)
# fmt: on

_NO_NEW_CODE = {2: (4, 0)}  # no PROT_EXEC, so no new machine code
_OWN_CLOCK = {0: (0xFFFF_FFF0, 0)}  # numbers below 16; the clock of another process has a negative one
_OWN_ADVICE = {2: (0xFFFF_FFE0, 0)}  # numbers below 32; those from 100 on take memory away from the whole machine
# system call -> what its arguments must be
ARGUMENTS = {
    "madvise": _OWN_ADVICE,
    **dict.fromkeys(("mmap", "mprotect"), _NO_NEW_CODE),
    **dict.fromkeys(("clock_gettime", "clock_getres", "clock_nanosleep"), _OWN_CLOCK),
}

_ALLOW = 0x7FFF0000  # SCMP_ACT_ALLOW
_FAIL = 0x00050000 | errno.EPERM  # SCMP_ACT_ERRNO(EPERM)
_MASKED_EQ = 7  # SCMP_CMP_MASKED_EQ

Condition = Mapping[int, tuple[int, int]]  # argument's number -> (mask, value it must have under the mask)


class _Comparison(ctypes.Structure):
    """The struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def prepare(
    names: Iterable[str], conditions: Mapping[str, Condition], library_name: str = "libseccomp.so.2"
) -> Callable[[], bool] | None:
    """Return a function that puts a filter in force, which allows only `names`; None where libseccomp is missing.

    Args:
        names: System calls to allow; those that this architecture does not have are left out.
        conditions: For some of the names, the values that their arguments must have.
        library_name: The shared library to use.

    Returns:
        A function that filters this process, and all that it starts, for good; true when the kernel took the filter.
        Filters add up: a call passes when all of them allow it.

    """
    try:
        library = ctypes.CDLL(library_name)
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    ]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    context = library.seccomp_init(_FAIL)
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        rules = [_Comparison(n, _MASKED_EQ, *wanted) for n, wanted in conditions.get(name, {}).items()]
        if number >= 0:
            array = (_Comparison * len(rules))(*rules)
            _check(library.seccomp_rule_add_array(context, _ALLOW, number, len(rules), array), f"rule for {name}")
    return lambda: bool(library.seccomp_load(context) == 0)


def _check(code: int, what: str) -> None:
    """Raise OSError for a negative code: libseccomp returns negative errno values."""
    if code < 0:
        raise OSError(-code, f"seccomp {what}: {os.strerror(-code)}")
