"""Compute answers: the engine's protocol, and engines over llama.cpp, over a server, and over a script.

`from model.engine import LocalEngine` gives the engine over a GGUF file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.engine.local import EngineOptions, LocalEngine

__all__ = ["EngineOptions", "LocalEngine"]


def __getattr__(name: str) -> Any:
    # Import on first use: a caller that needs the protocol or an event must not load llama.cpp.
    if name in __all__:
        from model.engine import local

        return getattr(local, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
