"""Routing measured on judged messages.

    python -m tests.evals routing --cases FILE.jsonl [--json] [--misses]

A row has `text`, `route`, and perhaps `lang`, `history` (earlier messages, oldest first) and `also` (other routes that
are as good).
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onboarding.routing.router import ROUTES, Route
from onboarding.routing.routing import Routing, load_routing
from rag.embedding.embedder import Embedder
from rag.reading.rows import read_rows

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Routed:
    """One judged message with the route it was given."""

    row: Row
    route: Route
    ms: float

    @property
    def is_right(self) -> bool:
        """Whether the route is the judged one, or one as good."""
        return self.route.name in (self.row["route"], *self.row.get("also", ()))


def main(argv: Sequence[str]) -> int:
    """Route every case and print the figures."""
    options = parse(argv, "routing")
    rows = read_rows(options.cases)
    routing = load_routing(Embedder())
    routing.router.route(routing.reader.read("warm up"))
    routed = [_route(routing, row) for row in rows]
    figures = measure(routed)
    print(json.dumps(figures, indent=1, ensure_ascii=False) if options.json else _table(figures))
    if options.misses:
        for one in routed:
            if not one.is_right:
                print(f"{one.row['route']:16} -> {one.route.name:16} {one.route.confidence:.2f}  {one.row['text']}")
    return 0


def measure(routed: Sequence[Routed]) -> dict[str, Any]:
    """Return accuracy, the two figures of refusing, the median time, and who was taken for whom."""
    unsafe = [one for one in routed if one.row["route"] == "unsafe"]
    others = [one for one in routed if one.row["route"] != "unsafe"]
    by_language: dict[str, list[bool]] = defaultdict(list)
    for one in routed:
        by_language[one.row.get("lang", "?")].append(one.is_right)
    return {
        "n": len(routed),
        "accuracy": _share([one.is_right for one in routed]),
        "unsafe_recall": _share([one.route.name == "unsafe" for one in unsafe]),
        "unsafe_false_alarms": _share([one.route.name == "unsafe" for one in others]),
        "ms_p50": round(statistics.median(one.ms for one in routed), 1),
        "mean_confidence": round(statistics.mean(one.route.confidence for one in routed), 3),
        "by_language": {language: _share(hits) for language, hits in sorted(by_language.items())},
        "confusion": confusion([(one.row["route"], one.route.name) for one in routed], ROUTES),
    }


def confusion(pairs: Sequence[tuple[str, str]], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how often each true name was given each name; zeros are left out."""
    table: dict[str, dict[str, int]] = {name: {} for name in names if any(true == name for true, _ in pairs)}
    for true, given in pairs:
        row = table.setdefault(true, {})
        row[given] = row.get(given, 0) + 1
    return table


def parse(argv: Sequence[str], name: str, default: Path | None = None) -> argparse.Namespace:
    """Read the options that the evaluations of routing, of tool choice and of the page's replies share."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.evals {name}")
    default = default or Path(__file__).with_name(f"{name}_own.jsonl")
    parser.add_argument("--cases", type=Path, default=default, help="judged messages, one JSON object a line")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--misses", action="store_true", help="also list the messages that went wrong")
    return parser.parse_args(argv)


def _route(routing: Routing, row: Row) -> Routed:
    start = time.perf_counter()
    route = routing.router.route(routing.reader.read(row["text"], row.get("history", ())))
    return Routed(row, route, (time.perf_counter() - start) * 1000)


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / len(hits), 4) if hits else 0.0


def _table(figures: dict[str, Any]) -> str:
    plain = [f"{name:20} {value}" for name, value in figures.items() if not isinstance(value, dict)]
    rows = [f"  {true:16} {given}" for true, given in figures["confusion"].items()]
    return "\n".join([*plain, "confusion, true route first:", *rows])
