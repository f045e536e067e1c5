"""Ways out of the sandbox while a check loads and while it is called, each seen from outside.

Every way is a module of its own. It keeps what it reaches in FOUND, and its tool hands that out; a way that is refused
while it loads stops that file alone. After each, our own checks answer, and nothing outside has changed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import socket
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.registry import Registry
from tools.sandbox import worker_process
from tools.sandbox.lockdown import WorkerLimits
from tools.sandbox.sandbox import Sandbox, SandboxError
from tools.sandbox.worker_process import WorkerProcess
from tools.simulation.hosts import HOSTS, load_hosts

NOW = 1_800_000_000.0
SECRET = "canary-7c1f"
HEAD = """
import os, sys, time
import __main__
FOUND, WHEN = {}, ["loading"]

def attempt(name, act):
    try:
        FOUND[f"{name}, {WHEN[-1]}"] = str(act())
    except BaseException as error:
        FOUND[f"{name}, {WHEN[-1]}"] = type(error).__name__

def frames():
    frame = sys._getframe()
    while frame:
        yield frame
        frame = frame.f_back

def classes(start, seen):
    for one in type.__subclasses__(start):
        if one is not type and one not in seen:
            seen[one] = one.__name__
            classes(one, seen)
    return {name: one for one, name in seen.items() if one.__module__ in ("ctypes", "_ctypes")}

"""
TOOL = '''

def escape(host):
    """Show what was reached."""
    WHEN.append("called")
    attack()
    return {name: str(value) for name, value in FOUND.items()}
'''
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


def check(folder: Path, body: str, **values: object) -> Path:
    """Write a check whose `attack` runs while it loads and again when it is called."""
    given = "".join(f"{key} = {value!r}\n" for key, value in values.items())
    attack = f"def attack():\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n\nattack()\n"
    file = folder / "escape_check.py"
    file.write_text(f"{given}{HEAD}{attack}{TOOL}")
    return file


def ours_are_true(box: Sandbox) -> bool:
    """Whether every check of ours answers as it does in this process."""
    view, registry = load_hosts()["libvirtd-down"].view(NOW), Registry.default()
    answers = {name: box.call(name, {}, "libvirtd-down").data for name in registry.list_tools()}
    return answers == {name: registry.run_tool(name, view).data for name in answers}


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


FORGERIES = {
    "the worker's answers": """
        import json
        def answer(self, request):
            result = {"success": True, "data": {"forged": 1}, "error": None, "execution_time": 0.0, "timestamp": 0.0}
            return json.dumps({"id": request["id"], "result": result, "keep": True, "cpu_s": 0.0}).encode() + bytes([10])
        __main__.Worker.answer = answer
    """,
    "the registry's": """
        from tools.registry import Registry
        Registry.run_tool = lambda *given, **more: __main__.ToolResult("system_info", True, {"forged": 1})
    """,
    "the modules of later checks": """
        for name in [name for name in sys.modules if name.startswith("tools")]:
            sys.modules[name] = sys
        sys.modules["tools.checks.system_info"] = sys.modules["__main__"]
    """,
    "the standard library": """
        import json, math
        json.dumps = lambda *given, **more: '{"forged": 1}'
        json.loads = lambda text: {"forged": 1}
        math.sin = math.floor = len
    """,
    "the simulated hosts": """
        from tools.simulation import machine, view
        machine.machine_from_json = view.HostView.clock = None
    """,
    "a reply before it is asked": 'os.write(3, b\'{"id": "x", "result": {}, "keep": true}\\n\')',
    "the way out of the loop": """
        import atexit
        atexit.register(os.write, 3, b'{"forged": 1}\\n')
        sys.exit(0)
    """,
    "a tool of ours": """
        class Names(dict):
            pass
        for frame in frames():
            frame.f_globals["system_info"] = len
        os.write(3, b'{"tools": {"escape": "Mine.", "system_info": "Forged."}}\\n')
    """,
}


@pytest.mark.parametrize("way", FORGERIES)
def test_a_check_forges_no_result_but_its_own(tmp_path: Path, way: str) -> None:
    other = tmp_path / "other_check.py"
    other.write_text('def other(host):\n    """Be another check."""\n    return {"real": host.machine.hostname}\n')
    forger = check(tmp_path, FORGERIES[way])
    with Sandbox(files=[forger, other], clock=lambda: NOW, limits=WorkerLimits(call_s=5)) as box:
        box.call("escape", {}, "healthy")
        assert ours_are_true(box)
        box.call("escape", {}, "healthy")
        assert ours_are_true(box)
        assert box.call("other", {}, "healthy").data == {"real": "kvm01.lab.example.com"}
        assert set(Registry.default().list_tools()) | {"other"} <= set(box.run_all("healthy")["tool_results"])


@pytest.mark.parametrize("name", ["system_info", "other"])
def test_a_file_that_names_a_tool_as_another_does_is_refused_and_changes_nothing(tmp_path: Path, name: str) -> None:
    files = []
    for number, tool in enumerate(("other", name)):
        file = tmp_path / f"check_{number}.py"
        file.write_text(f'def {tool}(host):\n    """Be {tool}."""\n    return {{"number": {number}}}\n')
        files.append(file)
    with Sandbox(files=files, clock=lambda: NOW) as box:
        with pytest.raises(SandboxError, match=rf"check_1\.py offers a tool {name}, and there is one already; rename"):
            box.list_tools()
        assert ours_are_true(box)


HELLOS = {
    "no tools": {"tools": {}},
    "tools that are a number": {"tools": 7},
    "a description that is none": {"tools": {"escape": 7}},
    "a description without end": {"tools": {"escape": "x" * 5000}},
    "a name that is none": {"tools": {"../escape": "Mine."}},
    "an error that is none": {"error": {"a": 1}},
    "no form": {"filtered": True},
}


@pytest.mark.parametrize("hello", HELLOS)
def test_a_forged_start_stops_that_file_alone(tmp_path: Path, hello: str) -> None:
    body = f"import json\nos.write(3, json.dumps({HELLOS[hello]!r}).encode() + bytes([10]))"
    with Sandbox(files=[check(tmp_path, body)], clock=lambda: NOW) as box:
        with pytest.raises(SandboxError, match=r"did not start: .*escape_check\.py: "):
            box.list_tools()
        assert ours_are_true(box)


@pytest.mark.parametrize(
    "value",
    [
        "{'deep': eval('[' * 60 + ']' * 60)}",
        "{'half': chr(0xd800)}",
        "{chr(0xdfff): 1}",
    ],
)
def test_a_result_that_others_cannot_read_is_a_failed_call(tmp_path: Path, value: str) -> None:
    file = tmp_path / "odd_check.py"
    file.write_text(f'VALUE = {value}\n\ndef odd(host):\n    """Be odd."""\n    return VALUE\n')
    with Sandbox(files=[file]) as box:
        result = box.call("odd", {}, "healthy")
    assert (result.success, result.data, "no JSON" in str(result.error)) == (False, {}, True)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
@pytest.mark.parametrize("place", ["data", "execution_time"])
def test_a_number_that_is_not_finite_never_leaves_the_sandbox(tmp_path: Path, number: str, place: str) -> None:
    reply = {"data": f'{{"n": {number}}}', "execution_time": number}
    fields = {"data": "{}", "execution_time": "0.0"} | {place: reply[place]}
    body = f"""
        def answer(self, request):
            rest = '{{"success": true, "error": null, "timestamp": 0.0, "data": {fields["data"]}'
            result = rest + ', "execution_time": {fields["execution_time"]}}}'
            return ('{{"id": "%s", "result": %s, "keep": true, "cpu_s": 0.0}}' % (request["id"], result)).encode() + b"\\n"
        __main__.Worker.answer = answer
    """
    with Sandbox(files=[check(tmp_path, body)]) as box:
        result = box.call("escape", {}, "healthy")
    assert (result.success, result.data) == (False, {})


@pytest.mark.parametrize("body", ["time.sleep(3600)", "while True: pass", "sys.stdin.read()"])
def test_a_file_that_never_ends_loading_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(worker_process, "START_S", 3.0)
    with Sandbox(files=[check(tmp_path, body)], clock=lambda: NOW) as box:
        with pytest.raises(SandboxError, match="did not answer within 3 s and was stopped"):
            box.list_tools()
        assert ours_are_true(box)


def test_a_busy_check_of_another_file_holds_up_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "slow_check.py"
    file.write_text('import time\n\ndef slow(host):\n    """Be slow."""\n    time.sleep(3600)\n')
    with Sandbox(files=[file], limits=WorkerLimits(call_s=60), clock=lambda: NOW) as box:
        box.list_tools()
        worker = box._foreign[0].start()
        slow = threading.Thread(target=box.call, args=("slow", {}, "healthy"))
        slow.start()
        while not worker.calls:
            time.sleep(0.01)
        assert ours_are_true(box)
        assert box.call("reboot", {}, "healthy").error == "Tool 'reboot' not found"
        assert slow.is_alive()
        os.kill(worker._process.pid, signal.SIGKILL)
        slow.join()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("json.py", "x = 1\n", "bears the name of another module"),
        ("my check.py", "x = 1\n", "none that Python can import"),
        ("long.py", "#" * 300_000, "divide it"),
        ("latin.py", "# \xe9\n".encode("latin-1"), "save it as UTF-8"),
        ("nul.py", b"x = 1\0\n", "null bytes"),
        ("deep.py", "x = " + "(" * 5000, "nul_or_deep"),
        ("gone.py", None, "no Python file"),
        ("text.txt", "x = 1\n", "no Python file"),
    ],
)
def test_a_file_that_cannot_be_a_check_costs_itself_only(
    tmp_path: Path, name: str, text: str | bytes | None, says: str
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    with Sandbox(files=[file], clock=lambda: NOW) as box:
        with pytest.raises(SandboxError, match="did not start" if says == "nul_or_deep" else says):
            box.list_tools()
        assert ours_are_true(box)


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
