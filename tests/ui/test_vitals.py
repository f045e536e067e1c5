"""The drawing of a host: panels from a run, charts from the minutes before, and readable proofs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from onboarding.tours.fault_round import proofs
from onboarding.ui.tabs import charts
from onboarding.ui.tabs.vitals import Past, vitals_html
from tools.registry import Registry
from tools.sandbox.sandbox import Sandbox
from tools.simulation.hosts import Host, load_hosts
from tools.types import Report, ToolResult

NOW = 1_800_000_000.0
STEP_S = 25.0


@pytest.fixture(scope="module")
def hosts() -> dict[str, Host]:
    return load_hosts()


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(clock=lambda: NOW) as box:
        yield box


def run(host: Host) -> Report:
    return Registry.default().run_comprehensive_diagnostics(host.view(NOW))


def panel(html: str, title: str) -> str:
    found = re.search(rf"<section class=\"panel\"><h3>{title}</h3>(.*?)</section>", html, re.DOTALL)
    assert found, title
    return found[1]


def usage(second: int, received: int) -> ToolResult:
    network = {"eno1": {"bytes_recv": received, "bytes_sent": 0}}
    data = {"cpu": {"usage_percent": float(second)}, "memory": {"usage_percent": 50.0}, "network": network}
    return ToolResult("resource_usage", True, data)


@pytest.mark.parametrize(
    ("host", "title", "words"),
    [
        ("clock-skew", "Host", "days behind"),
        ("healthy", "Host", "right"),
        ("cpu-v2", "Host", "x86-64-v2"),
        ("cpu-v2", "Host", "On a real host: lscpu"),
        ("healthy", "Busiest processes", "On a real host: top"),
        ("rhel8", "Host", "Enterprise Linux 8"),
        ("virt-disabled", "Virtualisation", "absent"),
        ("libvirtd-down", "Services", "failed (failed)"),
        ("memory-overcommitted", "Busiest processes", "waits for the disk"),
        ("dns-broken", "Network", "do not resolve"),
        ("rhel8", "Network", "not tried: No such file or directory: &#39;nslookup&#39;"),
        ("images-disk-full", "Disks", "/var/lib/libvirt/images"),
    ],
)
def test_what_is_wrong_stands_in_its_panel(hosts: dict[str, Host], host: str, title: str, words: str) -> None:
    assert words in panel(vitals_html(run(hosts[host])), title)


def test_every_host_fills_nine_panels_and_says_that_it_is_simulated(hosts: dict[str, Host]) -> None:
    for host in hosts.values():
        html = vitals_html(run(host))
        assert html.count('<section class="panel">') == 9
        assert ">Simulated</span> " + host.machine.hostname in html


def test_a_tool_that_failed_shows_its_error_and_the_others_their_figures(hosts: dict[str, Host]) -> None:
    broken = run(hosts["healthy"])
    broken["tool_results"]["kvm_diagnostics"] = ToolResult("kvm_diagnostics", False, {}, "<b>gone</b>").to_dict()
    del broken["tool_results"]["process_info"]
    html = vitals_html(broken)
    assert "gave no data: &lt;b&gt;gone&lt;/b&gt;" in panel(html, "Virtualisation")
    assert "it was not run" in panel(html, "Busiest processes")
    assert "vmx" not in panel(html, "Virtualisation")
    assert "GiB" in panel(html, "Memory")


def test_a_service_that_timed_out_is_shown_as_such(hosts: dict[str, Host]) -> None:
    late = run(hosts["healthy"])
    late["tool_results"]["service_status"]["data"]["services"]["sshd"] = {
        "status": "timeout",
        "active": False,
        "error": "Command timeout",
    }
    assert "Command timeout" in panel(vitals_html(late), "Services")


def test_traffic_is_what_the_counters_grew_by() -> None:
    past = Past.of([usage(0, 0), usage(1, 250_000 * 25), usage(2, 375_000 * 25)], STEP_S)
    assert past.traffic == {"eno1": ((2.0, 0.0), (1.0, 0.0))}
    assert (past.cpu, past.memory) == ((0.0, 1.0, 2.0), (50.0, 50.0, 50.0))


def test_without_two_good_results_there_is_no_past() -> None:
    assert Past.of([usage(0, 0), ToolResult("resource_usage", False, {}, "lost")], STEP_S) == Past()
    assert charts.line([5.0], 100.0, 10, "%") == ""


def test_the_past_of_a_host_moves_and_ends_in_the_present(box: Sandbox, hosts: dict[str, Host]) -> None:
    results = box.look_back("resource_usage", "healthy", range(600, -1, -25))
    past = Past.of(results, STEP_S)
    assert past.minutes == 10
    assert len(set(past.cpu)) > 10
    assert results[-1].data == run(hosts["healthy"])["tool_results"]["resource_usage"]["data"]
    assert results[0].timestamp == NOW - 600
    html = vitals_html(run(hosts["healthy"]), past)
    assert "Mbit/s" in panel(html, "Traffic")
    assert "last 10 minutes" in panel(html, "Processor")


def test_a_line_is_drawn_to_scale_and_said_in_words() -> None:
    html = charts.line([0.0, 50.0, 100.0], 100.0, 10, "%")
    assert 'points="0.0,40.0 100.0,20.0 200.0,0.0"' in html
    assert 'aria-label="0 to 100 %, last 10 minutes"' in html


def test_a_long_value_is_shown_where_it_proves_something(hosts: dict[str, Host]) -> None:
    host = hosts["images-disk-full"]
    shown = {proof.where: proof.observed for proof in proofs(host, run(host))}
    assert "sno-ocp4 paused" in shown["kvm_diagnostics: vm_list"]
    for host in hosts.values():
        assert all(len(proof.observed) <= 64 for proof in proofs(host, run(host)))
