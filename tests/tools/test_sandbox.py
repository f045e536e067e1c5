"""The sandbox seen from the app: same answers as in process, one worker reused, replaced when it must be."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.registry import Registry
from tools.sandbox.lockdown import WorkerLimits
from tools.sandbox.sandbox import Sandbox, SandboxError
from tools.simulation.hosts import load_hosts

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000.0
PROBE = '''
import math, os, time
HERE = os.getcwd()

def worker(host, seconds: float = 0.0):
    """Show which process this is, after using the CPU for a while."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        math.sqrt(2)
    return {"pid": os.getpid(), "folder": HERE}

def fails(host):
    """Fail in the ordinary way."""
    raise ValueError("disk is on fire")
'''


def test_the_package_gives_the_sandbox_and_loads_it_on_first_use() -> None:
    program = (
        "import sys, tools.sandbox as face\n"
        "early = 'tools.sandbox.sandbox' in sys.modules\n"
        "from tools.sandbox import Sandbox\n"
        "print(early, Sandbox is sys.modules['tools.sandbox.sandbox'].Sandbox)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox with two further tools and a clock that stands still."""
    file = tmp_path / "probe.py"
    file.write_text(PROBE)
    with Sandbox(files=[file], limits=WorkerLimits(cpu_s=1, call_s=20), clock=lambda: NOW) as sandbox:
        yield sandbox


def test_every_tool_answers_as_it_does_in_process(box: Sandbox) -> None:
    registry = Registry.default()
    for host in load_hosts().values():
        for name in registry.list_tools():
            assert box.call(name, {}, host.id).data == registry.run_tool(name, host.view(NOW)).data


def test_arguments_reach_the_tool(box: Sandbox) -> None:
    result = box.call("service_status", {"services": ["libvirtd"]}, "libvirtd-down")
    assert result.data["services"] == {
        "libvirtd": {
            "status": "failed",
            "active": False,
            "loadstate": "loaded",
            "activestate": "failed",
            "substate": "failed",
        }
    }


def test_a_comprehensive_run_has_the_same_figures_as_in_process(box: Sandbox) -> None:
    run = box.run_all("libvirtd-down")
    here = Registry.default().run_comprehensive_diagnostics(load_hosts()["libvirtd-down"].view(NOW))
    assert run["summary"]["total_tools"] == here["summary"]["total_tools"] + 2  # the two of the test
    assert run["summary"]["failed_tools"] == 1
    assert run["summary"]["timestamp"] == NOW
    assert {name: run["tool_results"][name]["data"] for name in here["tool_results"]} == {
        name: result["data"] for name, result in here["tool_results"].items()
    }


def test_a_tool_of_a_further_file_is_listed_with_its_description(box: Sandbox) -> None:
    assert box.list_tools()["worker"] == "Show which process this is, after using the CPU for a while."
    assert set(Registry.default().list_tools()) < set(box.list_tools())


def test_it_says_whether_the_kernel_filters_the_workers_calls(box: Sandbox) -> None:
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        assert box.filtered is False
    else:
        assert box.filtered is True


def test_one_worker_serves_many_calls_and_it_is_not_this_process(box: Sandbox) -> None:
    pids = {box.call("worker", {}, "healthy").data["pid"] for _ in range(5)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


def test_an_ordinary_failure_is_a_result_and_keeps_the_worker(box: Sandbox) -> None:
    before = box.call("worker", {}, "healthy").data["pid"]
    result = box.call("fails", {}, "healthy")
    assert (result.success, result.data, result.error) == (False, {}, "disk is on fire")
    assert box.call("worker", {}, "healthy").data["pid"] == before


def test_a_worker_that_used_half_its_cpu_time_is_replaced(box: Sandbox) -> None:
    before = box.call("worker", {"seconds": 0.55}, "healthy").data["pid"]
    assert box.call("worker", {}, "healthy").data["pid"] != before


def test_a_worker_that_died_between_calls_is_replaced(box: Sandbox) -> None:
    before = box.call("worker", {}, "healthy").data["pid"]
    os.kill(before, 9)
    result = box.call("worker", {}, "healthy")
    assert result.success
    assert result.data["pid"] != before


def test_closing_ends_the_worker_and_removes_its_folder(box: Sandbox) -> None:
    data = box.call("worker", {}, "healthy").data
    assert list(Path(data["folder"]).iterdir()) == []
    box.close()
    assert not Path(data["folder"]).exists()
    assert not Path(f"/proc/{data['pid']}").exists()


def test_calls_from_many_threads_each_get_their_own_answer(box: Sandbox) -> None:
    answers: dict[int, dict[str, object]] = {}

    def ask(number: int) -> None:
        answers[number] = box.call("service_status", {"services": [f"unit{number}"]}, "healthy").data["services"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: list(names) for number, names in answers.items()} == {n: [f"unit{n}"] for n in range(12)}


def test_unknown_tools_and_hosts_are_failed_results_that_name_them(box: Sandbox) -> None:
    assert box.call("reboot", {}, "healthy").error == "Tool 'reboot' not found"
    assert "there is no host 'prod'; choose one of: " in str(box.call("system_info", {}, "prod").error)


def test_arguments_past_the_cap_never_reach_the_worker(box: Sandbox) -> None:
    result = box.call("service_status", {"services": ["x" * 20_000]}, "healthy")
    assert "longer than 16384 bytes" in str(result.error)


@pytest.mark.parametrize("value", [{1}, object(), "\ud800".encode("utf-16", "surrogatepass")])
def test_arguments_that_are_no_json_are_a_failed_result(box: Sandbox, value: object) -> None:
    result = box.call("service_status", {"services": [value]}, "healthy")
    assert (result.success, "the arguments are no JSON" in str(result.error)) == (False, True)


def test_where_no_worker_can_be_started_every_call_is_a_failed_result_and_later_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Sandbox() as box:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
        gone = box.call("system_info", {}, "healthy")
        assert (gone.success, "did not start" in str(gone.error), list(tmp_path.iterdir())) == (False, True, [])
        monkeypatch.undo()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no-room"))
        assert "did not start" in str(box.call("system_info", {}, "healthy").error)
        monkeypatch.undo()
        assert box.call("system_info", {}, "healthy").success


@pytest.mark.parametrize(
    "text", ["def broken(:\n", "x = 1\n", 'def late(host):\n    """Is late."""\n    import nosuch\n']
)
def test_a_file_that_cannot_be_loaded_is_named_at_the_start_not_later(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad_tool.py"
    file.write_text(text)
    with Sandbox(files=[file]) as box:
        assert box.call("system_info", {}, "healthy").success  # ours run all the same
        if "late" in text:  # loads well, fails when called: nothing can be imported then
            assert "refuses import of nosuch" in str(box.call("late", {}, "healthy").error)
        else:
            with pytest.raises(SandboxError, match=r"did not start: .*bad_tool"):
                box.list_tools()
            failed = box.call("late", {}, "healthy")
            assert (failed.success, "did not start" in str(failed.error)) == (False, True)
