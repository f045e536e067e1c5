"""What a hostile check may send: it forges no result but its own, and what has no form costs itself only."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.tools.hostile_checks import NOW, check, ours_are_true
from tools.registry import Registry
from tools.sandbox import worker_process
from tools.sandbox.lockdown import WorkerLimits
from tools.sandbox.sandbox import Sandbox, SandboxError

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


@pytest.mark.parametrize("body", ["while True: pass", "sys.stdin.read()"])
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
