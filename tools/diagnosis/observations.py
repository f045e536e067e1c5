"""Say in one sentence each what a tool's result shows of its subjects, and which states hold of them; by rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.diagnosis.facts import vms_in
from tools.diagnosis.names import quoted, with_quoted_names
from tools.diagnosis.rules.resources import BUSY_PERCENT, FULL_PERCENT
from tools.types import ToolResult

HIGH_PERCENT = 80.0  # "almost full", "high"
OTHER_NAMES = {"libvirtd": ("libvirt",), "NetworkManager": ("network manager",), "sshd": ("ssh",),
               "firewalld": ("firewall",), "chronyd": ("chrony", "time service")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Observation:
    """The state of one subject of a result."""

    names: tuple[str, ...]  # what a sentence calls it; lower case, whole words
    says: str  # one sentence's words, without a capital or a full stop
    states: Mapping[str, bool]  # state of `tools.diagnosis.reading.STATES` -> it holds
    percent: float | None = None  # how much of it is used
    general: bool = True  # it speaks for the whole result; False: only for a sentence that names it
    numbers: tuple[str, ...] = field(default=())  # the release numbers that are true of it


def observations(results: Sequence[ToolResult]) -> list[Observation]:
    """Return what the results show, those that succeeded and whose tools the rules know."""
    return [one for result in results for one in _observed(result)]


def _observed(result: ToolResult) -> list[Observation]:
    reader = _READERS.get(result.tool_name)
    if not result.success or reader is None:
        return []
    try:
        return list(reader(with_quoted_names(result.data)))
    except (KeyError, TypeError, ValueError, AttributeError):  # a tool of one's own with this name and other fields
        return []


def _services(data: dict[str, Any]) -> Iterator[Observation]:
    rows = dict(data["services"])
    present = {name: row for name, row in rows.items() if row.get("loadstate") != "not-found"}
    if len(rows) > 1:
        down = [name for name, row in present.items() if not _is_active(row)]
        failed = [name for name in down if present[name]["status"] == "failed"]
        idle = [name for name in down if name not in failed]
        says = f"{len(present) - len(down)} of {len(present)} installed services run"
        says += f"; {_listed(failed)} failed" if failed else ""
        says += f"; {_listed(idle)} {'does' if len(idle) == 1 else 'do'} not run" if idle else ""
        names = ("services", "service", "daemons", "everything", "all of them")
        yield Observation(names, says, _working(not down) | {"failed": bool(failed)})
    for name, row in rows.items():
        states = _working(_is_active(row)) | {
            "failed": row["status"] == "failed",
            "installed": row.get("loadstate") != "not-found",
        }
        if row["status"] == "timeout":
            states = {}
        names = (name.lower(), *OTHER_NAMES.get(name, ()))
        yield Observation(names, _service_says(name, row), states, general=len(rows) == 1)


def _is_active(row: dict[str, Any]) -> bool:
    return bool(row.get("active", row["status"] == "active"))


def _service_says(name: str, row: dict[str, Any]) -> str:
    if row["status"] == "timeout":
        return f"systemd gave no answer about {name} in time"
    if row.get("loadstate") == "not-found":
        return f"{name} is not installed on this host, so it does not run"
    return {
        "active": f"{name} is running (status {row['status']}, substate {row.get('substate', '')})",
        "failed": f"{name} has failed (status failed)",
        "activating": f"{name} starts again and again (status activating)",
    }.get(row["status"], f"{name} is not running (status {row['status']}, {row.get('loadstate', '')})")


def _resources(data: dict[str, Any]) -> Iterator[Observation]:
    disks = {mount: row for mount, row in data.get("disk", {}).items() if "usage_percent" in row}
    if disks:
        fullest = max(disks, key=lambda mount: disks[mount]["usage_percent"])
        says = _disk_says(fullest, disks[fullest])
        if len(disks) > 1:
            others = (f"{row['usage_percent']:.0f} % of {mount}" for mount, row in disks.items() if mount != fullest)
            says += f" (the fullest file system; also {_listed(list(others))})"
        names = ("disk", "disks", "disk space", "storage", "file system", "file systems", "filesystem", "filesystems",
                 "partition", "partitions", "volume", "volumes", "drive", "drives", "space")  # fmt: skip
        percent = float(disks[fullest]["usage_percent"])
        yield Observation(names, says, _used(percent, FULL_PERCENT), percent)
        for mount, row in disks.items():
            called = {"/": ("root disk", "root file system", "root partition", "root filesystem")}.get(mount)
            last = mount.rpartition("/")[2]
            own = called or (mount.lower(), f"{last} disk", f"{last} file system", f"{last} partition", last)
            percent = float(row["usage_percent"])
            yield Observation(own, _disk_says(mount, row), _used(percent, FULL_PERCENT), percent, general=False)
    if "usage_percent" in data.get("memory", {}):
        memory, percent = data["memory"], float(data["memory"]["usage_percent"])
        says = f"{percent:.0f} % of the memory is used, "
        says += f"{memory['available_gb']:.1f} of {memory['total_gb']:.1f} GB are available"
        yield Observation(("memory", "ram"), says, _used(percent, FULL_PERCENT), percent)
    if "usage_percent" in data.get("cpu", {}):
        cpu, percent = data["cpu"], float(data["cpu"]["usage_percent"])
        load = next(iter(cpu.get("load_average") or []), None)
        says = f"the {cpu['count_logical']} CPUs are {percent:.0f} % busy"
        says += f", with a load of {load:.1f}" if load is not None else ""
        busy = ("cpu", "cpus", "processor", "processors", "cores", "load", "host", "machine", "server", "system")
        yield Observation(busy, says, _used(percent, BUSY_PERCENT), percent)


def _disk_says(mount: str, row: dict[str, Any]) -> str:
    digits = 1 if row["total_gb"] < 10 else 0
    room = f"{row['free_gb']:.{digits}f} of {row['total_gb']:.{digits}f} GB are free"
    return f"{row['usage_percent']:.0f} % of {mount} is used, {room}"


def _used(percent: float, full: float) -> dict[str, bool]:
    return {"full": percent >= full, "high": percent >= HIGH_PERCENT}


def _kvm(data: dict[str, Any]) -> Iterator[Observation]:
    able = bool(data.get("vmx_support") or data.get("svm_support"))
    loaded = bool(data.get("kvm_module_loaded"))
    offer = "offers hardware virtualisation" if able else "shows no hardware virtualisation (neither vmx nor svm)"
    says = f"the KVM module is {'loaded' if loaded else 'not loaded'} and the CPU {offer}"
    names = ("kvm", "kvm module", "kernel module", "module", "virtualization", "virtualisation", "hypervisor", "host")
    yield Observation(names, says, _working(loaded and able) | {"installed": loaded, "enabled": loaded and able})
    cpu = ("vmx", "svm", "vt-x", "amd-v", "cpu", "processor", "hardware virtualization", "hardware virtualisation",
           "nested virtualization", "nested virtualisation")  # fmt: skip
    yield Observation(cpu, f"the CPU {offer}", _working(able) | {"installed": able, "enabled": able}, general=False)
    answers = data.get("libvirt_available") is True
    error = data.get("libvirt_error")
    says = "libvirt answers" if answers else "libvirt does not answer" + (f": {quoted(str(error))}" if error else "")
    states = _working(answers) | {"installed": "No such file" not in str(error)}
    yield Observation(("libvirt", "libvirtd", "virsh"), says, states, general=not answers)
    yield from _machines(str(data.get("vm_list") or ""))


def _machines(table: str) -> Iterator[Observation]:
    machines = vms_in(table)
    if not machines:
        return
    running = [name for name, state in machines if state == "running"]
    rest = [f"{name} is {state}" for name, state in machines if state != "running"]
    says = f"{len(running)} of {len(machines)} virtual machines run" + (f"; {_listed(rest)}" if rest else "")
    names = ("vms", "vm", "virtual machine", "virtual machines", "guests", "domains", "machines")
    yield Observation(names, says, {"any running": bool(running), "all running": not rest}, general=False)
    for name, state in machines:
        states = _working(state == "running") | {"failed": state == "crashed", "paused": state == "paused"}
        yield Observation((name.lower(),), f"{name} is {state}", states, general=False)


def _network(data: dict[str, Any]) -> Iterator[Observation]:
    dns = data.get("dns_resolution", {}).get("working") if "dns_resolution" in data else None
    if dns is None and "timed out" in str(data.get("dns_error")):
        dns = False
    pings = {target: bool(row.get("reachable")) for target, row in data.get("connectivity", {}).items()}
    if pings:
        silent = [target for target, answered in pings.items() if not answered]
        heard = [target for target, answered in pings.items() if answered]
        says = "; ".join(
            part
            for part in (
                f"{_listed(heard)} {'answers' if len(heard) == 1 else 'answer'}" if heard else "",
                f"{_listed(silent)} {'does' if len(silent) == 1 else 'do'} not answer" if silent else "",
            )
            if part
        )
        names = ("network", "internet", "connection", "connectivity", "uplink", "host", "machine", "outside", "online")
        yield Observation(names, says, _working(bool(heard)) | {"healthy": not silent and dns is not False})
        for target, answered in pings.items():
            words = f"{target} {'answers' if answered else 'does not answer'}"
            names = (target.lower(), *re.findall(r"^[a-z][\w-]*(?=\.)", target.lower()))
            yield Observation(names, words, _working(answered), general=False)
    if dns is not None:
        resolver = ("dns", "name resolution", "names", "nameserver", "resolver", "resolve", "lookup", "hostnames")
        says = f"name resolution (DNS) {'works' if dns else 'does not work'}"
        yield Observation(resolver, says, _working(bool(dns)), general=not dns)


def _processes(data: dict[str, Any]) -> Iterator[Observation]:
    busiest = next(iter(data.get("space_adds", {}).get("busiest", [])), None)
    if busiest:
        says = f"the busiest process is {busiest['name']} (PID {busiest['pid']})"
        says += f" with {busiest['cpu_percent']:.0f} % of one CPU"
        yield Observation(("busiest", "process", "processes", "cpu"), says, {})
    else:
        yield Observation(("process", "processes"), "no such process runs", _working(False))
    for name in dict.fromkeys(str(row["name"]) for row in data.get("processes", [])):
        count = sum(row["name"] == name for row in data["processes"])
        says = f"{count} {name} {'process runs' if count == 1 else 'processes run'}"
        names = (name.lower(), *({name.lower().partition("-")[0]} - {"kworker"}))
        yield Observation(names, says, _working(True), general=False)


def _system(data: dict[str, Any]) -> Iterator[Observation]:
    release = re.search(r"\.el(\d+)", str(data.get("release", "")))
    days = float(data.get("uptime_seconds", 0.0)) / 86_400
    kind = f"a RHEL {release[1]} family system" if release else quoted(str(data.get("system", "system")))
    says = f"{data.get('hostname', 'the host')} runs {kind} (kernel {quoted(str(data.get('release', '')))})"
    says += f" and is up for {days:.0f} days"
    names = ("rhel", "host", "system", "machine", "server", "os", "operating system", "el", "rocky", "centos")
    yield Observation(names, says, {"up": True}, numbers=(release[1],) if release else ())
    cpu = data.get("space_adds", {}).get("cpu", {})
    if "is_virtual" in cpu:
        says = "the host is a virtual machine" if cpu["is_virtual"] else "the host is no virtual machine but bare metal"
        yield Observation(("virtual machine", "vm", "virtual"), says, {"itself": cpu["is_virtual"]}, general=False)
        yield Observation(("bare metal", "physical"), says, {"itself": not cpu["is_virtual"]}, general=False)
    if "x86_64_level" in cpu:
        level = int(cpu["x86_64_level"])
        says = f"the CPU has level x86-64-v{level}"
        for wanted in (2, 3, 4):
            own = (f"x86-64-v{wanted}", f"x86_64-v{wanted}", f"v{wanted}")
            yield Observation(own, says, _working(level >= wanted) | {"installed": level >= wanted}, general=False)


def _working(works: bool) -> dict[str, bool]:
    return {"working": works}


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


_READERS: Mapping[str, Callable[[dict[str, Any]], Iterator[Observation]]] = {
    "service_status": _services,
    "resource_usage": _resources,
    "kvm_diagnostics": _kvm,
    "network_diagnostics": _network,
    "process_info": _processes,
    "system_info": _system,
}
