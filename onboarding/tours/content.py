"""A tour's words: data in `onboarding/tours/*.toml`, checked at load."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOURS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class TourStep:
    """One step: what is said, and what the assistant would be asked about it."""

    name: str
    text: str  # Markdown
    ask: str
    topics: tuple[str, ...] = ()  # questions that the step looks up


@dataclass(frozen=True, slots=True)
class Tour:
    """A titled row of steps, and where to go from its end."""

    name: str  # as in links: ?tour=NAME&step=2
    title: str
    label: str  # of its tab
    steps: tuple[TourStep, ...]
    next: str  # name of the tour to take next, or "chat"
    host: str = ""  # id of the simulated host that is shown first
    data: dict[str, Any] = field(default_factory=dict)  # whatever else its steps need


def load_tour(name: str, folder: Path = TOURS) -> Tour:
    """Read one tour; ValueError names the file and what it lacks."""
    path = folder / f"{name}.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        steps = tuple(
            TourStep(step["name"], step["text"].strip(), step["ask"], tuple(step.get("topics", ())))
            for step in table.pop("steps")
        )
        title, label, following = table.pop("title"), table.pop("label"), table.pop("next")
    except KeyError as missing:
        raise ValueError(f"{path} lacks {missing}; add it there") from missing
    return Tour(name, title, label, steps, following, table.pop("host", ""), table)


def load_tours(folder: Path = TOURS) -> dict[str, Tour]:
    """Every tour by name; ValueError when one leads nowhere."""
    tours = {path.stem: load_tour(path.stem, folder) for path in sorted(folder.glob("*.toml"))}
    for tour in tours.values():
        if tour.next not in (*tours, "chat"):
            raise ValueError(f"{tour.name}.toml leads to {tour.next!r}; next must be chat or one of {', '.join(tours)}")
    return tours
