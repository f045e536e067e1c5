"""Each of the six tools: its fields, its arguments, its soft failures (`success` true, an error inside)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tools.registry import Registry
from tools.simulation.hosts import DEFAULT_HOST, Host, load_hosts
from tools.simulation.machine import Machine
from tools.simulation.view import HostView

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def hosts() -> dict[str, Host]:
    return load_hosts()


@pytest.fixture(scope="module")
def healthy(hosts: dict[str, Host]) -> Machine:
    return hosts[DEFAULT_HOST].machine


def run(machine: Machine, tool: str, **arguments: object) -> dict[str, Any]:
    """The data of a call that must succeed, on a machine at NOW."""
    result = Registry.default().run_tool(tool, HostView(machine, NOW), **arguments)
    assert result.success, result.error
    return result.data


def test_system_info_names_the_system_and_since_when_it_is_up(healthy: Machine) -> None:
    data = run(healthy, "system_info")
    assert data["platform"] == "Linux-6.12.0-55.9.1.el10_0.x86_64-x86_64-with-glibc2.39"
    assert (data["system"], data["machine"], data["processor"]) == ("Linux", "x86_64", "")
    assert (data["release"], data["python_version"]) == ("6.12.0-55.9.1.el10_0.x86_64", "3.12.9")
    assert data["uptime_seconds"] > 6 * 86_400
    assert data["boot_time"] + data["uptime_seconds"] == pytest.approx(NOW)
    assert data["boot_time"].is_integer()


def test_system_info_names_the_processor_as_uname_of_each_release_does(hosts: dict[str, Host]) -> None:
    shown = {name: run(hosts[name].machine, "system_info")["processor"] for name in ("rhel8", "cpu-v2", "healthy")}
    assert shown == {"rhel8": "x86_64", "cpu-v2": "x86_64", "healthy": ""}


def test_system_info_reads_abm_as_lzcnt(hosts: dict[str, Host]) -> None:
    assert "lzcnt" not in hosts["cpu-v3-abm"].machine.cpu.flags
    added = run(hosts["cpu-v3-abm"].machine, "system_info")["space_adds"]
    assert "On a real host: lscpu" in added["note"]
    assert added["cpu"] == {
        "model": "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz",
        "x86_64_level": 3,
        "missing_for_v3": [],
        "is_virtual": False,
    }
    assert run(hosts["cpu-v2"].machine, "system_info")["space_adds"]["cpu"]["x86_64_level"] == 2


def test_resource_usage_has_four_groups_with_upstreams_keys(healthy: Machine) -> None:
    data = run(healthy, "resource_usage")
    assert set(data) == {"cpu", "memory", "disk", "network"}
    assert set(data["cpu"]) == {"usage_percent", "count_logical", "count_physical", "load_average", "per_cpu_usage"}
    assert set(data["memory"]) == {"total_gb", "available_gb", "used_gb", "usage_percent", "free_gb"}
    assert set(data["disk"]["/"]) == {"device", "fstype", "total_gb", "used_gb", "free_gb", "usage_percent"}
    counters = {"bytes", "packets"}
    assert set(data["network"]["eno1"]) == {
        *(f"{kind}_{way}" for kind in counters for way in ("sent", "recv")),
        *(f"{kind}_{way}" for kind in ("errors", "drops") for way in ("in", "out")),
    }


def test_resource_usage_adds_up(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        data = run(host.machine, "resource_usage")
        cpu, memory = data["cpu"], data["memory"]
        assert len(cpu["per_cpu_usage"]) == cpu["count_logical"]
        assert all(0 <= usage <= 100 for usage in cpu["per_cpu_usage"])
        used_percent = 100 * (1 - memory["available_gb"] / memory["total_gb"])
        assert memory["usage_percent"] == pytest.approx(used_percent, abs=0.1)
        assert memory["used_gb"] + memory["available_gb"] == pytest.approx(memory["total_gb"], abs=0.01)
        assert all((2048 * mean).is_integer() for mean in cpu["load_average"])
        for disk in data["disk"].values():
            assert disk["used_gb"] + disk["free_gb"] == pytest.approx(disk["total_gb"], abs=0.02)
            assert disk["usage_percent"] == pytest.approx(100 * disk["used_gb"] / disk["total_gb"], abs=1)


def test_service_status_shows_the_usual_eight_unless_asked_otherwise(healthy: Machine) -> None:
    services = run(healthy, "service_status")["services"]
    assert list(services) == [
        *("libvirtd", "qemu-kvm", "NetworkManager", "firewalld", "sshd", "chronyd", "systemd-resolved", "dnsmasq"),
    ]
    assert services["libvirtd"] == {
        "status": "active",
        "active": True,
        "loadstate": "loaded",
        "activestate": "active",
        "substate": "running",
    }
    assert run(healthy, "service_status", services=[])["services"] == services
    assert list(run(healthy, "service_status", services=["crond"])["services"]) == ["crond"]


def test_a_service_that_is_no_unit_is_inactive_and_not_found(healthy: Machine) -> None:
    for name in ("qemu-kvm", "no-such-service"):
        service = run(healthy, "service_status", services=[name])["services"][name]
        assert (service["status"], service["active"], service["loadstate"]) == ("inactive", False, "not-found")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            "failed",
            {"status": "failed", "active": False, "loadstate": "loaded", "activestate": "failed", "substate": "failed"},
        ),
        (
            "dead",
            {
                "status": "inactive",
                "active": False,
                "loadstate": "loaded",
                "activestate": "inactive",
                "substate": "dead",
            },
        ),
        ("timeout", {"status": "timeout", "active": False, "error": "Command timeout"}),
    ],
)
def test_a_service_that_does_not_run_is_a_soft_failure(healthy: Machine, state: Any, expected: dict[str, Any]) -> None:
    machine = replace(healthy, services={"sshd": state})
    assert run(machine, "service_status", services=["sshd.service"])["services"]["sshd.service"] == expected


def test_process_info_is_upstreams_first_call_ten_by_pid_with_no_cpu_time_yet(healthy: Machine) -> None:
    data = run(healthy, "process_info")
    assert (data["total_processes"], data["filtered_processes"], len(data["processes"])) == (331, 10, 10)
    assert {row["cpu_percent"] for row in data["processes"]} == {0.0}
    assert [row["pid"] for row in data["processes"]] == list(range(1, 11))
    for row in data["processes"]:
        assert row["create_time"] + row["uptime_seconds"] == pytest.approx(NOW)
    assert run(healthy, "process_info", top_n=3)["filtered_processes"] == 3
    assert run(healthy, "process_info", top_n=1000)["filtered_processes"] == healthy.process_count


def test_process_info_adds_the_busiest_and_says_how_a_real_host_shows_them(healthy: Machine) -> None:
    added = run(healthy, "process_info")["space_adds"]
    usage = [row["cpu_percent"] for row in added["busiest"]]
    assert (added["busiest"][0]["name"], len(usage)) == ("qemu-kvm", 10)
    assert usage == sorted(usage, reverse=True)
    assert "On a real host: top" in added["note"]


def test_process_info_filters_by_part_of_the_name_and_then_ignores_top_n(healthy: Machine) -> None:
    data = run(healthy, "process_info", filter_name="QEMU", top_n=1)
    assert [row["name"] for row in data["processes"]] == ["qemu-kvm", "qemu-kvm"]
    assert data["filtered_processes"] == 2
    assert run(healthy, "process_info", filter_name="no such thing")["processes"] == []


def test_kvm_diagnostics_shows_modules_flags_and_machines(healthy: Machine) -> None:
    data = run(healthy, "kvm_diagnostics")
    assert (data["kvm_module_loaded"], data["kvm_intel_loaded"], data["kvm_amd_loaded"]) == (True, True, False)
    assert (data["vmx_support"], data["svm_support"]) == (True, False)
    assert data["libvirt_version"].splitlines()[-1] == "Running hypervisor: QEMU 9.1.0"
    assert data["vm_count"] == 3
    assert data["vm_list"].splitlines() == [
        "Id   Name          State",  # upstream strips the first space
        "------------------------------",
        " 1    freeipa       running",
        " 2    sno-ocp4      running",
        " -    vyos-router   shut off",
    ]


def test_a_failing_virsh_leaves_version_and_list_out(hosts: dict[str, Host]) -> None:
    data = run(hosts["libvirtd-down"].machine, "kvm_diagnostics")
    assert data["libvirt_available"] is False
    assert not {"libvirt_version", "vm_count", "vm_list", "libvirt_error", "vm_list_error"} & set(data)


def test_a_missing_virsh_is_a_soft_failure(healthy: Machine) -> None:
    data = run(replace(healthy, kvm=replace(healthy.kvm, virsh="missing")), "kvm_diagnostics")
    assert data["libvirt_error"] == data["vm_list_error"] == "[Errno 2] No such file or directory: 'virsh'"
    assert not {"libvirt_available", "libvirt_version", "vm_count", "vm_list"} & set(data)


def test_network_diagnostics_shows_interfaces_and_pings_three_targets(healthy: Machine) -> None:
    data = run(healthy, "network_diagnostics")
    assert data["interfaces"]["eno1"][0] == {
        "family": "2",
        "address": "192.168.50.21",
        "netmask": "255.255.255.0",
        "broadcast": "192.168.50.255",
    }
    families = {name: [row["family"] for row in rows] for name, rows in data["interfaces"].items()}
    assert families == {"lo": ["2", "10", "17"], "eno1": ["2", "10", "17"], "virbr0": ["2", "17"]}
    assert {name: row["reachable"] for name, row in data["connectivity"].items()} == {
        "8.8.8.8": True,
        "1.1.1.1": True,
        "google.com": True,
    }
    assert "3 packets transmitted, 3 received, 0% packet loss" in data["connectivity"]["8.8.8.8"]["output"]
    assert data["dns_resolution"]["working"] is True


@pytest.mark.parametrize(
    ("target", "reachable", "words"),
    [
        ("quay.io", True, "0% packet loss"),
        ("192.168.122.10", True, "0% packet loss"),  # the file says so
        ("192.168.50.21", True, "0% packet loss"),  # its own address
        ("localhost", True, "(127.0.0.1)"),
        ("::1", True, "0% packet loss"),
        ("no-such-name", False, "Name or service not known"),
        ("host.invalid", False, "Name or service not known"),
        ("-f", False, "usage error: Destination address required"),
        ("$(reboot).example.com", False, "Name or service not known"),
        ("x" * 5000, False, "Name or service not known"),
    ],
)
def test_a_ping_answers_for_what_is_there(healthy: Machine, target: str, reachable: bool, words: str) -> None:
    row = run(healthy, "network_diagnostics", targets=[target])["connectivity"][target]
    assert row["reachable"] is reachable
    assert words in row["output"]
    assert len(row["output"]) < 700


def test_a_ping_whose_packets_are_lost_shows_nothing(healthy: Machine) -> None:
    data = run(healthy, "network_diagnostics", targets=["10.0.0.1"])
    assert data["connectivity"] == {"10.0.0.1": {"reachable": False, "output": ""}}


def test_python_before_3_11_names_the_address_families(hosts: dict[str, Host]) -> None:
    rows = run(hosts["cpu-v2"].machine, "network_diagnostics")["interfaces"]["lo"]
    assert [row["family"] for row in rows] == [f"AddressFamily.AF_{name}" for name in ("INET", "INET6", "PACKET")]


def test_a_ping_that_hangs_is_a_soft_failure(healthy: Machine) -> None:
    machine = replace(healthy, network=replace(healthy.network, reach={"10.9.9.9": "timeout"}))
    data = run(machine, "network_diagnostics", targets=["10.9.9.9"])
    assert data["connectivity"] == {"10.9.9.9": {"reachable": False, "error": "timeout"}}


FAILED = {"dns_resolution": {"working": False, "output": ""}}
SILENT = {"dns_error": "Command '['nslookup', 'google.com']' timed out after 10 seconds"}


@pytest.mark.parametrize(("state", "shown"), [("unreachable", SILENT), ("refused", FAILED), ("servfail", FAILED)])
def test_broken_dns_stops_names_and_not_addresses(healthy: Machine, state: Any, shown: dict[str, Any]) -> None:
    machine = replace(healthy, network=replace(healthy.network, dns=state))
    data = run(machine, "network_diagnostics")
    assert {key: value for key, value in data.items() if key.startswith("dns")} == shown
    assert data["connectivity"]["8.8.8.8"]["reachable"] is True
    assert data["connectivity"]["google.com"] == {
        "reachable": False,
        "output": "ping: google.com: Temporary failure in name resolution\n",
    }


def test_a_missing_nslookup_is_a_soft_failure(hosts: dict[str, Host]) -> None:
    data = run(hosts["rhel8"].machine, "network_diagnostics")
    assert data["dns_error"] == "[Errno 2] No such file or directory: 'nslookup'"
    assert "dns_resolution" not in data
    assert data["connectivity"]["google.com"]["reachable"] is True


def test_without_internet_nothing_outside_answers(healthy: Machine) -> None:
    machine = replace(healthy, network=replace(healthy.network, internet=False))
    rows = run(machine, "network_diagnostics", targets=[])["connectivity"].values()
    assert [row["reachable"] for row in rows] == [False, False, False]
