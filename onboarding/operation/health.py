"""What /healthz and /readyz answer: whether the page can serve, what is broken, and when a restart would help.

"ok" and "starting" need nothing. "degraded": something failed, and the page serves without it; a restart would not
mend it, so the answer stays 200. "dead": an engine that answered once has ended or hangs; only a restart helps, 503.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

HANG_S = 300.0  # without a step of the engine; the longest, 512 prompt tokens, takes ~35 s on two free cores

State = Literal["ok", "starting", "degraded", "dead"]


@dataclass(frozen=True, slots=True)
class Health:
    """One look at the process."""

    state: State
    parts: dict[str, str]  # part -> "ready", "loading", "failed: ...", beside the parts what keeps usage and the like
    ready: bool  # every part answers

    @property
    def status_code(self) -> int:
        """Of /healthz."""
        return 503 if self.state == "dead" else 200


def health(parts: Mapping[str, str], silent_s: float, troubles: Mapping[str, str]) -> Health:
    """Judge what is known.

    parts: what must load before all is well. silent_s: since an engine with work last showed life, infinite when one
    has ended. troubles: further parts that do their work in the background -> what is wrong with them, "" for nothing.
    """
    shown = {**parts, **{name: f"failed: {text}" if text else "ready" for name, text in troubles.items()}}
    ready = all(state == "ready" for state in parts.values())
    if silent_s > HANG_S:
        return Health("dead", {**shown, "model": "failed: the engine has stopped"}, ready=False)
    if any(state.startswith("failed") for state in shown.values()):
        return Health("degraded", shown, ready)
    return Health("ok" if ready else "starting", shown, ready)
