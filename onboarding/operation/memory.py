"""glibc's allocator, set for a process that runs for weeks.

Left to itself, glibc learns from the first large block that is freed to take later ones from its heaps, where a small
block behind them keeps megabytes from going back; and it opens up to eight such heaps for each core. Snapshots of
conversations are 5-25 MB each, and every visitor has a thread: resident memory grows for hours to a multiple of what is
in use. With a fixed threshold large blocks are mappings of their own, gone when freed. Costs a system call and fresh
pages for each, which is nothing beside computing what they hold.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

LARGE = 1_000_000  # bytes; what is larger is a mapping of its own
HEAPS = 2  # the interpreter's lock lets one thread at a time allocate; the engine's computing is the other
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h


def give_back_large_blocks() -> None:
    """Set glibc's allocator so; nothing happens where there is another one. Call it before threads start."""
    with suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)
        libc.mallopt(M_ARENA_MAX, HEAPS)
