"""Routing measured on judged messages.

    python -m tests.evals routing --cases FILE.jsonl [--json] [--misses]

A row has `text`, `route`, and perhaps `lang`, `history` (earlier messages, oldest first) and `also` (other routes that
are as good).
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onboarding.routing.router import ROUTES, Route
from onboarding.routing.routing import Routing, load_routing
from rag.embedding.embedder import Embedder
from rag.reading.rows import read_rows
from tests.evals.figures import Row, confusion, mean, means, parser, show

OWN = Path(__file__).with_name("routing_own.jsonl")


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
    options = parser("routing", __doc__, cases=OWN, misses="the messages that went wrong").parse_args(argv)
    rows = read_rows(options.cases)
    routing = load_routing(Embedder())
    routing.router.route(routing.reader.read("warm up"))
    routed = [_route(routing, row) for row in rows]
    show(measure(routed), options)
    if options.misses:
        for one in routed:
            if not one.is_right:
                print(f"{one.row['route']:16} -> {one.route.name:16} {one.route.confidence:.2f}  {one.row['text']}")
    return 0


def measure(routed: Sequence[Routed]) -> dict[str, Any]:
    """Return accuracy, the two figures of refusing, the median time, and who was taken for whom."""
    unsafe = [one for one in routed if one.row["route"] == "unsafe"]
    others = [one for one in routed if one.row["route"] != "unsafe"]
    return {
        "n": len(routed),
        "accuracy": mean([one.is_right for one in routed]),
        "unsafe_recall": mean([one.route.name == "unsafe" for one in unsafe]),
        "unsafe_false_alarms": mean([one.route.name == "unsafe" for one in others]),
        "ms_p50": round(statistics.median(one.ms for one in routed), 1),
        "mean_confidence": round(statistics.mean(one.route.confidence for one in routed), 3),
        "by_language": means((one.row.get("lang", "?"), one.is_right) for one in routed),
        "confusion": confusion([(one.row["route"], one.route.name) for one in routed], ROUTES),
    }


def _route(routing: Routing, row: Row) -> Routed:
    start = time.perf_counter()
    route = routing.router.route(routing.reader.read(row["text"], row.get("history", ())))
    return Routed(row, route, (time.perf_counter() - start) * 1000)
