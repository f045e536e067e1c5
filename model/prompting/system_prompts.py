"""The words of each route: its system brief, label, starters and follow-ups, read from a folder of prose files.

`<route>.md`: YAML front matter with `label`, `starters`, `follow_ups`, then the brief. `replies/<name>.md`: a fixed
reply, for routes and requests that need no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rag.reading.frontmatter import split


@dataclass(frozen=True, slots=True)
class RouteText:
    """What is said on one route."""

    name: str
    label: str
    brief: str  # the system message
    starters: tuple[str, ...] = ()
    follow_ups: tuple[str, ...] = ()
    reply: str = ""  # a fixed reply instead of the model's

    @property
    def hint(self) -> str:
        """The topic, for a conversation that began on another route and keeps that one's brief."""
        return f"(Topic: {self.label}.)"


def load_routes(folder: Path) -> dict[str, RouteText]:
    """Every route's words by name; ValueError names the file that lacks a label or a brief."""
    routes = {path.stem: _route(path, folder) for path in sorted(folder.glob("*.md"))}
    if not routes:
        raise ValueError(f"{folder} holds no route files")
    return routes


def _route(path: Path, folder: Path) -> RouteText:
    fields, body = split(path.read_text())
    reply = folder / "replies" / path.name
    label = str(fields.get("label", ""))
    if not label or not (body.strip() or reply.exists()):
        raise ValueError(f"{path} needs a label in its front matter and a brief below it")
    return RouteText(
        path.stem,
        label,
        body.strip(),
        tuple(map(str, fields.get("starters") or ())),
        tuple(map(str, fields.get("follow_ups") or ())),
        reply.read_text().strip() if reply.exists() else "",
    )
