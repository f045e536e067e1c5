"""Tells whether a model fits the memory that is free, before it is loaded.

llama.cpp maps the weights, so a file that does not fit is no error: each token then reads it from the disk again.
"""

from __future__ import annotations

from pathlib import Path

import psutil

MB = 1_000_000
CGROUP = Path("/sys/fs/cgroup")
CONTEXT_SHARE = 0.5  # KV cells and buffers beside the weights; 0.45 for Granite-4.0-Micro at 8,192 cells
# Where a container's limit, its use and the part of it that the kernel gives back stand: version 2, version 1.
_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def shortage(label: str, weights: int, cgroup: Path = CGROUP) -> str:
    """Return a sentence that says how much memory lacks for `weights` bytes of a model; "" where it fits."""
    needed, free = needed_bytes(weights), free_bytes(cgroup)
    if needed <= free:
        return ""
    return f"{label} needs about {needed / MB:,.0f} MB of memory and {free / MB:,.0f} MB are free."


def needed_bytes(weights: int) -> float:
    """Return the bytes that a model of `weights` bytes, adapters included, needs with its KV cells and buffers."""
    return weights * (1 + CONTEXT_SHARE)


def free_bytes(cgroup: Path = CGROUP) -> int:
    """Return the bytes that can be used without swapping: the machine's, or the container's if those are fewer."""
    return min(psutil.virtual_memory().available, *(_left(cgroup, *files) for files in _FILES))


def _left(cgroup: Path, limit: str, usage: str, stat: str, reclaimable: str) -> int:
    """Return the bytes below the limit; the machine's whole memory where there is none."""
    try:
        most, used = int((cgroup / limit).read_text()), int((cgroup / usage).read_text())
        rows = dict(line.split() for line in (cgroup / stat).read_text().splitlines())
        return max(0, most - used + int(rows.get(reclaimable, 0)))
    except (OSError, ValueError):  # no such version here, or the limit is "max"
        return psutil.virtual_memory().total
