"""Judges whether the page can serve, what is broken and whether a restart would help; serves that for probes.

"ok" and "starting" need nothing. "degraded": something failed, and the page serves without it; a restart would not
mend it, so /healthz still answers 200; so does it while an engine that has ended is started again. "dead": an engine
hangs, or has ended and cannot be started again; only a restart helps, so /healthz answers 503.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from fastapi import FastAPI
from starlette.responses import JSONResponse

LIMITED = "limited"  # a part that serves with less than it will: the page does not wait for it
RESTARTING = "restarting"  # a part that has ended and comes back by itself
HANG_S = 300.0  # without a step of the engine; the longest, 512 prompt tokens, takes ~35 s on two free cores

State = Literal["ok", "starting", "degraded", "dead"]


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the process at one moment."""

    state: State
    parts: dict[str, str]  # part -> "ready", "loading", "failed: ..."; background work such as usage stands here too
    ready: bool  # every part answers

    @property
    def status_code(self) -> int:
        """Return the HTTP status of /healthz: 503 when only a restart helps, else 200."""
        return 503 if self.state == "dead" else 200


def health(parts: Mapping[str, str], silent_s: float, troubles: Mapping[str, str]) -> Health:
    """Return the health that follows from what is known.

    parts: what must load before all is well. silent_s: seconds since an engine with work last showed life, infinite
    when one is lost. troubles: work in the background -> what is wrong with it, "" for nothing.
    """
    shown = {**parts, **{name: f"failed: {text}" if text else "ready" for name, text in troubles.items()}}
    ready = all(state == "ready" or state.startswith(LIMITED) for state in parts.values())
    if silent_s > HANG_S:
        return Health("dead", {**shown, "model": "failed: the engine has stopped"}, ready=False)
    if any(state.startswith(("failed", LIMITED, RESTARTING)) for state in shown.values()):
        return Health("degraded", shown, ready)
    return Health("ok" if ready else "starting", shown, ready)


def add_health_routes(app: FastAPI, look: Callable[[], Health]) -> None:
    """Serve what `look` returns at /healthz and /readyz; each request looks anew.

    Neither route waits for a thread of the pool: a page full of visitors is no reason to restart.
    """

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        """Answer 200 while the page can serve, 503 when only a restart would help; the body says what is broken."""
        seen = look()
        return JSONResponse({"status": seen.state, "parts": seen.parts}, seen.status_code)

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Answer 200 once every part answers, 503 while one loads or has failed."""
        seen = look()
        return JSONResponse({"ready": seen.ready, "parts": seen.parts}, 200 if seen.ready else 503)
