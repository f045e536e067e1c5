"""Read the tours' words, data in `onboarding/tours/*.toml`, and check them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rag.reading.links import source_links

TOURS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class TourStep:
    """The words of one step, and what it offers to do beside reading them."""

    name: str
    text: str  # Markdown
    ask: str  # the question that the step hands over to the assistant
    topics: tuple[str, ...] = ()  # questions that the step looks up
    exercise: str = ""  # key of `exercises()` of the tour's tab; "" for a step of words alone
    sources: tuple[str, ...] = ()  # upstream files that the step rests on, as PATH or PATH#L1-L2


@dataclass(frozen=True, slots=True)
class Tour:
    """A title, its steps in order, and where to go from the last one."""

    name: str  # as in links: ?tour=NAME&step=2
    title: str
    label: str  # of its tab
    steps: tuple[TourStep, ...]
    next: str  # name of the tour to take next, or "chat"
    host: str = ""  # id of the simulated host that is shown first
    data: dict[str, Any] = field(default_factory=dict)  # every other key of the file, for the tour's exercises


def load_tour(name: str, folder: Path = TOURS) -> Tour:
    """Return one tour; ValueError names the file and the key that it lacks or that no step has."""
    path = folder / f"{name}.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        steps = tuple(_step(step, path) for step in table.pop("steps"))
        title, label, following = table.pop("title"), table.pop("label"), table.pop("next")
    except KeyError as missing:
        raise ValueError(f"{path} lacks {missing}; add it there") from missing
    return Tour(name, title, label, steps, following, table.pop("host", ""), table)


def load_tours(folder: Path = TOURS) -> dict[str, Tour]:
    """Return every tour by name; ValueError when one leads nowhere."""
    tours = {path.stem: load_tour(path.stem, folder) for path in sorted(folder.glob("*.toml"))}
    for tour in tours.values():
        if tour.next not in (*tours, "chat"):
            raise ValueError(f"{tour.name}.toml leads to {tour.next!r}; next must be chat or one of {', '.join(tours)}")
    return tours


def named_links(sources: Sequence[str]) -> list[tuple[str, str]]:
    """Return (path with lines, address at upstream) for each source."""
    names = [source.replace("#L", ":").replace("-L", "-") for source in sources]
    return list(zip(names, source_links(tuple(sources)), strict=True))


def _step(table: Mapping[str, Any], path: Path) -> TourStep:
    known = TourStep.__slots__
    if unknown := sorted(table.keys() - set(known)):
        raise ValueError(f"{path}: the step {table['name']!r} has {unknown[0]!r}; a step's keys are {', '.join(known)}")
    topics, sources = tuple(table.get("topics", ())), tuple(table.get("sources", ()))
    return TourStep(table["name"], table["text"].strip(), table["ask"], topics, table.get("exercise", ""), sources)
