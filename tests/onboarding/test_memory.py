"""The allocator gives freed memory back to the system."""

from __future__ import annotations

import subprocess
import sys

# Blocks as large as snapshots come and go; each time a small one that stays is allocated behind a large one.
SNAPSHOTS = """
import sys
import psutil
from onboarding.operation.memory import give_back_large_blocks
if "set" in sys.argv:
    give_back_large_blocks()
small = []
for _ in range(3):
    large = []
    for _ in range(20):
        large.append(bytes(b"x") * 8_000_000)
        small.append(bytes(b"y") * 100_000)
    before = psutil.Process().memory_info().rss
    del large
print((before - psutil.Process().memory_info().rss) // 1_000_000)
"""


def given_back(*arguments: str) -> int:
    """Return the megabytes given back, of 160."""
    done = subprocess.run([sys.executable, "-c", SNAPSHOTS, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_what_snapshots_took_is_given_back_as_soon_as_they_are_dropped() -> None:
    assert given_back("set") > 150
