"""What the evaluations share: means over judged rows, the options of a command, and how figures are printed."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # of a file of judged questions, messages or talks


def mean(values: Sequence[float]) -> float:
    """Return the mean, of hits their share; 0.0 of none."""
    return round(sum(values) / len(values), 4) if values else 0.0


def means(hits: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the mean for each name, sorted."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, hit in hits:
        found[name].append(hit)
    return {name: mean(values) for name, values in sorted(found.items())}


def confusion(pairs: Sequence[tuple[str, str]], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how often each true name, the first of a pair, was given each name; zeros are left out."""
    table: dict[str, dict[str, int]] = {name: {} for name in names if any(true == name for true, _ in pairs)}
    for true, given in pairs:
        row = table.setdefault(true, {})
        row[given] = row.get(given, 0) + 1
    return table


def parser(name: str, about: str, *, cases: Path | None = None, misses: str = "") -> argparse.ArgumentParser:
    """Return the parser of an evaluation with --json, --cases where it has a usual file of them, and --misses.

    misses: what --misses also lists.
    """
    made = argparse.ArgumentParser(
        prog=f"python -m tests.evals {name}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if cases:
        made.add_argument("--cases", type=Path, default=cases, help="judged rows, one JSON object a line")
    if misses:
        made.add_argument("--misses", action="store_true", help=f"also list {misses}")
    made.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def show(figures: dict[str, Any], options: argparse.Namespace) -> None:
    """Print the figures as JSON where --json asks for it, else as a table: the plain ones, then those by name."""
    if options.json:
        print(json.dumps(figures, indent=1, ensure_ascii=False))
        return
    for name, value in figures.items():
        if not isinstance(value, dict | list):
            print(f"{name:32} {value}")
    for name, value in figures.items():
        if isinstance(value, dict):
            print(f"{name}:", *(f"  {key:30} {one}" for key, one in value.items()), sep="\n")
