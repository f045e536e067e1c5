"""The simulated hosts: valid files, figures that move with the clock, evidence that their tools really show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tools.registry import Registry
from tools.simulation.hosts import DEFAULT_HOST, HOSTS, Host, HostError, get_host, host_named, load_hosts
from tools.simulation.machine import machine_from_json
from tools.simulation.view import HostView

NOW = 1_800_000_000.0
MOMENTS = (NOW, NOW + 1.7, NOW + 86_400 * 17.3, NOW + 86_400 * 400)


@pytest.fixture(scope="module")
def hosts() -> dict[str, Host]:
    return load_hosts()


def test_the_hosts_of_the_demo_are_there_with_the_healthy_one_first(hosts: dict[str, Host]) -> None:
    assert next(iter(hosts)) == DEFAULT_HOST
    assert {
        *("healthy", "libvirtd-down", "modular-daemons", "images-disk-full", "virt-disabled", "dns-broken"),
        *("memory-overcommitted", "cpu-v2", "cpu-v3-abm", "clock-skew", "rhel8"),
    } <= set(hosts)


def test_every_piece_of_evidence_is_what_the_tools_show_whenever_they_are_asked(hosts: dict[str, Host]) -> None:
    registry = Registry.default()
    for host in hosts.values():
        for now in MOMENTS:
            run = registry.run_comprehensive_diagnostics(host.view(now))
            wrong = [(host.id, e.tool, e.field, e.observed(run)) for e in host.evidence if not e.holds(run)]
            assert wrong == []


def test_the_evidence_of_a_broken_host_is_not_found_on_the_healthy_one(hosts: dict[str, Host]) -> None:
    run = Registry.default().run_comprehensive_diagnostics(hosts[DEFAULT_HOST].view(NOW))
    for host in hosts.values():
        if host.kind != "healthy":
            assert not all(evidence.holds(run) for evidence in host.evidence), host.id


def test_no_tool_shows_what_is_hidden(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        shown = json.dumps(Registry.default().run_comprehensive_diagnostics(host.view(NOW)))
        assert host.kind == "healthy" or host.kind not in shown
        assert host.cause not in shown
        assert host.answer not in shown


def test_every_host_tells_a_story_that_can_be_played(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        assert len(host.hints) >= 2, host.id
        assert len(host.decoys) == 3, host.id
        assert len(host.evidence) >= 3, host.id
        assert any(step.commands for step in host.remedy), host.id
        assert host.answer not in {decoy.cause for decoy in host.decoys}
        assert max(len(host.title), len(host.answer)) <= 80, host.id


def test_names_seeds_and_addresses_are_unique(hosts: dict[str, Host]) -> None:
    machines = [host.machine for host in hosts.values()]
    assert len({machine.hostname for machine in machines}) == len(machines)
    assert len({machine.seed for machine in machines}) == len(machines)


def test_the_python_that_runs_the_tools_is_installed_and_one_that_upstreams_can_use(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        system = host.machine.system
        assert system.python in system.pythons, host.id
        assert tuple(map(int, system.python.split("."))) >= (3, 7), host.id  # dataclasses, `capture_output`


def test_virtual_machines_that_run_have_a_process_and_others_have_none(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        alive = sum(vm.state in {"running", "paused"} for vm in host.machine.kvm.vms)
        processes = sum(process.name == "qemu-kvm" for process in host.machine.processes)
        assert processes == alive or host.machine.kvm.virsh != "working", host.id


def test_services_that_run_have_a_process_and_those_that_do_not_have_none(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        running = {process.name for process in host.machine.processes}
        for service in ("libvirtd", "chronyd", "sshd", "firewalld", "NetworkManager"):
            assert (host.machine.services.get(service) == "running") == (service in running), (host.id, service)


def test_processes_fit_into_the_memory_that_is_used(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        assert sum(process.memory_mb for process in host.machine.processes) / 1024 < host.machine.memory.used_gb, (
            host.id
        )


def test_the_same_moment_gives_the_same_figures(hosts: dict[str, Host]) -> None:
    registry = Registry.default()
    first, second = (registry.run_tool("resource_usage", hosts[DEFAULT_HOST].view(NOW)).data for _ in range(2))
    assert first == second


def test_two_calls_a_second_apart_differ_and_counters_never_run_backwards(hosts: dict[str, Host]) -> None:
    registry, host = Registry.default(), hosts[DEFAULT_HOST]
    runs = [registry.run_tool("resource_usage", host.view(NOW + seconds)).data for seconds in range(20)]
    assert len({run["cpu"]["usage_percent"] for run in runs}) > 10
    received = [run["network"]["eno1"]["bytes_recv"] for run in runs]
    assert received == sorted(received)
    assert received[-1] - received[0] == pytest.approx(19 * 410_000, rel=0.6)


def test_two_hosts_do_not_move_together(hosts: dict[str, Host]) -> None:
    machine = hosts[DEFAULT_HOST].machine
    twin = machine_from_json({**json.loads((HOSTS / "healthy.json").read_text())["machine"], "seed": machine.seed + 1})
    assert HostView(machine, NOW).level("cpu", 50, 10) != HostView(twin, NOW).level("cpu", 50, 10)


def test_uptime_stays_believable_however_long_the_app_runs(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        clock = host.machine.clock
        for now in MOMENTS:
            days = host.view(now).uptime_s / 86_400
            assert clock.least_uptime_days <= days <= clock.least_uptime_days + clock.reboot_every_days


def test_the_sandboxs_reader_and_the_validating_one_agree(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        raw = json.loads((HOSTS / f"{host.id}.json").read_text())["machine"]
        registry = Registry.default()
        mine = registry.run_comprehensive_diagnostics(HostView(machine_from_json(raw), NOW))["tool_results"]
        theirs = registry.run_comprehensive_diagnostics(host.view(NOW))["tool_results"]
        assert {name: r["data"] for name, r in mine.items()} == {name: r["data"] for name, r in theirs.items()}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"kind": "healthy"', '"kindness": "healthy"', "kind"),
        ('"virsh": "working"', '"virsh": "wroking"', "machine.kvm.virsh"),
        ('"total_gb": 62.5', '"total_gb": "much"', "machine.memory.total_gb"),
        ('"id": "healthy"', '"id": "hale"', "name the file hale.json"),
        ('"libvirtd": "running"', '"libvirtd": "up"', "machine.services.libvirtd"),
    ],
)
def test_a_wrong_file_is_refused_with_the_field_that_is_wrong(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = (HOSTS / "healthy.json").read_text()
    assert old in text
    (tmp_path / "healthy.json").write_text(text.replace(old, new))
    with pytest.raises(HostError, match=words):
        load_hosts(tmp_path)


def test_a_new_file_is_a_new_host(tmp_path: Path) -> None:
    shutil.copy(HOSTS / "healthy.json", tmp_path / "healthy.json")
    text = (HOSTS / "rhel8.json").read_text().replace('"id": "rhel8"', '"id": "mine"')
    (tmp_path / "mine.json").write_text(text)
    assert list(load_hosts(tmp_path)) == ["healthy", "mine"]


def test_an_empty_folder_and_an_unknown_host_say_what_to_do(tmp_path: Path, hosts: dict[str, Host]) -> None:
    with pytest.raises(HostError, match=r"at least one \*\.json"):
        load_hosts(tmp_path)
    with pytest.raises(HostError, match="choose one of: healthy, "):
        get_host(hosts, "prod")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("and on libvirtd-down?", "libvirtd-down"),
        ("is sshd up on the host cpu-v3-abm", "cpu-v3-abm"),
        ("does the healthy host have room", "healthy"),
        ("is it healthy", None),
        ("why does my-libvirtd-down-alert fire", None),
    ],
)
def test_a_message_names_a_host_by_its_id(text: str, host: str | None) -> None:
    assert host_named(text, load_hosts()) == host
