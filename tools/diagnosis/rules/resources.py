"""The rules about disks, memory and CPU time."""

from __future__ import annotations

from tools.diagnosis.facts import Facts, Finding

FULL_PERCENT = 95.0  # of a disk or of memory; what is left holds nothing useful
BUSY_PERCENT = 95.0  # of all CPUs
BUSIEST = "process_info: space_adds.busiest"
AWAKE_PERCENT = 5.0  # kswapd sleeps on a host that does not swap


def disk_full(facts: Facts) -> Finding | None:
    """Find a file system with next to no room, and the virtual machines that paused because of it."""
    full = [name for name, d in facts.items("resource_usage", "disk") if d["usage_percent"] >= FULL_PERCENT]
    if not full:
        return None
    lines = [facts.line("resource_usage", "disk", m, "usage_percent", says="next to no room is left") for m in full]
    paused = [name for name, state in facts.vms() if state == "paused"]
    lines += [f"kvm_diagnostics: vm_list: {name} is paused, as QEMU does on an I/O error" for name in paused]
    harm = f", and {', '.join(paused)} was paused when writing failed" if paused else ""
    resume = tuple(f"$ virsh resume {name}" for name in paused)
    return Finding(
        "disk_full",
        f"The file system {', '.join(full)} is full{harm}.",
        tuple(lines),
        ("Make room or grow the volume, then resume what was paused.", f"$ du -xh {full[0]} | sort -h | tail", *resume),
        0.95 if paused else 0.85,
    )


def memory_exhausted(facts: Facts) -> Finding | None:
    """Find memory that is used up; a busy kswapd, waiting for the disk and a high load show that the host swaps."""
    if not facts.number("resource_usage", "memory", "usage_percent") >= FULL_PERCENT:
        return None
    lines = [facts.line("resource_usage", "memory", "usage_percent", says="no memory is left to give")]
    rows = facts.busiest()
    if any(row["name"] == "kswapd0" and row["cpu_percent"] >= AWAKE_PERCENT for row in rows):
        lines.append(f"{BUSIEST}: kswapd0: the kernel swaps without pause (on a real host: `top -b -n 2 -o %CPU`)")
    if any(row["status"] == "disk-sleep" for row in rows):
        lines.append(
            f"{BUSIEST}: disk-sleep: processes wait for the disk (on a real host: `ps -eo stat,comm | grep ^D`)"
        )
    cpus, load = facts.number("resource_usage", "cpu", "count_logical"), _load(facts)
    if load > cpus:
        lines.append(f"resource_usage: cpu.load_average = {load:.2f}: more than the {cpus:.0f} CPUs can serve")
    machines_gb = sum(row["memory_mb"] for row in rows if row["name"] == "qemu-kvm") / 1024
    if machines_gb:
        where = "on a real host: process_info with filter_name qemu, or `ps -C qemu-kvm -o rss,args`"
        lines.append(f"{BUSIEST}: the qemu-kvm processes hold {machines_gb:.1f} GB together ({where})")
    return Finding(
        "memory_exhausted",
        "Memory is overcommitted: the virtual machines and the host need more than there is, so the host swaps.",
        tuple(lines),
        ("Shut down or shrink a machine, so that all fit.", "$ free -h", "$ virsh shutdown NAME", "$ vmstat 1 5"),
        0.7 + 0.05 * len(lines),
    )


def cpu_saturated(facts: Facts) -> Finding | None:
    """Find CPUs that are all busy while more work waits."""
    cpus = facts.number("resource_usage", "cpu", "count_logical")
    if not (facts.number("resource_usage", "cpu", "usage_percent") >= BUSY_PERCENT and _load(facts) > cpus):
        return None
    lines = (
        facts.line("resource_usage", "cpu", "usage_percent", says="no CPU is left"),
        f"resource_usage: cpu.load_average = {_load(facts):.2f}: more than the {cpus:.0f} CPUs can serve",
    )
    remedy = ("Find the busiest process and limit or move it.", "$ top -o %CPU", "$ virt-top")
    return Finding("cpu_saturated", "All CPUs are busy and work is waiting.", lines, remedy, 0.8)


def _load(facts: Facts) -> float:
    """Return the load of the last minute, 0.0 when it is absent."""
    means = facts.get("resource_usage", "cpu", "load_average")
    return float(means[0]) if means else 0.0
