"""The rules answer a question about a result by yes or no, and know what may not be said after it."""

from __future__ import annotations

from typing import Any

import pytest

from tools.diagnosis.observations import observations
from tools.diagnosis.reading import ResultReading, read
from tools.registry import Registry
from tools.simulation.hosts import load_hosts
from tools.types import ToolResult

NOW = 1_800_000_000.0
HOSTS = load_hosts()
REGISTRY = Registry.default()


def reading(question: str, tool: str, host: str = "healthy", **arguments: Any) -> ResultReading:
    return read(question, [REGISTRY.run_tool(tool, HOSTS[host].view(NOW), **arguments)], NOW)


@pytest.mark.parametrize(
    ("question", "tool", "host", "answer"),
    [
        ("is the disk full?", "resource_usage", "healthy", False),
        ("is the disk full?", "resource_usage", "images-disk-full", True),
        ("Please check whether the disk is running out of space", "resource_usage", "images-disk-full", True),
        ("do I still have free disk space?", "resource_usage", "healthy", True),
        ("is disk usage above 40%?", "resource_usage", "healthy", True),
        ("is less than 40 % of the disk used?", "resource_usage", "healthy", False),
        ("is the root partition almost full?", "resource_usage", "images-disk-full", False),
        ("is memory usage high?", "resource_usage", "memory-overcommitted", True),
        ("am I out of memory?", "resource_usage", "healthy", False),
        ("is the CPU busy?", "resource_usage", "healthy", False),
        ("is sshd up?", "service_status", "healthy", True),
        ("isn't sshd running?", "service_status", "healthy", True),
        ("is sshd not running?", "service_status", "healthy", False),
        ("is libvirtd down?", "service_status", "libvirtd-down", True),
        ("has libvirtd failed?", "service_status", "libvirtd-down", True),
        ("has chronyd failed?", "service_status", "clock-skew", False),
        ("is qemu-kvm installed?", "service_status", "healthy", False),
        ("are all services running?", "service_status", "healthy", False),
        ("is the firewall on?", "service_status", "healthy", True),
        ("is kvm loaded?", "kvm_diagnostics", "virt-disabled", False),
        ("does the CPU support virtualization?", "kvm_diagnostics", "healthy", True),
        ("are any VMs running?", "kvm_diagnostics", "healthy", True),
        ("are all VMs running?", "kvm_diagnostics", "healthy", False),
        ("is vyos-router running?", "kvm_diagnostics", "healthy", False),
        ("is DNS working?", "network_diagnostics", "dns-broken", False),
        ("can the host resolve names?", "network_diagnostics", "healthy", True),
        ("is 8.8.8.8 reachable?", "network_diagnostics", "healthy", True),
        ("is the network down?", "network_diagnostics", "healthy", False),
        ("is this host RHEL 9?", "system_info", "healthy", False),
        ("is it a virtual machine?", "system_info", "healthy", False),
        ("does the CPU support x86-64-v3?", "system_info", "cpu-v2", False),
    ],
)
def test_a_question_that_yes_or_no_answers_is_answered(question: str, tool: str, host: str, answer: bool) -> None:
    found = reading(question, tool, host)
    assert found.answer is answer
    assert found.text.startswith("Yes: " if answer else "No: ")


@pytest.mark.parametrize(("name", "answer"), [("qemu", True), ("nginx", False)])
def test_a_process_that_was_looked_for_runs_or_not(name: str, answer: bool) -> None:
    assert reading(f"is {name} running?", "process_info", filter_name=name).answer is answer


@pytest.mark.parametrize(
    ("question", "tool", "begins"),
    [
        (
            "how full are the disks?",
            "resource_usage",
            "46 % of /var/lib/libvirt/images is used, 488 of 900 GB are free",
        ),
        ("show CPU and memory", "resource_usage", "48 % of the memory is used"),
        ("do I have enough disk space for OpenShift?", "resource_usage", "46 % of /var"),
        ("what uses the most CPU?", "process_info", "The busiest process is qemu-kvm"),
        ("which VMs are there?", "kvm_diagnostics", "2 of 3 virtual machines run"),
        ("why is the disk full?", "resource_usage", "It is not so: 46 % of /var"),
        ("why is libvirtd down?", "service_status", "It is not so: libvirtd is running"),
        ("how long is it up?", "system_info", "kvm01.lab.example.com runs a RHEL 10 family system"),
    ],
)
def test_any_other_question_gets_a_sentence_without_yes_or_no(question: str, tool: str, begins: str) -> None:
    found = reading(question, tool)
    assert found.answer is None
    assert found.text.startswith(begins)


@pytest.mark.parametrize(
    ("host", "question", "text"),
    [
        ("healthy", "is everything ok?", "Yes."),
        ("images-disk-full", "is anything wrong with this host?", "Yes."),
        ("dns-broken", "is the host healthy?", "No."),
        ("clock-skew", "what is wrong?", ""),
        ("images-disk-full", "is the disk full?", "Yes: 97 % of /var/lib/libvirt/images is used"),
    ],
)
def test_of_a_whole_run_the_diagnosis_answers(host: str, question: str, text: str) -> None:
    results = list(REGISTRY.run_all_tools(HOSTS[host].view(NOW)).values())
    found = read(question, results, NOW)
    assert found.text == text if len(text) < 5 else found.text.startswith(text)


@pytest.mark.parametrize(
    ("sentence", "denied"),
    [
        ("Yes, the disk is full, with 45.8 % used.", True),
        ("The disk is full because of logs.", True),
        ("The disk has no space left.", True),
        ("The host's disk is almost full.", True),
        ("Memory is exhausted.", True),
        ("No, the disk is not full.", False),
        ("The disk usage is 45.8 %.", False),
        ("If the disk is full, delete images.", False),
        ("To see whether the disk is full, run df -h.", False),
        ("There is enough free space on the disk.", False),
        ("The CPU is not busy.", False),
    ],
)
def test_an_explanation_may_not_say_the_opposite(sentence: str, denied: bool) -> None:
    assert reading("is the disk full?", "resource_usage").denies(sentence) is denied


def test_a_failed_call_and_a_tool_without_rules_leave_the_summary_alone() -> None:
    assert read("is it up?", [ToolResult("service_status", False, {}, "no such unit")], NOW) == ResultReading()
    assert read("is it up?", [ToolResult("one_of_my_own", True, {"up": True})], NOW) == ResultReading()


@pytest.mark.parametrize(
    "data", [{}, {"services": 3}, {"services": {"a": {}}}, {"disk": {"/": {"usage_percent": "x"}}}]
)
@pytest.mark.parametrize("tool", sorted(REGISTRY.list_tools()))
def test_a_result_of_another_shape_is_read_without_a_fault(tool: str, data: dict[str, Any]) -> None:
    observations([ToolResult(tool, True, data)])


@pytest.mark.parametrize("host", sorted(HOSTS))
@pytest.mark.parametrize("tool", sorted(REGISTRY.list_tools()))
def test_every_tool_of_every_host_is_summed_up_in_one_sentence(tool: str, host: str) -> None:
    text = reading("", tool, host).text
    assert text.endswith(".")
    assert "\n" not in text
