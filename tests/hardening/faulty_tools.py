"""A tool as somebody might break it: the argument `fault` says how. Loaded by a worker of the sandbox."""

from __future__ import annotations

import os
import time
from typing import Any

from tools.simulation.view import HostView

BIG = 10 * 2**20


def broken_tool(host: HostView, fault: str = "") -> dict[str, Any]:
    """Break."""
    if fault == "raises":
        raise RuntimeError("the tool broke")
    if fault == "hangs":
        time.sleep(3600)
    if fault == "dies":
        os._exit(3)
    garbage: dict[Any, Any] = {1: object(), "nan": float("nan"), "bytes": b"\xff"}
    return {"too much": "x" * BIG} if fault == "10 MB" else garbage
