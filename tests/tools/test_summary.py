"""A tool's result in a few lines says what a person would look for, whatever the tool."""

from __future__ import annotations

import pytest

from tools.diagnosis.diagnose import diagnose
from tools.diagnosis.summary import MOST_LINES, summary
from tools.registry import Registry
from tools.simulation.hosts import load_hosts
from tools.types import ToolResult

NOW = 1_800_000_000.0
HOSTS = load_hosts()


def run(tool: str, host: str) -> str:
    return summary([Registry.default().run_tool(tool, HOSTS[host].view(NOW))], NOW)


def test_a_failed_service_is_named_with_its_state() -> None:
    assert "- libvirtd: status failed" in run("service_status", "libvirtd-down")


def test_a_full_disk_shows_its_percentage() -> None:
    assert "/var/lib/libvirt/images" in run("resource_usage", "images-disk-full")


@pytest.mark.parametrize("tool", sorted(Registry.default().list_tools()))
def test_every_tool_says_something_short(tool: str) -> None:
    text = run(tool, "healthy")
    assert 1 <= len(text.splitlines()) <= MOST_LINES


def test_a_call_that_did_not_run_says_why() -> None:
    assert "no such tool" in summary([ToolResult("x", False, {}, "no such tool")], NOW)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_a_run_of_every_tool_is_summed_up_as_the_diagnosis(host: str) -> None:
    results = list(Registry.default().run_all_tools(HOSTS[host].view(NOW)).values())
    found = diagnose(Registry.default().run_comprehensive_diagnostics(HOSTS[host].view(NOW)))
    text = summary(results, NOW)
    assert text.startswith(f"**{found.cause}**")
    assert all(line in text for line in found.evidence)
    commands = [f"`{step[2:]}`" for step in found.remedy if step.startswith("$ ")]
    assert all(command in text for command in commands) or found.kind in ("healthy", "unknown")
