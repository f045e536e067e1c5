"""Wait for what happens on another thread or in another process, and for no fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 300.0  # nothing here measures time; this only ends a test that would hang


def eventually(check: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Return once the check holds; AssertionError when it never does."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
