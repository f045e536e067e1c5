"""Run simulated tools in a worker process without rights.

`from tools.sandbox import Sandbox` gives the parent's side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.sandbox.sandbox import Sandbox

__all__ = ["Sandbox"]


def __getattr__(name: str) -> Any:
    # Imports on first use: the worker imports this package too and must load as little as it can.
    if name in __all__:
        from tools.sandbox import sandbox

        return getattr(sandbox, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
