"""The Diagnostics tab offers every argument of a tool, whichever tool comes."""

from __future__ import annotations

from typing import Any

from onboarding.ui.tabs.host_look import _value, arguments
from tools.registry import Tool
from tools.simulation.view import HostView


def disk_health(
    host: HostView,
    mounts: list[str] | None = None,
    top_n: int = 5,
    least_gb: float = 0.5,
    brief: bool = False,
    name: str = "",
) -> dict[str, Any]:
    """Report on disks.

    Args:
        host: The simulated host.
        mounts: Where to look.
        top_n: How many.
        least_gb: From which size.
        brief: Without details.
        name: Part of a name.

    """
    return {}


def test_each_argument_has_the_kind_of_its_annotation_and_is_handed_over_as_that() -> None:
    kinds = arguments(Tool.of(disk_health))
    assert kinds == {"mounts": list, "top_n": int, "least_gb": float, "brief": bool, "name": str}
    given = {"mounts": "/, /home", "top_n": 3.0, "least_gb": 0.25, "brief": True, "name": " sda "}
    handed = {name: _value(kinds[name], value) for name, value in given.items()}
    assert handed == {"mounts": ["/", "/home"], "top_n": 3, "least_gb": 0.25, "brief": True, "name": "sda"}
    assert [type(handed[name]) for name in ("top_n", "least_gb", "brief")] == [int, float, bool]
