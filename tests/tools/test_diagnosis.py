"""The rule-based diagnosis: right on every host, and about what tools show, not about which host it is."""

from __future__ import annotations

import copy
import functools
import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest

from tools.diagnosis import diagnose as diagnosis
from tools.diagnosis import facts, rules
from tools.diagnosis.diagnose import diagnose
from tools.diagnosis.rules import RULES, clock_and_network, hypervisor, readiness, resources
from tools.registry import Registry
from tools.simulation.hosts import DEFAULT_HOST, Host, load_hosts
from tools.types import Report

NOW = 1_800_000_000.0
MOMENTS = [NOW + 86_400 * days + days for days in (0, 0.3, 11, 29.6, 200)]


@functools.cache
def hosts() -> dict[str, Host]:
    """The hosts, read once."""
    return load_hosts()


def run_of(host_id: str, now: float = NOW) -> Report:
    """A comprehensive run of one host."""
    return Registry.default().run_comprehensive_diagnostics(hosts()[host_id].view(now))


@pytest.fixture(scope="module")
def healthy() -> Report:
    return run_of(DEFAULT_HOST)


def changed(run: Report, tool: str, path: tuple[str, ...], value: Any) -> Report:
    """A copy of a run with one field changed; "absent" takes it away."""
    copied = copy.deepcopy(run)
    data = copied["tool_results"][tool]["data"]
    for part in path[:-1]:
        data = data[part]
    data.pop(path[-1]) if value == "absent" else data.__setitem__(path[-1], value)
    return copied


@pytest.mark.parametrize("now", MOMENTS)
@pytest.mark.parametrize("host_id", list(hosts()))
def test_every_host_is_diagnosed_at_every_moment(host_id: str, now: float) -> None:
    host, found = hosts()[host_id], diagnose(run_of(host_id, now))
    assert found.kind == host.kind
    assert found.confidence >= 0.8
    assert found.evidence
    assert found.remedy
    assert found.others == ()


def test_every_kind_of_fault_is_shown_with_the_figures_that_prove_it() -> None:
    assert any("97." in line for line in diagnose(run_of("images-disk-full")).evidence)
    assert any("sno-ocp4 is paused" in line for line in diagnose(run_of("images-disk-full")).evidence)
    assert any("freeipa is not running" in line for line in diagnose(run_of("dns-broken")).evidence)
    assert any("213.00 days behind" in line for line in diagnose(run_of("clock-skew")).evidence)
    assert any("avx2" in line for line in diagnose(run_of("cpu-v2")).evidence)
    assert any("kswapd0" in line for line in diagnose(run_of("memory-overcommitted")).evidence)
    assert any("services.libvirtd.status = failed" in line for line in diagnose(run_of("libvirtd-down")).evidence)
    assert any("modular daemons" in line for line in diagnose(run_of("modular-daemons")).evidence)


def test_names_of_machines_play_no_part(healthy: Report) -> None:
    for host_id in hosts():
        run = run_of(host_id)
        before = diagnose(run)
        run["tool_results"]["system_info"]["data"]["hostname"] = "other.example.com"
        assert diagnose(run) == before


def test_no_rule_module_reads_hosts() -> None:
    for module in (diagnosis, facts, rules, hypervisor, readiness, resources, clock_and_network):
        assert "hosts" not in {line.split()[1] for line in inspect.getsource(module).splitlines() if "import" in line}
        assert "tools.simulation.hosts" not in inspect.getsource(module)


def test_a_run_read_back_from_json_is_diagnosed_alike() -> None:
    for host_id in hosts():
        run = run_of(host_id)
        assert diagnose(json.loads(json.dumps(run))) == diagnose(run)


IMAGES = ("disk", "/var/lib/libvirt/images", "usage_percent")
MADE_FAULTS: list[tuple[str, tuple[str, ...], Any, str]] = [
    ("resource_usage", IMAGES, 99.1, "disk_full"),
    ("resource_usage", ("disk", "/", "usage_percent"), 96.0, "disk_full"),
    ("resource_usage", ("memory", "usage_percent"), 98.0, "memory_exhausted"),
    ("kvm_diagnostics", ("vmx_support",), False, "virtualisation_disabled"),
    ("kvm_diagnostics", ("kvm_module_loaded",), False, "kvm_not_loaded"),
    ("kvm_diagnostics", ("vm_list",), " Id   Name   State\n---\n 1    web    crashed", "vm_stopped"),
    ("network_diagnostics", ("dns_resolution",), {"working": False, "output": "SERVFAIL"}, "dns_broken"),
    ("service_status", ("services", "sshd", "status"), "failed", "service_failed"),
    ("system_info", ("release",), "4.18.0-553.el8_10.x86_64", "os_unsupported"),
    ("system_info", ("space_adds", "cpu", "x86_64_level"), 2, "cpu_too_old"),
    ("kvm_diagnostics", ("libvirt_error",), "Command '['virsh', 'version']' timed out", "libvirt_hangs"),
    ("network_diagnostics", ("dns_error",), "Command '['nslookup', 'google.com']' timed out", "dns_broken"),
    ("network_diagnostics", ("dns_error",), "[Errno 2] No such file or directory: 'nslookup'", "healthy"),
]


@pytest.mark.parametrize(("tool", "path", "value", "kind"), MADE_FAULTS)
def test_one_changed_field_on_the_healthy_host_changes_the_diagnosis(
    healthy: Report, tool: str, path: tuple[str, ...], value: Any, kind: str
) -> None:
    assert diagnose(healthy).kind == "healthy"
    assert diagnose(changed(healthy, tool, path, value)).kind == kind


def test_taking_the_evidence_away_makes_the_host_healthy() -> None:
    mended = changed(run_of("images-disk-full"), "resource_usage", IMAGES, 40.0)
    assert diagnose(mended).kind == "vm_stopped"  # still paused, no longer explained
    table = mended["tool_results"]["kvm_diagnostics"]["data"]["vm_list"].replace("paused", "running")
    assert diagnose(changed(mended, "kvm_diagnostics", ("vm_list",), table)).kind == "healthy"


@pytest.mark.parametrize(
    ("offset_s", "kind"), [(0, "healthy"), (200, "healthy"), (4000, "clock_wrong"), (-4000, "clock_wrong")]
)
def test_a_clock_is_wrong_from_five_minutes_on_either_way(healthy: Report, offset_s: float, kind: str) -> None:
    run = copy.deepcopy(healthy)
    for result in run["tool_results"].values():
        result["timestamp"] += offset_s
    assert diagnose(run).kind == kind


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"libvirt_available": False}, "libvirt_stopped"),
        ({"libvirt_error": "[Errno 2] No such file or directory: 'virsh'"}, "libvirt_missing"),
    ],
)
def test_a_libvirt_that_does_not_answer_is_stopped_or_missing_by_what_else_shows(
    fields: dict[str, Any], kind: str
) -> None:
    run = run_of("modular-daemons")  # libvirtd inactive
    run["tool_results"]["kvm_diagnostics"]["data"].update(fields)
    assert diagnose(run).kind == kind


def test_a_virtual_machine_without_virtualisation_is_told_apart_from_bare_metal() -> None:
    field = ("space_adds", "cpu", "is_virtual")
    assert diagnose(changed(run_of("virt-disabled"), "system_info", field, True)).kind == "no_nested_virtualisation"


def upstreams_own(host_id: str) -> Report:
    """A run as upstream's own tools give it, without what we add."""
    run = run_of(host_id)
    del run["space_adds"]
    for result in run["tool_results"].values():
        result["data"].pop("space_adds", None)
    return run


BY_HAND = {"clock-skew": "healthy", "cpu-v2": "healthy"}  # upstream's tools show these faults in no field


@pytest.mark.parametrize("host_id", list(hosts()))
def test_a_run_of_upstreams_own_tools_is_diagnosed_as_far_as_it_goes(host_id: str) -> None:
    found = diagnose(upstreams_own(host_id))
    assert found.kind == BY_HAND.get(host_id, hosts()[host_id].kind)
    assert "space_adds" not in " ".join(found.evidence)
    if host_id == "virt-disabled":
        assert "$ systemd-detect-virt" in found.remedy


@pytest.mark.parametrize("host_id", list(hosts()))
def test_evidence_from_what_we_add_names_the_command_that_shows_it_on_a_real_host(host_id: str) -> None:
    for line in diagnose(run_of(host_id)).evidence:
        assert "on a real host" in line or "space_adds" not in line
    for evidence in hosts()[host_id].evidence:
        assert "On a real host: " in evidence.says or not {"space_adds", "timestamp"} & set(evidence.field)


def test_a_ping_that_could_not_start_says_nothing_about_the_network(healthy: Report) -> None:
    missing = {"reachable": False, "error": "[Errno 2] No such file or directory: 'ping'"}
    rows = dict.fromkeys(("8.8.8.8", "1.1.1.1"), missing)
    assert diagnose(changed(healthy, "network_diagnostics", ("connectivity",), rows)).kind == "healthy"
    late = {target: {"reachable": False, "error": "timeout"} for target in rows}
    assert diagnose(changed(healthy, "network_diagnostics", ("connectivity",), late)).kind == "network_down"


def test_an_unreachable_network_comes_before_the_names_that_fail_with_it() -> None:
    run = run_of("dns-broken")
    for row in run["tool_results"]["network_diagnostics"]["data"]["connectivity"].values():
        row["reachable"] = False
    found = diagnose(run)
    assert found.kind == "network_down"
    assert [cause for cause in found.others if "DNS" in cause]


def test_busy_cpus_are_a_fault_only_when_work_waits(healthy: Report) -> None:
    busy = changed(healthy, "resource_usage", ("cpu", "usage_percent"), 99.0)
    assert diagnose(busy).kind == "healthy"
    assert (
        diagnose(changed(busy, "resource_usage", ("cpu", "load_average"), [40.0, 38.0, 30.0])).kind == "cpu_saturated"
    )


def test_two_faults_are_both_named_the_graver_first() -> None:
    run = changed(run_of("cpu-v2"), "resource_usage", ("disk", "/", "usage_percent"), 99.0)
    found = diagnose(run)
    assert found.kind == "disk_full"
    assert len(found.others) == 1
    assert "x86-64-v3" in found.others[0]


def test_tools_without_data_make_it_unsure_and_never_healthy(healthy: Report) -> None:
    run = copy.deepcopy(healthy)
    run["tool_results"]["kvm_diagnostics"].update(success=False, data={}, error="timeout")
    found = diagnose(run)
    assert found.kind == "unknown"
    assert "kvm_diagnostics" in found.cause
    assert found.confidence < 0.3
    silent = diagnose(changed(run, "resource_usage", IMAGES, 99.0))
    assert silent.kind == "disk_full"
    assert silent.confidence == pytest.approx(0.85 * 0.76, abs=0.01)


def test_nothing_at_all_is_no_crash() -> None:
    nothing: Report = {"summary": {"timestamp": NOW}, "tool_results": {}}
    assert diagnose(nothing).kind == "unknown"
    assert all(rule(facts.Facts(nothing)) is None for rule in RULES)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_stays_silent_on_the_healthy_host(healthy: Report, rule: Callable[[facts.Facts], object]) -> None:
    assert rule(facts.Facts(healthy)) is None
