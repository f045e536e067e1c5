"""`python -m tools` from the shell."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tools.__main__ import main
from tools.registry import Registry


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON that was printed."""
    code = main(list(argv))
    return code, json.loads(capsys.readouterr().out)


def test_a_tool_prints_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = printed(capsys, "service_status", "--host", "libvirtd-down", "--services", "libvirtd", "sshd")
    assert code == 0
    assert result["tool_name"] == "service_status"
    services = result["data"]["services"]
    assert {name: row["status"] for name, row in services.items()} == {"libvirtd": "failed", "sshd": "active"}


def test_numbers_and_names_become_typed_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    _, result = printed(capsys, "process_info", "--top-n", "2")
    assert len(result["data"]["processes"]) == 2


def test_all_prints_the_comprehensive_run_and_diagnose_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    _, run = printed(capsys, "all", "--host", "virt-disabled")
    assert run["summary"]["successful_tools"] == run["summary"]["total_tools"] == len(Registry.default().list_tools())
    _, found = printed(capsys, "diagnose", "--host", "virt-disabled")
    assert found["kind"] == "virtualisation_disabled"


def test_no_argument_lists_tools_and_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    code, lists = printed(capsys)
    assert code == 0
    assert {"tools", "hosts"} == set(lists)


def test_an_unknown_host_ends_with_the_list_of_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["system_info", "--host", "prod"])
    assert "libvirtd-down" in capsys.readouterr().err
