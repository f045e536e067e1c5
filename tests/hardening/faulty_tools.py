"""The six tools as somebody might break them: the argument `fault` says how. Loaded by the sandbox's worker."""

from __future__ import annotations

import os
import time
from typing import Any

from tools.simulation.view import HostView

BIG = 10 * 2**20


def _break(fault: str) -> dict[str, Any]:
    if fault == "raises":
        raise RuntimeError("the tool broke")
    if fault == "hangs":
        time.sleep(3600)
    if fault == "dies":
        os._exit(3)
    garbage: dict[Any, Any] = {1: object(), "nan": float("nan"), "bytes": b"\xff"}
    return {"too much": "x" * BIG} if fault == "10 MB" else garbage


def system_info(host: HostView, fault: str = "") -> dict[str, Any]:
    """Break."""
    return _break(fault)


def resource_usage(host: HostView, fault: str = "") -> dict[str, Any]:
    """Break."""
    return _break(fault)


def service_status(host: HostView, fault: str = "") -> dict[str, Any]:
    """Break."""
    return _break(fault)


def process_info(host: HostView, fault: str = "") -> dict[str, Any]:
    """Break."""
    return _break(fault)


def kvm_diagnostics(host: HostView, fault: str = "") -> dict[str, Any]:
    """Break."""
    return _break(fault)


def network_diagnostics(host: HostView, fault: str = "") -> dict[str, Any]:
    """Break."""
    return _break(fault)
