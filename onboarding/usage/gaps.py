"""Names what visitors asked and the pages did not answer, by topic and by language, against the same time before.

Counts below FEW are not told, so that a table never points at somebody; nobody's words, but of those who agreed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from onboarding.feedback.candidates import Candidate
from onboarding.usage.ledger import DAY_HOURS, CountRow
from onboarding.usage.summary import first_hour

FEW = 3
COUNTERS = {"topics": ("qubinode_searches_total", "topic"), "languages": ("qubinode_searches_in_total", "language")}
MOST_WORDS = 10  # questions that are quoted
Counted = dict[str, int]  # state of the search -> times


@dataclass(slots=True)
class Gap:
    """How far the searches of one topic or language came, in these days and in as many before."""

    now: Counted = field(default_factory=lambda: defaultdict(int))
    before: Counted = field(default_factory=lambda: defaultdict(int))

    @property
    def lacking(self) -> int:
        """Return how often the pages did not answer."""
        return self.now["near"] + self.now["not here"]


def gaps(rows: Iterable[CountRow], now: float, days: int) -> dict[str, dict[str, Gap]]:
    """Return "topics" and "languages" -> name -> Gap, where most is lacking first; `days` end today."""
    start = first_hour(now, days)
    found: dict[str, defaultdict[str, Gap]] = {kind: defaultdict(Gap) for kind in COUNTERS}
    for row in rows:
        for kind, (name, label) in COUNTERS.items():
            if row.name == name and row.hour >= start - days * DAY_HOURS:
                labels = dict(pair.split("=", 1) for pair in row.labels.split(","))
                gap = found[kind][labels[label]]
                (gap.now if row.hour >= start else gap.before)[labels["state"]] += round(row.amount)
    return {kind: dict(sorted(named.items(), key=lambda one: -one[1].lacking)) for kind, named in found.items()}


def as_json(found: Mapping[str, Mapping[str, Gap]], left: Sequence[Candidate], now: float, days: int) -> dict[str, Any]:
    """Return the report as JSON values. left: the candidates that nobody has reviewed."""
    last = datetime.fromtimestamp(now, UTC).date()
    tables = {
        kind: [{"name": name, **_shown(gap.now), "before": _shown(gap.before)} for name, gap in named.items()]
        for kind, named in found.items()
    }
    public = [one for one in left if one.publishers]
    words = sorted(public, key=lambda one: -len(one.visitors))[:MOST_WORDS]
    return {
        "from": str(last - timedelta(days=days - 1)),
        "to": str(last),
        "days": days,
        **tables,
        "to_review": few(len(left)),
        "words": [{"question": one.question, "asked_by": few(len(one.visitors))} for one in words],
    }


def as_markdown(told: Mapping[str, Any]) -> str:
    """Return what `as_json` returns as Markdown."""
    parts = [f"# Gaps, {told['from']} to {told['to']} (UTC), against the {told['days']} days before"]
    for kind, title in (("topics", "By topic"), ("languages", "By language")):
        parts.append(f"## {title}\n\n{_table(told[kind])}")
    words = [f"- {' '.join(one['question'].split())} (asked by {one['asked_by']})" for one in told["words"]]
    quoted = "Of those who agreed to be quoted:\n\n" + "\n".join(words) if words else "Nobody agreed to be quoted."
    parts.append(f"## To review: {told['to_review']}\n\n{quoted}\n\n`python -m onboarding review` decides about them.")
    return "\n\n".join(parts) + "\n"


def few(count: int) -> int | str:
    """Return a count, or "few" where it is so small that it may point at somebody."""
    return count if count == 0 or count >= FEW else "few"


def _shown(counts: Counted) -> dict[str, int | str]:
    return {"asked": few(sum(counts.values())), "near": few(counts["near"]), "not_here": few(counts["not here"])}


def _table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "Nothing was searched for."
    lines = ["| | asked | near | not here | asked before | near before | not here before |", "| --- " * 7 + "|"]
    for row in rows:
        cells = [row["name"], *_cells(row), *_cells(row["before"])]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _cells(counts: Mapping[str, object]) -> list[object]:
    return [counts["asked"], counts["near"], counts["not_here"]]
