"""Report running processes."""

from __future__ import annotations

from itertools import chain, count, islice
from typing import Any

from tools.simulation.machine import Machine, Process
from tools.simulation.view import HostView

MIB_PER_GIB = 1024
NOTE = (
    "`busiest` is this Space's own: upstream's first call in a process shows 0.0 % for all, in the order of PIDs. "
    "On a real host: top -b -n 2 -o %CPU"
)
BUSIEST = 10
KERNEL_THREADS = ("kthreadd", "pool_workqueue_release", "kworker/R-rcu_gp", "kworker/R-netns", "rcu_preempt", "kswapd0")
OF_EACH_CPU = ("cpuhp/{}", "migration/{}", "ksoftirqd/{}", "kworker/{}:0H-events_highpri")


def process_info(host: HostView, filter_name: str | None = None, top_n: int = 10) -> dict[str, Any]:
    """List running processes with their CPU and memory use, the busiest first.

    Args:
        host: The simulated host to look at.
        filter_name: Show every process whose name contains this text, in upper or lower case, such as qemu.
        top_n: How many processes to show when no name is given.

    """
    found = [process for process in _processes(host.machine) if (filter_name or "").lower() in process.name.lower()]
    # as upstream: a filter shows every match and ignores `top_n`, and the number is that of the processes shown
    shown = [_row(host, process) for process in (found if filter_name else found[:top_n])]
    busy = [_row(host, process) | {"cpu_percent": _cpu_percent(host, process)} for process in found]
    busy.sort(key=lambda row: row["cpu_percent"], reverse=True)
    return {
        "total_processes": host.machine.process_count,
        "filtered_processes": len(shown),
        "space_adds": {"note": NOTE, "busiest": busy[:BUSIEST]},
        "processes": shown,
    }


def _processes(machine: Machine) -> list[Process]:
    """Return the processes in the order of PIDs: those of the host's file, and idle kernel threads for the others."""
    listed = {process.name for process in machine.processes}
    few = (name for name in KERNEL_THREADS if name not in listed)
    each = (name.format(cpu) for cpu in range(machine.cpu.logical) for name in OF_EACH_CPU)
    names = chain(few, each, (f"kworker/u{machine.cpu.logical}:{n}-events_unbound" for n in count()))
    taken = {process.pid for process in machine.processes}
    pids = (pid for pid in count(2) if pid not in taken)
    others = islice(zip(pids, names, strict=False), machine.process_count - len(machine.processes))
    threads = [Process(pid, name, 0.0, 0.0, 0.0, "idle" if "kworker" in name else "sleeping") for pid, name in others]
    return sorted([*machine.processes, *threads], key=lambda process: process.pid)


def _cpu_percent(host: HostView, process: Process) -> float:
    return round(host.level(f"process{process.pid}", process.cpu_percent, 0.3 * process.cpu_percent), 1)


def _row(host: HostView, process: Process) -> dict[str, Any]:
    memory_mb = host.level(f"process{process.pid}/memory", process.memory_mb, 0.002 * process.memory_mb)
    create_time = round(host.boot_time + process.started_s, 2)
    return {
        "pid": process.pid,
        "name": process.name,
        "cpu_percent": 0.0,
        "memory_percent": 100 * memory_mb / (host.machine.memory.total_gb * MIB_PER_GIB),
        "status": process.status,
        "create_time": create_time,
        "memory_mb": round(memory_mb, 2),
        "uptime_seconds": host.clock - create_time,
    }
