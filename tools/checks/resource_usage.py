"""Report CPU, memory, disk and network figures."""

from __future__ import annotations

from typing import Any

from tools.simulation.view import HostView

MEAN_PACKET = 900.0  # bytes
LOAD_STEPS = 2048  # the kernel counts the load in 2048ths, and psutil does not round it
RECLAIMABLE = 0.9  # share of the page cache that the kernel can give back


def resource_usage(host: HostView) -> dict[str, Any]:
    """Show how busy the host is: CPU use and load, memory, disk space of each mount, network traffic and errors."""
    return {"cpu": _cpu(host), "memory": _memory(host), "disk": _disk(host), "network": _network(host)}


def _cpu(host: HostView) -> dict[str, Any]:
    cpu = host.machine.cpu
    swing = max(0.4, 0.2 * cpu.usage_percent)
    cores = [round(host.level(f"cpu{n}", cpu.usage_percent, 2 * swing, most=100.0), 1) for n in range(cpu.logical)]
    # a mean over more minutes wanders less
    means = [host.level(f"load{n}", mean, (0.1 * mean + 0.02) / (n + 1)) for n, mean in enumerate(cpu.load)]
    return {
        "usage_percent": round(host.level("cpu", cpu.usage_percent, swing, most=100.0), 1),
        "count_logical": cpu.logical,
        "count_physical": cpu.physical,
        "load_average": [round(mean * LOAD_STEPS) / LOAD_STEPS for mean in means],
        "per_cpu_usage": cores,
    }


def _memory(host: HostView) -> dict[str, float]:
    memory = host.machine.memory
    used = host.level("memory", memory.used_gb, memory.swing_gb, most=memory.total_gb)
    free = max(0.0, memory.total_gb - used - memory.cached_gb)
    available = min(memory.total_gb, free + RECLAIMABLE * memory.cached_gb)
    return {
        "total_gb": round(memory.total_gb, 2),
        "available_gb": round(available, 2),
        "used_gb": round(memory.total_gb - available, 2),  # as psutil 7.2, which upstream pins
        "usage_percent": round(100.0 * (1 - available / memory.total_gb), 1),
        "free_gb": round(free, 2),
    }


def _disk(host: HostView) -> dict[str, dict[str, Any]]:
    disks: dict[str, dict[str, Any]] = {}
    for disk in host.machine.disks:
        used = host.level(f"disk{disk.mount}", disk.used_gb, disk.swing_gb, most=disk.total_gb)
        disks[disk.mount] = {
            "device": disk.device,
            "fstype": disk.fstype,
            "total_gb": round(disk.total_gb, 2),
            "used_gb": round(used, 2),
            "free_gb": round(disk.total_gb - used, 2),
            "usage_percent": round(100.0 * used / disk.total_gb, 1),
        }
    return disks


def _network(host: HostView) -> dict[str, dict[str, int]]:
    counters: dict[str, dict[str, int]] = {}
    for interface in host.machine.interfaces:
        sent = host.counter(f"{interface.name}/sent", interface.sent_per_s)
        received = host.counter(f"{interface.name}/received", interface.received_per_s)
        counters[interface.name] = {
            "bytes_sent": sent,
            "bytes_recv": received,
            "packets_sent": int(sent / MEAN_PACKET),
            "packets_recv": int(received / MEAN_PACKET),
            "errors_in": interface.errors_in,
            "errors_out": 0,
            "drops_in": interface.drops_in,
            "drops_out": 0,
        }
    return counters
