"""Every route of the served application, Gradio's included, and whether the guard lets it through.

`python -m tests.hardening.routes` prints the table; what it prints belongs into routes.txt once a person has looked at
each new line:

    python -m tests.hardening.routes > tests/hardening/routes.txt
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from app import create_app
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.edge.allowlist import EXACT, is_known

TABLE = Path(__file__).with_name("routes.txt")


def table() -> list[str]:
    """One row a method and path, sorted: open, closed (the guard answers 404), or part (only one of the paths passes)."""
    with tempfile.TemporaryDirectory() as data:
        app = create_app(Guide(Parts(PartsSettings(engine="scripted", data=Path(data)))))
    rows = {(method, path) for method, path in _walk(app.routes, "")}
    return sorted(f"{_state(path, method):6} {method:6} {path}" for method, path in rows)


def _state(path: str, method: str) -> str:
    method = method.replace("ANY", "POST")
    if is_known(re.sub(r"\{[^}]*\}", "x", path), method):
        return "open"
    like = re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path)))
    return "part" if any(method in methods and like.fullmatch(known) for known, methods in EXACT.items()) else "closed"


def _walk(routes: Iterable[Any], base: str) -> Iterator[tuple[str, str]]:
    """(method, path) of each route; ANY for what a mounted application decides by itself."""
    for route in routes:
        if hasattr(route, "original_router"):  # what FastAPI makes of `include_router`
            yield from _walk(route.effective_candidates(), base)
            continue
        inner = getattr(getattr(route, "app", None), "routes", None)
        if inner is not None and not getattr(route, "methods", None):
            yield from _walk(inner, base + route.path)
        else:
            for method in sorted(getattr(route, "methods", None) or {"ANY"}):
                yield method, base + str(route.path)


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
