"""Draws a host's vital signs from a run of every tool and from the host's use of resources in the minutes before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from onboarding.ui.kit.markup import fill, join
from onboarding.ui.tabs import charts
from tools.types import Report, ToolResult

LINK_LOCAL = re.compile(r"fe80:|(..:){5}..$")  # addresses within the wire: those of IPv6, and of the hardware
DAY_S = 86_400
CLOCK_S = 60.0  # a clock that is further off counts as wrong
BUSIEST = 5  # processes shown
MEGABIT = 125_000  # bytes
SIGNS = {"yes": "✓", "no": "✗", "idle": "–", "fact": ""}
STATES = {"active": "yes", "running": "yes", "inactive": "idle", "shut off": "idle"}  # of units and domains

_Row = tuple[str, str, str]  # name, value, mark: "yes", "no", "idle", or "fact" for a value that is not judged


@dataclass(frozen=True, slots=True)
class Past:
    """The figures of the minutes before a run, oldest first."""

    minutes: int = 0
    cpu: tuple[float, ...] = ()  # per cent
    memory: tuple[float, ...] = ()  # per cent
    traffic: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)  # received, sent; Mbit/s

    @classmethod
    def of(cls, results: Sequence[ToolResult], step_s: float) -> Past:
        """Return the past from results of resource_usage that lie `step_s` apart, oldest first."""
        good = [result.data for result in results if result.success]
        if len(good) < 2:
            return cls()
        cpu, memory = ([data[group]["usage_percent"] for data in good] for group in ("cpu", "memory"))
        traffic = {name: _rates([data["network"][name] for data in good], step_s) for name in good[-1]["network"]}
        return cls(round((len(good) - 1) * step_s / 60), tuple(cpu), tuple(memory), traffic)


def _rates(counters: Sequence[Mapping[str, int]], step_s: float) -> tuple[tuple[float, float], ...]:
    per_step = 1 / (step_s * MEGABIT)
    return tuple(
        ((new["bytes_recv"] - old["bytes_recv"]) * per_step, (new["bytes_sent"] - old["bytes_sent"]) * per_step)
        for old, new in pairwise(counters)
    )


def vitals_html(run: Report, past: Past = Past()) -> str:
    """Return all panels; a tool that failed shows its error in its panel's place."""
    panels = [
        _panel(run, "system_info", "Host", lambda data: _host(data, run)),
        _panel(run, "resource_usage", "Processor", lambda data: _processor(data["cpu"], past)),
        _panel(run, "resource_usage", "Memory", lambda data: _memory(data["memory"], past)),
        _panel(run, "resource_usage", "Disks", _disks),
        _panel(run, "kvm_diagnostics", "Virtualisation", _virtualisation),
        _panel(run, "service_status", "Services", _services),
        _panel(run, "network_diagnostics", "Network", _network),
        _panel(run, "resource_usage", "Traffic", lambda data: _traffic(data["network"], past)),
        _panel(run, "process_info", "Busiest processes", _processes),
    ]
    name = (run["tool_results"].get("system_info", {}).get("data") or {}).get("hostname", "")
    heading = fill('<p class="vitals-head"><span class="badge">Simulated</span> {}</p>', name)
    return fill('{}<div class="vitals">{}</div>', heading, join(panels))


def _panel(run: Report, tool: str, title: str, draw: Callable[[Mapping[str, Any]], Markup]) -> Markup:
    result = run["tool_results"].get(tool) or {"success": False, "error": "it was not run"}
    body = (
        draw(result["data"])
        if result["success"]
        else fill('<p class="bad">{} gave no data: {}</p>', tool, result["error"])
    )
    return fill('<section class="panel"><h3>{}</h3>{}</section>', title, body)


def _host(data: Mapping[str, Any], run: Report) -> Markup:
    release = str(data["release"])
    family = re.search(r"\.el(\d+)", release)
    off = float(run["tool_results"]["system_info"]["timestamp"]) - float(run["space_adds"]["true_time"])
    wrong = f"{abs(off) / DAY_S:.1f} days {'behind' if off < 0 else 'ahead'}"
    cpu = data["space_adds"]["cpu"]
    rows: list[_Row] = [
        ("System", f"Enterprise Linux {family[1]}" if family else str(data["system"]), "fact"),
        ("Kernel", release.removesuffix(".x86_64"), "fact"),
        ("Processor", str(cpu["model"]).replace("(R)", "").replace("CPU ", ""), "fact"),
        ("Level", f"x86-64-v{cpu['x86_64_level']}" + (", virtual" if cpu["is_virtual"] else ""), "fact"),
        ("Python", str(data["python_version"]), "fact"),
        ("Up", f"{float(data['uptime_seconds']) / DAY_S:.1f} days", "fact"),
        ("Clock", wrong if abs(off) > CLOCK_S else "right", _mark(abs(off) <= CLOCK_S)),
    ]
    return join([_table(rows), _note(data), _note(run)])


def _processor(cpu: Mapping[str, Any], past: Past) -> Markup:
    load = ", ".join(f"{value:.2f}" for value in cpu["load_average"])
    said = fill('<p class="small">{} threads, load {}</p>', cpu["count_logical"], load)
    over_time = charts.line(past.cpu, 100.0, past.minutes, "%")
    return join([charts.meter("in use", cpu["usage_percent"]), over_time, charts.bars(cpu["per_cpu_usage"]), said])


def _memory(memory: Mapping[str, Any], past: Past) -> Markup:
    note = f"{memory['used_gb']:.1f} of {memory['total_gb']:.1f} GiB, {memory['available_gb']:.1f} available"
    return charts.meter("in use", memory["usage_percent"], note) + charts.line(past.memory, 100.0, past.minutes, "%")


def _disks(data: Mapping[str, Any]) -> Markup:
    return join(
        charts.meter(mount, disk["usage_percent"], f"{disk['free_gb']:.1f} of {disk['total_gb']:.0f} GiB free")
        if "usage_percent" in disk
        else fill('<p class="bad">{}: {}</p>', mount, disk.get("error", "no data"))
        for mount, disk in data["disk"].items()
    )


def _traffic(network: Mapping[str, Any], past: Past) -> Markup:
    """Return the traffic received over the last minutes, by interface, without the loopback and idle interfaces."""
    drawn = []
    for name, rates in past.traffic.items():
        received = [rate for rate, _sent in rates]
        if name != "lo" and max(received, default=0.0) > 0:
            now = fill("{:.3g} in, {:.3g} out", *rates[-1])
            drawn.append(fill('<p class="small span"><span>{}</span><span>{} Mbit/s</span></p>', name, now))
            drawn.append(charts.line(received, 1.1 * max(received), past.minutes, "Mbit/s in"))
    bad = {name: item["errors_in"] + item["drops_in"] for name, item in network.items()}
    lost = ", ".join(f"{name} {count}" for name, count in bad.items() if count)
    return join([*drawn, fill('<p class="small">errors and drops: {}</p>', lost or "none")])


def _processes(data: Mapping[str, Any]) -> Markup:
    rows: list[_Row] = [
        (
            f"{item['name']} {item['pid']}",
            f"{item['cpu_percent']:.0f} %, {item['memory_mb'] / 1024:.1f} GiB"
            + (", waits for the disk" if item["status"] == "disk-sleep" else ""),
            "no" if item["status"] == "disk-sleep" else "fact",
        )
        for item in data["space_adds"]["busiest"][:BUSIEST]
    ]
    number = fill('<p class="small">{} processes in all</p>', data["total_processes"])
    return join([_table(rows), number, _note(data)])


def _virtualisation(data: Mapping[str, Any]) -> Markup:
    flag = "vmx" if data.get("vmx_support") else "svm" if data.get("svm_support") else "none"
    module, libvirt = bool(data.get("kvm_module_loaded")), bool(data.get("libvirt_available"))
    rows: list[_Row] = [
        ("Processor flag", flag, _mark(flag != "none")),
        ("kvm module", "loaded" if module else "absent", _mark(module)),
        ("libvirt", "answers" if libvirt else "does not answer", _mark(libvirt)),
    ]
    machines = _machines(str(data.get("vm_list", "")))
    return _table([*rows, *((name, state, STATES.get(state, "no")) for name, state in machines)])


def _machines(listing: str) -> Iterator[tuple[str, str]]:
    """Yield name and state of each machine that `virsh list --all` printed."""
    for row in listing.splitlines()[2:]:
        words = row.split(None, 2)
        if len(words) == 3:
            yield words[1], words[2].strip()


def _services(data: Mapping[str, Any]) -> Markup:
    return _table(
        [
            (name, f"{item.get('activestate', '')} ({item.get('substate', '')})", STATES.get(item["activestate"], "no"))
            if "activestate" in item
            else (name, str(item.get("error", item.get("status", "unknown"))), "no")
            for name, item in data["services"].items()
            if item.get("loadstate") != "not-found"
        ]
    )


def _network(data: Mapping[str, Any]) -> Markup:
    rows: list[_Row] = []
    for name, addresses in data["interfaces"].items():
        shown = ", ".join(a["address"] for a in addresses if not LINK_LOCAL.match(a["address"]))
        rows.append((name, shown or "no address", "fact" if shown else "idle"))
    for target, item in data["connectivity"].items():
        answers = bool(item.get("reachable"))
        rows.append((f"ping {target}", "answers" if answers else "no answer", _mark(answers)))
    return _table([*rows, _names(data)])


def _names(data: Mapping[str, Any]) -> _Row:
    """Return the row on name resolution; without nslookup it says that nothing was tried."""
    if "timed out" in str(data.get("dns_error")):
        return ("Names", "do not resolve: no nameserver answers", "no")
    if "dns_resolution" not in data:
        return ("Names", "not tried: " + str(data.get("dns_error", "no data")).rpartition("] ")[2], "idle")
    works = bool(data["dns_resolution"].get("working"))
    return ("Names", "resolve" if works else "do not resolve", _mark(works))


def _note(data: Mapping[str, Any]) -> Markup:
    """Return what is said of the figures that upstream's tools lack."""
    return fill('<p class="small">{}</p>', data["space_adds"]["note"])


def _mark(fine: bool) -> str:
    return "yes" if fine else "no"


def _table(rows: Sequence[_Row]) -> Markup:
    row = '<tr class="{}"><th scope="row">{}</th><td>{}{}</td></tr>'
    sign = {mark: fill('<span aria-hidden="true">{}</span> ', text) if text else "" for mark, text in SIGNS.items()}
    return fill('<table class="facts"><tbody>{}</tbody></table>', join(fill(row, m, n, sign[m], s) for n, s, m in rows))
