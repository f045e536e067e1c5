"""A host's vital signs at a glance, drawn from a comprehensive run: meters, bars, a service table, interfaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from onboarding.ui.markup import fill, join
from tools.registry import Report

WARN_FROM, BAD_FROM = 80.0, 92.0  # per cent in use
BAR_WIDTH, BAR_GAP, BAR_HEIGHT = 9, 3, 44  # of the drawing of the processors, in its own units
DAY_S = 86_400
SIGNS = {"yes": "✓", "no": "✗", "idle": "–"}
STATES = {"active": "yes", "running": "yes", "inactive": "idle", "shut off": "idle"}  # of units and domains


def vitals_html(run: Report) -> str:
    """All panels; a tool that failed shows its error in its panel's place."""
    panels = [
        _panel(run, "resource_usage", "Processor", _processor),
        _panel(run, "resource_usage", "Memory", _memory),
        _panel(run, "resource_usage", "Disks", _disks),
        _panel(run, "kvm_diagnostics", "Virtualisation", _virtualisation),
        _panel(run, "service_status", "Services", _services),
        _panel(run, "network_diagnostics", "Network", _network),
    ]
    return fill('{}<div class="vitals">{}</div>', _heading(run), join(panels))


def _heading(run: Report) -> Markup:
    data = run["tool_results"].get("system_info", {}).get("data") or {}
    days = float(data.get("uptime_seconds", 0)) / DAY_S
    facts = [str(data.get("hostname", "")), str(data.get("release", "")), f"up {days:.1f} days" if days else ""]
    return fill(
        '<p class="vitals-head"><span class="badge">Simulated</span> {}</p>', " · ".join(fact for fact in facts if fact)
    )


def _panel(run: Report, tool: str, title: str, draw: Any) -> Markup:
    result = run["tool_results"].get(tool) or {"success": False, "error": "it was not run"}
    body = (
        draw(result["data"])
        if result["success"]
        else fill('<p class="bad">{} gave no data: {}</p>', tool, result["error"])
    )
    return fill('<section class="panel"><h3>{}</h3>{}</section>', title, body)


def _processor(data: Mapping[str, Any]) -> Markup:
    cpu = data["cpu"]
    load = ", ".join(f"{value:.2f}" for value in cpu["load_average"])
    said = fill('<p class="small">{} threads, load {}</p>', cpu["count_logical"], load)
    return join([_meter("in use", cpu["usage_percent"]), _bars(cpu["per_cpu_usage"]), said])


def _bars(percents: list[float]) -> Markup:
    """One bar a thread."""
    width = len(percents) * (BAR_WIDTH + BAR_GAP)
    bars = join(
        fill(
            '<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}" rx="1" class="{}"/>',
            at * (BAR_WIDTH + BAR_GAP),
            BAR_HEIGHT - max(1.0, value / 100 * BAR_HEIGHT),
            BAR_WIDTH,
            max(1.0, value / 100 * BAR_HEIGHT),
            _level(value),
        )
        for at, value in enumerate(percents)
    )
    busiest = max(percents, default=0.0)
    return fill(
        '<svg class="bars" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{} threads, the '
        'busiest at {:.0f} per cent">{}</svg>',
        width,
        BAR_HEIGHT,
        len(percents),
        busiest,
        bars,
    )


def _memory(data: Mapping[str, Any]) -> Markup:
    memory = data["memory"]
    note = f"{memory['used_gb']:.1f} of {memory['total_gb']:.1f} GiB, {memory['available_gb']:.1f} available"
    return _meter("in use", memory["usage_percent"], note)


def _disks(data: Mapping[str, Any]) -> Markup:
    return join(
        _meter(mount, disk["usage_percent"], f"{disk['free_gb']:.1f} of {disk['total_gb']:.0f} GiB free")
        if "usage_percent" in disk
        else fill('<p class="bad">{}: {}</p>', mount, disk.get("error", "no data"))
        for mount, disk in data["disk"].items()
    )


def _meter(name: str, percent: float, note: str = "") -> Markup:
    return fill(
        '<div class="meter {}"><span class="name">{}</span><span class="value">{:.0f} %</span>'
        '<div class="track" role="meter" aria-label="{}" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{:.0f}">'
        '<span style="width:{:.0f}%"></span></div>{}</div>',
        _level(percent),
        name,
        percent,
        name,
        percent,
        min(100.0, max(0.0, percent)),
        fill('<span class="small">{}</span>', note) if note else "",
    )


def _level(percent: float) -> str:
    return "bad" if percent >= BAD_FROM else "warn" if percent >= WARN_FROM else "good"


def _virtualisation(data: Mapping[str, Any]) -> Markup:
    flag = "vmx" if data.get("vmx_support") else "svm" if data.get("svm_support") else "none"
    module, libvirt = bool(data.get("kvm_module_loaded")), bool(data.get("libvirt_available"))
    rows = [
        ("Processor flag", flag, _mark(flag != "none")),
        ("kvm module", "loaded" if module else "absent", _mark(module)),
        ("libvirt", "answers" if libvirt else "does not answer", _mark(libvirt)),
    ]
    machines = _machines(str(data.get("vm_list", "")))
    return _table(("", "State"), [*rows, *((name, state, STATES.get(state, "no")) for name, state in machines)])


def _machines(listing: str) -> Iterator[tuple[str, str]]:
    """Names and states from `virsh list --all`."""
    for line in listing.splitlines()[2:]:
        words = line.split(None, 2)
        if len(words) == 3:
            yield words[1], words[2].strip()


def _services(data: Mapping[str, Any]) -> Markup:
    rows = [
        (name, f"{item.get('activestate', '')} ({item.get('substate', '')})", STATES.get(item.get("activestate"), "no"))
        for name, item in data["services"].items()
        if item.get("loadstate") != "not-found"
    ]
    return _table(("Unit", "State"), rows)


def _network(data: Mapping[str, Any]) -> Markup:
    rows = []
    for name, addresses in data["interfaces"].items():
        shown = ", ".join(a["address"] for a in addresses if a["family"] in ("AF_INET", "AF_INET6"))
        rows.append((name, shown or "no address", "yes" if shown else "idle"))
    for target, item in data["connectivity"].items():
        answers = bool(item.get("reachable"))
        rows.append((f"ping {target}", "answers" if answers else "no answer", _mark(answers)))
    works = bool(data.get("dns_resolution", {}).get("working"))
    rows.append(("Names", "resolve" if works else "do not resolve", _mark(works)))
    return _table(("", "State"), rows)


def _mark(fine: bool) -> str:
    return "yes" if fine else "no"


def _table(head: tuple[str, str], rows: list[tuple[str, str, str]]) -> Markup:
    """Rows of name, state and mark ("yes", "no" or "idle")."""
    row = '<tr class="{}"><td>{}</td><td><span aria-hidden="true">{}</span> {}</td></tr>'
    body = join(fill(row, mark, name, SIGNS[mark], state) for name, state, mark in rows)
    titles = fill("<thead><tr><th>{}</th><th>{}</th></tr></thead>", *head) if head[0] else ""
    return fill('<table class="facts">{}<tbody>{}</tbody></table>', titles, body)
