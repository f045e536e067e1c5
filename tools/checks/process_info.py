"""Report running processes."""

from __future__ import annotations

from typing import Any

from tools.simulation.machine import Process
from tools.simulation.view import HostView

MIB_PER_GIB = 1024


def process_info(host: HostView, filter_name: str | None = None, top_n: int = 10) -> dict[str, Any]:
    """List running processes with their CPU and memory use, the busiest first.

    Args:
        host: The simulated host to look at.
        filter_name: Show every process whose name contains this text, in upper or lower case, such as qemu.
        top_n: How many processes to show when no name is given.

    """
    rows = [_row(host, process) for process in host.machine.processes]
    if filter_name:
        rows = [row for row in rows if filter_name.lower() in row["name"].lower()]
    found = len(rows) if filter_name else host.machine.process_count
    rows.sort(key=lambda row: row["cpu_percent"], reverse=True)
    # as upstream: a filter shows every match and ignores `top_n`
    shown = rows if filter_name else rows[:top_n]
    return {"total_processes": host.machine.process_count, "filtered_processes": found, "processes": shown}


def _row(host: HostView, process: Process) -> dict[str, Any]:
    key = f"process{process.pid}"
    memory_mb = host.level(f"{key}/memory", process.memory_mb, 0.002 * process.memory_mb)
    return {
        "pid": process.pid,
        "name": process.name,
        "cpu_percent": round(host.level(key, process.cpu_percent, 0.3 * process.cpu_percent), 1),
        "memory_percent": round(100 * memory_mb / (host.machine.memory.total_gb * MIB_PER_GIB), 2),
        "status": process.status,
        "create_time": round(host.boot_time + process.started_s, 2),
        "memory_mb": round(memory_mb, 1),
        "uptime_seconds": round(host.uptime_s - process.started_s, 1),
    }
