"""One typed function in one new file is a whole tool: schema, sandbox, shell, comprehensive run, summary, evidence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.diagnosis.diagnose import diagnose
from tools.diagnosis.summary import NEEDED_TOOLS, summary
from tools.registry import Registry
from tools.sandbox.sandbox import Sandbox
from tools.simulation.hosts import HOSTS, load_hosts
from tools.types import ToolResult

NOW = 1_800_000_000.0
ROOT = Path(__file__).parents[2]
SEVENTH = '''
"""Storage pools."""

from __future__ import annotations

from typing import Any

from tools.simulation.view import HostView


def storage_pools(
    host: HostView, least_free_gb: float = 0.0, mounts: list[str] | None = None, brief: bool = False
) -> dict[str, Any]:
    """Show the storage pools and the room that is left in them, 100% at most.

    Args:
        host: The simulated host to look at.
        least_free_gb: Leave out pools with less room than this.
        mounts: Only the pools of these mounts.
        brief: Count the pools and do not list them.

    """
    pools = [
        {"name": disk.mount, "state": "active", "room_gb": round(disk.total_gb - disk.used_gb, 1), "on": [disk.device]}
        for disk in host.machine.disks
        if disk.total_gb - disk.used_gb >= least_free_gb and disk.mount in (mounts or [disk.mount])
    ]
    return {"count": len(pools), "asked_at": None} if brief else {"count": len(pools), "pools": pools}
'''
IMAGES = "/var/lib/libvirt/images"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The seventh tool's module, outside the package."""
    file = tmp_path / "storage_pools.py"
    file.write_text(SEVENTH)
    return file


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the whole package with the seventh tool among its checks."""
    root = tmp_path_factory.mktemp("seven")
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tools" / "checks" / "storage_pools.py").write_text(SEVENTH)
    return root


def shell(root: Path, *argv: str) -> str:
    """What `python -m tools` of the copy prints."""
    command = [sys.executable, "-m", "tools", *argv]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True).stdout


def printed(root: Path, *argv: str) -> dict[str, Any]:
    return dict(json.loads(shell(root, *argv)))


def test_its_schema_follows_from_its_signature_and_docstring(file: Path) -> None:
    schema = next(s["function"] for s in Registry.default([file]).schemas() if s["function"]["name"] == file.stem)
    assert schema["description"] == "Show the storage pools and the room that is left in them, 100% at most."
    assert {name: entry["type"] for name, entry in schema["parameters"]["properties"].items()} == {
        "least_free_gb": "number",
        "mounts": "array",
        "brief": "boolean",
    }


def test_the_sandbox_runs_it_as_this_process_does(file: Path) -> None:
    given = {"mounts": [IMAGES]}
    with Sandbox(files=[file], clock=lambda: NOW) as box:
        there = box.call(file.stem, given, "healthy")
        run = box.run_all("healthy")
    here = Registry.default([file]).run_tool(file.stem, load_hosts()["healthy"].view(NOW), **given)
    assert there.success
    assert there.data == here.data
    assert [pool["name"] for pool in there.data["pools"]] == [IMAGES]
    assert (
        run["summary"]["total_tools"] == run["summary"]["successful_tools"] == len(Registry.default().list_tools()) + 1
    )
    assert run["tool_results"][file.stem]["data"]["count"] == 3
    assert diagnose(run).kind == "healthy"


def test_its_result_is_summed_up_by_every_plain_field(file: Path) -> None:
    registry, view = Registry.default([file]), load_hosts()["healthy"].view(NOW)
    result = registry.run_tool(file.stem, view, mounts=[IMAGES])
    room = result.data["pools"][0]["room_gb"]
    assert summary([result], NOW).splitlines() == [
        "- storage_pools: count 1",
        f"- {IMAGES}: name {IMAGES}; state active; room_gb {room}; on /dev/mapper/vg_vms-images",
    ]
    assert summary([registry.run_tool(file.stem, view, brief=True)], NOW) == "- storage_pools: count 3"
    assert summary([ToolResult(file.stem, True, {})], NOW) == "- storage_pools: nothing to show"


def test_a_whole_run_is_summed_up_as_the_diagnosis_and_then_its_result(file: Path) -> None:
    view = load_hosts()["images-disk-full"].view(NOW)
    results = Registry.default([file]).run_all_tools(view)
    six = [results[name] for name in NEEDED_TOOLS]
    assert "Also reported" not in summary(six, NOW)
    text = summary([*six, results[file.stem]], NOW)
    assert text.startswith(f"{summary(six, NOW)}\n\nAlso reported:\n- storage_pools: count 3\n")


def test_a_host_can_name_it_in_its_evidence(file: Path, tmp_path: Path) -> None:
    host = json.loads((HOSTS / "images-disk-full.json").read_text())
    proof = {"tool": file.stem, "field": ["pools", "2", "room_gb"], "relation": "at_most", "value": 30, "says": "Full."}
    host["evidence"].append(proof)
    (tmp_path / "images-disk-full.json").write_text(json.dumps(host))
    loaded = load_hosts(tmp_path)["images-disk-full"]
    run = Registry.default([file]).run_comprehensive_diagnostics(loaded.view(NOW))
    assert loaded.evidence[-1].observed(run) == run["tool_results"][file.stem]["data"]["pools"][2]["room_gb"]
    assert all(evidence.holds(run) for evidence in loaded.evidence)


def test_a_new_file_among_the_checks_is_a_command_with_typed_options(root: Path) -> None:
    given = ("--least-free-gb", "1.5", "--mounts", "/", IMAGES, "--host", "healthy")
    assert [pool["name"] for pool in printed(root, "storage_pools", *given)["data"]["pools"]] == ["/", IMAGES]
    assert printed(root, "storage_pools", "--brief")["data"] == {"count": 3, "asked_at": None}
    assert "100% at most" in shell(root, "--help")
    assert "Leave out pools with less room than this." in shell(root, "storage_pools", "--help")


def test_a_new_file_among_the_checks_is_part_of_every_run(root: Path) -> None:
    assert "storage_pools" in printed(root)["tools"]
    run = printed(root, "all", "--host", "dns-broken")
    assert run["summary"]["failed_tools"] == 0
    assert run["tool_results"]["storage_pools"]["success"] is True
    assert printed(root, "diagnose", "--host", "dns-broken")["kind"] == "dns_broken"
