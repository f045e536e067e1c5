"""A tour's words: data in `onboarding/tours/*.toml`, checked at load."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

TOURS = Path(__file__).with_name("tours")


@dataclass(frozen=True, slots=True)
class TourStep:
    """One step: what is said, and what the assistant would be asked about it."""

    name: str
    text: str  # Markdown
    ask: str
    topics: tuple[str, ...] = ()  # questions that the step looks up


@dataclass(frozen=True, slots=True)
class Tour:
    """A titled row of steps."""

    title: str
    host: str  # id of the simulated host that is shown first
    steps: tuple[TourStep, ...]


def load_tour(name: str, folder: Path = TOURS) -> Tour:
    """Read one tour; ValueError names the file and what it lacks."""
    path = folder / f"{name}.toml"
    table = tomllib.loads(path.read_text())
    try:
        steps = tuple(
            TourStep(step["name"], step["text"].strip(), step["ask"], tuple(step.get("topics", ())))
            for step in table["steps"]
        )
        return Tour(table["title"], table["host"], steps)
    except KeyError as missing:
        raise ValueError(f"{path} lacks {missing}") from missing
