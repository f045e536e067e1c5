"""Sets glibc's allocator for a process that runs for weeks.

By default glibc raises its threshold when the first large block is freed and takes later ones from its heaps, where a
small block behind them keeps megabytes from going back to the system; and it opens up to eight such heaps for each
core. Snapshots of conversations are 5-25 MB each, and every visitor has a thread: resident memory grows for hours to a
multiple of what is in use. With a fixed threshold large blocks are mappings of their own and go back when freed. Each
costs a system call and fresh pages, little beside computing its contents.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

LARGE = 1_000_000  # bytes; a larger block is a mapping of its own
HEAPS = 2  # the interpreter's lock lets one thread at a time allocate; the engine's computing is the other
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h


def give_back_large_blocks() -> None:
    """Fix the threshold and the number of heaps; do nothing without glibc. Call before threads start."""
    with suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)
        libc.mallopt(M_ARENA_MAX, HEAPS)
