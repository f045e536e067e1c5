"""Ways out of the sandbox, each tried by a check that exists only here; attacks are text, so no test process runs them.

Some are tried while the check loads and again when it is called, and seen from outside: nothing there has changed. The
others are calls, of which the sandbox must serve the next one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import socket
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.hostile_checks import NOW, check, ours_are_true
from tools.sandbox import worker_process
from tools.sandbox.lockdown import WorkerLimits
from tools.sandbox.sandbox import Sandbox, SandboxError
from tools.sandbox.worker_process import WorkerProcess
from tools.simulation.hosts import HOSTS, load_hosts
from tools.types import ToolResult

SECRET = "canary-7c1f"
# name -> what the module does, once while it loads and once when it is called
READS = {
    "a lockdown that is patched": """
        from tools.sandbox import lockdown
        every = frozenset(["open", "os.listdir", "import"])
        for frame in [*frames()] if WHEN[-1] == "loading" else []:
            for value in frame.f_locals.values():
                getattr(value, "_allow", len)(every)
        for place in (lockdown, getattr(lockdown, "Lockdown", None)):
            for name in ("close", "seal", "loaded", "refusals", "add_hook", "limit_resources"):
                if hasattr(place, name):
                    setattr(place, name, lambda *given: 0)
        attempt("read", lambda: open(FILE).read())
    """,
    "names at load": 'attempt("names", lambda: os.listdir(FOLDER))',
    "link below the hosts": 'attempt("read", lambda: open(LINK).read())',
    "link below the hosts, by a loader": """
        from importlib.machinery import SourceFileLoader
        attempt("read", lambda: SourceFileLoader("link", LINK).get_data(LINK))
    """,
    "the parent's environment": """
        attempt("environment", lambda: open(f"/proc/{PARENT}/environ").read())
        attempt("ours", lambda: dict(os.environ))
        attempt("memory", lambda: open("/proc/self/mem", "rb"))
    """,
    "a shell without the hook's event": """
        import _posixsubprocess
        attempt("shell", lambda: _posixsubprocess.fork_exec(
            [b"/bin/sh", b"-c", b"cat " + FILE.encode() + b" >&3; touch " + MARK.encode()], [b"/bin/sh"], False, (),
            None, None, -1, -1, -1, -1, -1, -1, 3, -1, False, False, 0, None, None, None, -1, None, False))
    """,
    "frames": """
        for frame in [*frames()] if WHEN[-1] == "loading" else []:
            for value in frame.f_locals.values():
                hook = getattr(value, "__closure__", None) or ()
                for cell in hook:
                    if isinstance(cell.cell_contents, frozenset):
                        cell.cell_contents = frozenset(["open", "os.listdir", "import"])
        attempt("read", lambda: open(FILE).read())
    """,
    "an object that looks around in the hook": """
        class Text(str):
            def __hash__(self):
                FOUND["hook"] = sys._getframe(1).f_locals["allowed"]
            __eq__ = __format__ = __str__ = __hash__
        for event in ("import", "object.__getattr__", "tools.sandbox.refusals"):
            attempt(event, lambda: sys.audit(event, Text(), Text()))
    """,
    "gc by the back door": """
        import _imp
        from importlib.machinery import ModuleSpec
        attempt("gc", lambda: len(_imp.create_builtin(ModuleSpec("gc", None)).get_objects()))
    """,
    "ctypes by its classes": """
        found = classes(object, {})
        attempt("library", lambda: found["CDLL"](None).system(b"touch " + MARK.encode()))
        attempt("memory", lambda: bytes((found["c_char"] * 16).from_address(id(None))))
    """,
    "a foreign library": """
        import _imp
        from importlib.machinery import ModuleSpec
        attempt("library", lambda: _imp.create_dynamic(ModuleSpec("x", None, origin=FILE)))
    """,
    "forged code": """
        attempt("code", lambda: (lambda: 0).__code__.replace(co_consts=()))
        import marshal
        attempt("marshal", lambda: marshal.loads(marshal.dumps(1)))
    """,
    "a second hook": """
        def other(event, given):
            FOUND["heard"] = event
        sys.addaudithook(other)
        attempt("open", lambda: open(FILE))
    """,
    "threads": """
        import _thread, threading
        def late():
            time.sleep(0.1)
            FOUND["late"] = "ran"
        attempt("raw", lambda: _thread.start_new_thread(late, ()))
        attempt("thread", lambda: threading.Thread(target=late).start())
    """,
    "another process": """
        import resource, signal
        for name, act in {
            "limits": lambda: resource.prlimit(PARENT, resource.RLIMIT_NOFILE, (64, 64)),
            "kill": lambda: os.kill(PARENT, 0),
            "group": lambda: os.killpg(PARENT, 0),
            "handle": lambda: os.pidfd_open(PARENT),
            "priority": lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 19),
            "cores": lambda: os.sched_setaffinity(PARENT, {0}),
            "policy": lambda: os.sched_getscheduler(PARENT),
            "session": lambda: os.getsid(PARENT),
            "clock": lambda: time.clock_gettime(~PARENT << 3 | 2),
            "wait": lambda: os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG),
            "alarm": lambda: signal.setitimer(signal.ITIMER_REAL, 1),
        }.items():
            attempt(name, act)
    """,
    "descriptors": """
        import _socket
        for name, act in {
            "dup": lambda: os.dup(0),
            "over": lambda: os.dup2(3, 0),
            "pipe": os.pipe,
            "memory": lambda: os.memfd_create("x"),
            "event": lambda: os.eventfd(0),
            "send": lambda: os.sendfile(3, 0, None, 1),
            "socket": lambda: _socket.socket(fileno=3),
            "more": lambda: [number for number in range(4, 64) if not os.close(number)],
        }.items():
            attempt(name, act)
    """,
    "network": """
        import socket
        attempt("raw", lambda: socket._socket.socket())
        attempt("connect", lambda: socket.create_connection(("127.0.0.1", PORT), 1))
        attempt("name", lambda: socket.getaddrinfo("localhost", 80))
    """,
    "files in other ways": """
        for name, act in {
            "mkdir": lambda: os.mkdir(MARK),
            "symlink": lambda: os.symlink(FILE, MARK),
            "link": lambda: os.link(FILE, MARK),
            "rename": lambda: os.rename(FILE, MARK),
            "mode": lambda: os.chmod(FILE, 0o666),
            "fifo": lambda: os.mkfifo(MARK),
            "chdir": lambda: os.chdir("/"),
            "root": lambda: os.chroot("/"),
            "stat": lambda: os.stat(FILE).st_size,
            "target": lambda: os.readlink("/proc/self/exe"),
        }.items():
            attempt(name, act)
    """,
}
REFUSALS = {
    *("PermissionError", "RuntimeError", "OSError", "FileNotFoundError", "None", "[]", "ImportError", "{}"),
    *("KeyError", "IndexError", "itimer_error"),
}

Escape = Callable[[str], dict[str, str]]


@pytest.fixture
def escape(tmp_path: Path) -> Iterator[Escape]:
    """Run one way out; return what its tool says. Whatever it says, nothing outside may have changed."""
    file, mark, hosts = tmp_path / "secret.txt", tmp_path / "mark", tmp_path / "hosts"
    file.write_text(SECRET)
    shutil.copytree(HOSTS, hosts)
    link = hosts / "link.txt"
    link.symlink_to(file)
    before = resource.getrlimit(resource.RLIMIT_NOFILE), os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        values: dict[str, object] = {"FILE": str(file), "LINK": str(link), "FOLDER": str(tmp_path), "MARK": str(mark)}
        values |= {"PARENT": os.getpid(), "PORT": listener.getsockname()[1]}

        def run(body: str) -> dict[str, str]:
            with Sandbox(hosts, [check(tmp_path, body, **values)], clock=lambda: NOW) as box:
                result = box.call("escape", {}, "healthy")
                assert ours_are_true(box)
            return dict(result.data) if result.success else {"stopped": str(result.error)}

        yield run
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):  # nobody has knocked
            listener.accept()
    after = resource.getrlimit(resource.RLIMIT_NOFILE), os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)
    assert after == before
    assert not mark.exists()
    assert (file.read_text(), file.stat().st_mode & 0o777) == (SECRET, 0o644)


@pytest.mark.parametrize("way", READS)
def test_no_way_out_while_loading_or_called(escape: Escape, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    found = escape(READS[way])
    assert found
    assert SECRET not in str(found)
    assert "secret.txt" not in str(found)
    assert set(found) == {"stopped"} or set(found.values()) <= REFUSALS, found


def test_native_code_opens_nothing_either(escape: Escape) -> None:
    """The classes of ctypes are found among object's subclasses, and call a function of the interpreter by address."""
    if not hasattr(ctypes.pythonapi, "_Py_open_noraise"):  # open(2) without an audit event
        pytest.skip("this Python does not export the function")
    address = ctypes.cast(ctypes.pythonapi._Py_open_noraise, ctypes.c_void_p).value or 0
    found = escape(f"""
        found = classes(object, {{}})
        class Native(found["CFuncPtr"]):
            _flags_, _restype_ = 1, found["c_int"]
        attempt("opened", lambda: Native(id(None) + {address - id(None)})(FILE.encode(), os.O_RDONLY))
    """)
    assert found == {"opened, loading": "-1", "opened, called": "-1"}  # it ran, and the kernel refused


def test_without_a_filter_our_checks_run_and_foreign_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = check(tmp_path, "FOUND['ran'] = 1")
    monkeypatch.setattr(worker_process, "is_filtered", lambda pid: False)
    sent: list[bytes] = []
    send = WorkerProcess._send

    def recorded(worker: WorkerProcess, line: bytes) -> None:
        sent.append(line)
        send(worker, line)

    monkeypatch.setattr(WorkerProcess, "_send", recorded)
    with Sandbox(files=[file], clock=lambda: NOW) as box:
        assert ours_are_true(box)
        assert box.filtered is False
        result = box.call("escape", {}, "healthy")
    assert (result.success, "install libseccomp" in str(result.error)) == (False, True)
    assert "the kernel filters no system calls" in caplog.text
    assert not any(b"FOUND['ran']" in line for line in sent)  # its text never reached a worker


def test_the_workers_are_seen_to_be_filtered_from_outside(tmp_path: Path) -> None:
    file = tmp_path / "pid_check.py"
    file.write_text('import os\n\ndef pid(host):\n    """Show the process."""\n    return {"pid": os.getpid()}\n')
    with Sandbox(files=[file]) as box:
        pid = box.call("pid", {}, "healthy").data["pid"]
        status = Path(f"/proc/{pid}/status").read_text().split("\n")
        descriptors = sorted(path.name for path in Path(f"/proc/{pid}/fd").iterdir())
        assert worker_process.is_filtered(pid)
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    assert "Threads:\t1" in status
    assert descriptors == ["0", "1", "2", "3"]


def test_what_solves_a_host_is_not_in_its_workers_memory(tmp_path: Path) -> None:
    file = tmp_path / "pid_check.py"
    file.write_text('import os\n\ndef pid(host):\n    """Show the process."""\n    return {"pid": os.getpid()}\n')
    host = load_hosts()["libvirtd-down"]
    with Sandbox(files=[file]) as box:
        pid = box.call("pid", {}, "libvirtd-down").data["pid"]
        memory = b""
        with Path(f"/proc/{pid}/mem").open("rb", 0) as raw:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                area, rights, *_ = line.split()
                if rights.startswith("rw"):
                    start, end = (int(number, 16) for number in area.split("-"))
                    raw.seek(start)
                    memory += raw.read(end - start)
    assert host.machine.hostname.encode() in memory
    assert host.cause[:40].encode() not in memory


# --- calls ---

READING = (
    "return {'text': open('/etc/passwd').read()}",
    "return {'text': open(pathlib.__file__).read()}",  # readable while loading, not afterwards
)
SHELL = (
    "os.system('id'); return {}",
    "return {'out': subprocess.check_output(['/bin/sh', '-c', 'id']).decode()}",
    "os.posix_spawn('/bin/sh', ['sh'], {}); return {}",
    "os.execv('/bin/sh', ['sh'])",
)
WRITING = (
    "open('left-behind', 'w').write('x'); return {}",
    "os.remove(__file__); return {}",
)
FORKING = (
    "while True: os.fork()",
    "while True: threading.Thread(target=time.sleep, args=(9,)).start()",
)
ALLOCATING = (
    "rows = []\nwhile True: rows.append(' ' * 2**20)",
    "return {'text': ' ' * 2**32}",
)
LOOPING = (
    "while True: pass",
    "return {'big': len(str(10 ** 10**9))}",  # one instruction that never returns to Python
    "time.sleep(3600)",
    "return {'text': sys.stdin.read()}",
)
PRINTING = tuple(
    f"for _ in range(64): {statement}\nreturn {{'done': True}}"
    for statement in ("print('x' * 2**20)", "os.write(2, b'x' * 2**20)")
)
NO_JSON = (
    "return object()",
    "return {'nan': math.nan}",
    "return {('a', 'b'): 1}",
    "rows = []\nrows.append(rows)\nreturn {'rows': rows}",
)
NO_OBJECT = ("return 'text'", "return None")
FORGING = tuple(
    f"os.write(3, {line})\nreturn {{}}"
    for line in (
        r"b'no json at all\n'",
        r"b'[' * 100_000 + b'\n'",
        r"b'9' * 100_000 + b'\n'",
        r"b'x' * 1_000_000",
        r"""b'{"id": "guessed", "result": {"success": true, "data": {}}, "keep": true}\n'""",
        r"b'{}\n{}\n'",
    )
)
REACHING_OUT = (
    "import gc\nreturn {'n': len(gc.get_objects())}",
    "import ctypes\nreturn {'text': ctypes.string_at(id(host)).hex()}",
    "import _ctypes\nreturn {'n': _ctypes.dlopen(None, 0)}",
    "return {'name': sys._getframe(1).f_code.co_name}",
    "try: 1 / 0\nexcept ZeroDivisionError as error: return {'up': str(error.__traceback__.tb_frame.f_back)}",
    "return {'up': str((n for n in [1]).gi_frame)}",
    "sys.settrace(lambda *up: None); return {}",
    "exec('x = 1'); return {}",
    "import faulthandler; faulthandler._sigsegv(); return {}",
)
ENDING = ("os._exit(0)", "os.abort()", "sys.exit(0)", "raise KeyboardInterrupt")
OTHERS = (
    "return {'there': os.path.exists('/etc/passwd')}",
    "return {'text': 'x' * 10**6}",
    "return {'found': [name for name in ('ctypes', '_ctypes', 'tools.sandbox.seccomp', 'gc') if name in sys.modules]}",
    # leaves something behind that writes a reply into the next call
    "builtins.late = Late()\njson.loads = lambda text: builtins.late.write()\nreturn {'planted': True}",
)
ATTACKS = (
    *(*READING, *SHELL, *WRITING, *FORKING, *ALLOCATING, *LOOPING, *PRINTING),
    *(*NO_JSON, *NO_OBJECT, *FORGING, *REACHING_OUT, *ENDING, *OTHERS),
)
IMPORTS = """
import builtins, json, math, os, pathlib, signal, socket, subprocess, sys, threading, time

class Late:
    def write(self):
        os.write(3, b'{"id": "guessed", "keep": true}' + bytes([10]))
        return {}
"""
PATIENT, HASTY = WorkerLimits(call_s=20), WorkerLimits(call_s=0.4)

Attack = Callable[..., ToolResult]


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attack]:
    """Run one of ATTACKS as a tool, then show that the sandbox serves the next call; returns the attack's result."""
    file = tmp_path_factory.mktemp("attacks") / "attack_tools.py"
    tools = [
        f'def attack_{number}(host):\n    """Misbehave."""\n{textwrap.indent(body, "    ")}\n'
        for number, body in enumerate(ATTACKS)
    ]
    file.write_text("\n".join([IMPORTS, *tools]))
    boxes = {limits: Sandbox(files=[file], limits=limits) for limits in (PATIENT, HASTY)}

    def run(body: str, limits: WorkerLimits = PATIENT) -> ToolResult:
        result = boxes[limits].call(f"attack_{ATTACKS.index(body)}", {}, "healthy")
        following = boxes[limits].call("system_info", {}, "healthy")
        assert following.success
        assert following.data["hostname"] == "kvm01.lab.example.com"
        return result

    yield run
    for box in boxes.values():
        box.close()


def failed(result: ToolResult, *words: str) -> bool:
    """Whether the call failed with one of these words in its message."""
    return not result.success and result.data == {} and any(word in str(result.error) for word in words)


@pytest.mark.parametrize("body", READING)
def test_reading_a_file_is_refused(attack: Attack, body: str) -> None:
    assert failed(attack(body), "refuses open")


def test_a_file_cannot_even_be_seen_to_exist(attack: Attack) -> None:
    assert attack(OTHERS[0]).data == {"there": False}


@pytest.mark.parametrize("body", SHELL)
def test_a_shell_is_refused(attack: Attack, body: str) -> None:
    assert failed(attack(body), "refuses os.", "refuses subprocess", "not permitted")


@pytest.mark.parametrize("body", WRITING)
def test_writing_is_refused(attack: Attack, body: str) -> None:
    assert failed(attack(body), "refuses open", "refuses os.")


@pytest.mark.parametrize("body", FORKING)
def test_forking_without_end_is_refused_at_the_first(attack: Attack, body: str) -> None:
    assert failed(attack(body), "refuses os.fork", "refuses _thread", "can't start new thread")


@pytest.mark.parametrize("body", ALLOCATING)
def test_allocating_without_end_stops_at_the_limit(attack: Attack, body: str) -> None:
    assert failed(attack(body), "MemoryError")


@pytest.mark.parametrize("body", LOOPING)
def test_looping_for_ever_ends_at_the_deadline(attack: Attack, body: str) -> None:
    assert failed(attack(body, HASTY), "did not answer within 0.4 s")


@pytest.mark.parametrize("body", PRINTING)
def test_what_is_printed_leads_nowhere(attack: Attack, body: str) -> None:
    assert attack(body).data == {"done": True}


@pytest.mark.parametrize("body", NO_JSON)
def test_returning_what_is_no_json_is_a_failed_call(attack: Attack, body: str) -> None:
    assert failed(attack(body), "no JSON")


@pytest.mark.parametrize("body", NO_OBJECT)
def test_returning_json_that_is_no_object_is_a_failed_call(attack: Attack, body: str) -> None:
    assert failed(attack(body), "no object of named values")


def test_returning_too_much_is_a_failed_call(attack: Attack) -> None:
    assert failed(attack(OTHERS[1]), "more than the 262144 a reply may have")


@pytest.mark.parametrize("body", FORGING)
def test_a_forged_reply_is_not_believed(attack: Attack, body: str) -> None:
    assert failed(attack(body), "no JSON", "protocol")


def test_a_reply_planted_for_the_next_call_is_not_taken_for_its_answer(attack: Attack) -> None:
    assert attack(OTHERS[3]).data == {"planted": True}  # and `attack` checks that the next answer is the right one


@pytest.mark.parametrize("body", REACHING_OUT)
def test_reaching_out_of_the_interpreter_is_refused(attack: Attack, body: str) -> None:
    assert failed(attack(body), "the sandbox refuses")


def test_no_module_that_leads_to_native_code_is_left_within_reach(attack: Attack) -> None:
    assert attack(OTHERS[2]).data == {"found": []}


@pytest.mark.parametrize("body", ENDING)
def test_ending_the_worker_is_a_failed_call(attack: Attack, body: str) -> None:
    assert failed(attack(body), "ended without an answer", "SystemExit", "KeyboardInterrupt")


@pytest.mark.parametrize("line", ["open('/etc/passwd').read()", "import ctypes", "import requests", "while True: pass"])
def test_a_module_that_attacks_while_it_is_loaded_stops_the_start(tmp_path: Path, line: str) -> None:
    file = tmp_path / "attack_tool.py"
    file.write_text(f'{line}\n\ndef attack(host):\n    """Misbehave."""\n    return {{}}\n')
    with Sandbox(files=[file], limits=WorkerLimits(cpu_s=1)) as box, pytest.raises(SandboxError, match="did not start"):
        box.list_tools()
