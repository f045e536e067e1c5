"""Each wall of the sandbox alone, in a process of its own: what one lets through another must not be needed for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_kernels_filter_alone_stops_native_code() -> None:
    found = walled(
        "from tools.sandbox import seccomp\nseccomp.prepare(seccomp.COMPUTE, {})()",
        open="native('open', b'/etc/passwd', 0)",
        create="native('creat', b'left-behind', 0o600)",
        socket="native('socket', 2, 1, 0)",
        fork="native('fork')",
        execute="native('execv', b'/bin/true', None)",
        kill="native('kill', os.getpid(), 0)",
        stat="attempt(lambda: os.stat('/etc/passwd'))",
        change_limits="native('setrlimit', resource.RLIMIT_CORE, bytes(16))",
        compute="attempt(lambda: sum(range(10)))",
    )
    assert found.pop("compute") == "45"
    assert set(found.values()) == {"EPERM"}, found


def test_the_loading_filter_reads_but_does_not_write_or_talk() -> None:
    found = walled(
        "from tools.sandbox import seccomp\n"
        "seccomp.prepare([*seccomp.COMPUTE, *seccomp.LOAD], {'openat': seccomp.READ_ONLY})()",
        read="attempt(lambda: open('/etc/hostname').close())",
        write="attempt(lambda: open('/dev/null', 'w'))",
        create="native('creat', b'left-behind', 0o600)",
        socket="native('socket', 2, 1, 0)",
        fork="native('fork')",
    )
    assert found.pop("read") == "None"
    assert set(found.values()) == {"EPERM"}, found


def test_no_new_machine_code_can_be_mapped_while_tools_run() -> None:
    found = walled(
        "import mmap\nfrom tools.sandbox import seccomp\n"
        "seccomp.prepare(seccomp.COMPUTE, dict.fromkeys(('mmap', 'mprotect'), seccomp.NO_NEW_CODE))()",
        data="attempt(lambda: len(mmap.mmap(-1, 4096, prot=3)))",
        code="attempt(lambda: mmap.mmap(-1, 4096, prot=7))",
    )
    assert found == {"data": "4096", "code": "EPERM"}


def test_the_audit_hook_alone_stops_python_code() -> None:
    found = walled(
        "from tools.sandbox import lockdown\nhook = lockdown.add_hook(('/etc/',))\nhook.allow(lockdown.CALLING)",
        open="attempt(lambda: open('/etc/passwd'))",
        socket="attempt(socket.socket)",
        fork="attempt(os.fork)",
        shell="attempt(lambda: os.system('true'))",
        imports="attempt(lambda: __import__('colorsys'))",
        native="attempt(lambda: ctypes.CDLL(None))",
        unknown="attempt(lambda: sys.audit('an.event.of.tomorrow'))",
    )
    assert set(found.values()) == {"PermissionError"}, found


def test_the_audit_hook_lets_loading_read_below_its_roots_only() -> None:
    found = walled(
        "from tools.sandbox import lockdown\nlockdown.add_hook(('/etc/host',))",
        inside="attempt(lambda: open('/etc/hosts').close())",
        outside="attempt(lambda: open('/etc/passwd'))",
        around="attempt(lambda: open('/etc/host/../passwd'))",
        writing="attempt(lambda: open('/etc/hosts', 'a'))",
        number="attempt(lambda: open(0))",
    )
    assert found == {
        "inside": "None",
        **dict.fromkeys(["outside", "around", "writing", "number"], "PermissionError"),
    }


def test_the_resource_limits_alone_stop_memory_files_and_descriptors(tmp_path: Path) -> None:
    found = walled(
        f"from tools.sandbox import lockdown\nlockdown.limit_resources(lockdown.WorkerLimits())\nos.chdir({str(tmp_path)!r})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        memory="attempt(lambda: bytes(2**30))",
        file="attempt(lambda: os.write(os.open('left-behind', os.O_CREAT | os.O_WRONLY), b'x'))",
        descriptors="attempt(lambda: [os.dup(0) for _ in range(64)])",
        cpu="attempt(lambda: resource.getrlimit(resource.RLIMIT_CPU))",
    )
    assert found == {"memory": "MemoryError", "file": "EFBIG", "descriptors": "EMFILE", "cpu": "(20, 20)"}


def test_without_libseccomp_there_is_no_filter_and_the_hook_is_sealed_all_the_same() -> None:
    found = walled(
        "from tools.sandbox import lockdown, seccomp\n"
        "prepared = seccomp.prepare(seccomp.COMPUTE, {}, 'libno-such-library.so')\n"
        "lockdown.Lockdown(lockdown.add_hook(('/etc/',)), prepared).seal()",
        prepared="str(prepared)",
        open="attempt(lambda: open('/etc/hosts'))",
        descriptors="attempt(lambda: [os.dup(0) for _ in range(9)])",
    )
    assert found == {"prepared": "None", "open": "PermissionError", "descriptors": "EMFILE"}


@pytest.mark.parametrize("call", ["open", "no_such_call_anywhere"])
def test_calls_an_architecture_does_not_have_are_left_out(call: str) -> None:
    wall = f"from tools.sandbox import seccomp\nseccomp.prepare([*seccomp.COMPUTE, {call!r}], {{}})()"
    assert walled(wall, compute="attempt(lambda: 6 * 7)") == {"compute": "42"}
