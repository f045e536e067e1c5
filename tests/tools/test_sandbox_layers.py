"""Each wall of the sandbox alone, in a process of its own: what one lets through another must not be needed for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.sandbox import seccomp
from tools.sandbox.worker_process import is_filtered

ROOT = Path(__file__).parents[2]
ATTEMPTS = """
import ctypes, errno, json, os, resource, signal, socket, sys
sys.path.insert(0, {root!r})
out, libc = os.dup(1), ctypes.CDLL(None, use_errno=True)

def native(name, *arguments):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno(), "done") if getattr(libc, name)(*arguments) < 0 else "done"

def attempt(act):
    try:
        return str(act())
    except BaseException as error:
        return getattr(error, "errno", None) and errno.errorcode[error.errno] or type(error).__name__

{wall}
tries = {tries}
os.write(out, json.dumps(tries).encode())
"""


def walled(wall: str, **tries: str) -> dict[str, str]:
    """Put up one wall in a fresh process and try expressions behind it; name -> error's name or "done"."""
    wanted = ", ".join(f"{name!r}: {expression}" for name, expression in tries.items())
    program = ATTEMPTS.format(root=str(ROOT), wall=wall, tries=f"{{{wanted}}}")
    command = [sys.executable, "-I", "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return dict(json.loads(run.stdout))


FILTER = "from tools.sandbox import seccomp\nassert seccomp.prepare(seccomp.COMPUTE, seccomp.ARGUMENTS)()"


def test_the_kernels_filter_alone_stops_native_code() -> None:
    found = walled(
        FILTER,
        open="native('open', b'/etc/passwd', 0)",
        create="native('creat', b'left-behind', 0o600)",
        socket="native('socket', 2, 1, 0)",
        fork="native('fork')",
        execute="native('execv', b'/bin/true', None)",
        stat="attempt(lambda: os.stat('/etc/passwd'))",
        descriptor="native('dup', 0)",
        filter="native('prctl', 38, 1, 0, 0, 0)",
        compute="attempt(lambda: sum(range(10)))",
    )
    assert found.pop("compute") == "45"
    assert set(found.values()) == {"EPERM"}, found


def test_the_kernels_filter_alone_lets_no_call_touch_another_process() -> None:
    found = walled(
        FILTER,
        kill="native('kill', os.getpid(), 0)",
        queue="native('sigqueue', os.getpid(), 0, None)",
        limits="native('prlimit', os.getpid(), resource.RLIMIT_CORE, None, bytes(16))",
        own_limits="native('setrlimit', resource.RLIMIT_CORE, bytes(16))",
        memory="native('process_vm_readv', os.getpid(), None, 0, None, 0, 0)",
        writing="native('process_vm_writev', os.getpid(), None, 0, None, 0, 0)",
        trace="native('ptrace', 0, 0, 0, 0)",
        handle="native('pidfd_open', os.getpid(), 0)",
        affinity="native('sched_getaffinity', os.getpid(), 8, bytes(8))",
        policy="native('sched_getscheduler', os.getpid())",
        priority="native('setpriority', 0, os.getpid(), 19)",
        session="native('getsid', os.getpid())",
        clock="attempt(lambda: __import__('time').clock_gettime(~os.getpid() << 3 | 2))",
        poison="native('madvise', None, 4096, 100)",
    )
    assert set(found.values()) == {"EPERM"}, found


def test_the_clocks_and_the_advice_that_python_needs_pass_the_filter() -> None:
    clocks = ("CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID")
    tries = {name: f"attempt(lambda: time.clock_gettime(time.{name}) > 0)" for name in clocks}
    found = walled(f"import time\n{FILTER}", **tries, advice="native('madvise', None, 0, 4)")
    assert found == {**dict.fromkeys(clocks, "True"), "advice": "done"}


def test_no_new_machine_code_can_be_mapped_while_tools_run() -> None:
    found = walled(
        f"import mmap\n{FILTER}",
        data="attempt(lambda: len(mmap.mmap(-1, 4096, prot=3)))",
        code="attempt(lambda: mmap.mmap(-1, 4096, prot=7))",
    )
    assert found == {"data": "4096", "code": "EPERM"}


def test_the_audit_hook_alone_stops_python_code() -> None:
    found = walled(
        "from tools.sandbox import lockdown\nlockdown.add_hook(frozenset(['colorsys']))\nlockdown.loaded()",
        open="attempt(lambda: open('/etc/passwd'))",
        socket="attempt(socket.socket)",
        fork="attempt(os.fork)",
        shell="attempt(lambda: os.system('true'))",
        imports="attempt(lambda: __import__('colorsys'))",
        native="attempt(lambda: ctypes.CDLL(None))",
        code="attempt(lambda: exec('1'))",
        frame="attempt(lambda: sys._getframe())",
        hook="attempt(lambda: sys.audit('tools.sandbox.refusals', 'no list'))",
        unknown="attempt(lambda: sys.audit('an.event.of.tomorrow'))",
    )
    assert set(found.values()) == {"PermissionError"}, found


def test_while_checks_load_the_audit_hook_runs_their_text_and_opens_nothing() -> None:
    found = walled(
        "import collections, dataclasses\nfrom tools.sandbox import lockdown\nlockdown.add_hook(frozenset())",
        text="attempt(lambda: exec('x = 1'))",
        row="attempt(lambda: collections.namedtuple('Row', 'a', defaults=[1])())",
        fields="attempt(lambda: dataclasses.make_dataclass('Row', ['a'], slots=True)(1))",
        refused="attempt(lambda: lockdown.refusals())",
        open="attempt(lambda: open(os.__file__))",
        names="attempt(lambda: os.listdir('.'))",
        imports="attempt(lambda: __import__('colorsys'))",
        code="attempt(lambda: (lambda: 0).__code__.replace(co_consts=()))",
        frame="attempt(lambda: (n for n in [1]).gi_frame)",
        number="attempt(lambda: open(0))",
        counted="attempt(lambda: lockdown.refusals())",
    )
    ran = {"text": "None", "row": "Row(a=1)", "fields": "Row(a=1)", "refused": "0"}
    stopped = dict.fromkeys(["open", "names", "imports", "code", "frame", "number"], "PermissionError")
    assert found == {**ran, **stopped, "counted": str(len(stopped))}


def test_the_resource_limits_alone_stop_memory_files_and_descriptors(tmp_path: Path) -> None:
    found = walled(
        f"os.chdir({str(tmp_path)!r})\nfile = os.open('left-behind', os.O_CREAT | os.O_WRONLY)\n"
        "from tools.sandbox import lockdown\nlockdown.limit_resources(lockdown.WorkerLimits())\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        memory="attempt(lambda: bytes(2**30))",
        file="attempt(lambda: os.write(file, b'x'))",
        descriptors="attempt(lambda: os.dup(0))",
        cpu="attempt(lambda: resource.getrlimit(resource.RLIMIT_CPU))",
    )
    assert found == {"memory": "MemoryError", "file": "EFBIG", "descriptors": "EMFILE", "cpu": "(20, 20)"}


@pytest.mark.parametrize("missing", ["lambda *names: None", "lambda *names: lambda: False"])
def test_without_a_filter_the_hook_and_the_limits_hold_all_the_same(missing: str) -> None:
    found = walled(
        "from tools.sandbox import lockdown, seccomp\n"
        f"seccomp.prepare = {missing}\nfiltered = lockdown.close(lockdown.WorkerLimits(), [])",
        filtered="str(filtered)",
        open="attempt(lambda: open('/etc/hosts'))",
        descriptors="attempt(lambda: os.dup(0))",
    )
    assert found == {"filtered": "False", "open": "PermissionError", "descriptors": "EMFILE"}


def test_a_missing_library_gives_no_filter() -> None:
    assert seccomp.prepare(seccomp.COMPUTE, {}, "libno-such-library.so") is None


def test_a_closed_process_knows_that_the_kernel_refuses() -> None:
    wall = "from tools.sandbox import lockdown\nbefore = lockdown.refused_by_the_kernel()\nafter = lockdown.close(lockdown.WorkerLimits(), [])"
    assert walled(wall, found="str([before, after])") == {"found": "[False, True]"}


STATUS = "Name:\tpython\nThreads:\t{}\nSeccomp:\t{}\nSeccomp_filters:\t{}\n"


@pytest.mark.parametrize(
    ("worker", "here", "expected"),
    [
        (STATUS.format(1, 2, 1), STATUS.format(8, 0, 0), True),
        (STATUS.format(1, 2, 3), STATUS.format(8, 2, 2), True),
        (STATUS.format(1, 2, 2), STATUS.format(8, 2, 2), False),  # the container's filters, and none of its own
        (STATUS.format(2, 2, 1), STATUS.format(8, 0, 0), False),  # a thread that the filter may not hold
        (STATUS.format(1, 1, 1), STATUS.format(8, 0, 0), False),
        ("Threads:\t1\nSeccomp:\t2\n", "Seccomp:\t0\n", False),  # a kernel that does not say
        ("", STATUS.format(8, 0, 0), False),
        (None, STATUS.format(8, 0, 0), False),
    ],
)
def test_the_parent_believes_the_kernel_alone(tmp_path: Path, worker: str | None, here: str, expected: bool) -> None:
    for name, text in (("self", here), ("77", worker)):
        (tmp_path / name).mkdir()
        if text is not None:
            (tmp_path / name / "status").write_text(text)
    assert is_filtered(77, tmp_path) is expected


@pytest.mark.parametrize("call", ["open", "no_such_call_anywhere"])
def test_calls_an_architecture_does_not_have_are_left_out(call: str) -> None:
    wall = f"from tools.sandbox import seccomp\nseccomp.prepare([*seccomp.COMPUTE, {call!r}], {{}})()"
    assert walled(wall, compute="attempt(lambda: 6 * 7)") == {"compute": "42"}
