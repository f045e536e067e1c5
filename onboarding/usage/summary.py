"""Summarises the counts: totals, a row for each day, the tours' funnels, and waiting times. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from onboarding.usage.ledger import DAY_HOURS, HOUR_S, CountRow

UNANSWERED = ("error", "deadline")  # ends of a turn that gave no whole answer


@dataclass(frozen=True, slots=True)
class Day:
    """The counts of one day (UTC)."""

    date: date
    visits: int
    questions: int
    abstained: int
    stopped: int
    failed: int
    up: int
    down: int
    first_token_s: float | None  # median; None without answers
    slowest_s: float | None  # 95th percentile

    @property
    def answered(self) -> int:
        """Return the number of turns that ended with an answer and did not abstain."""
        return max(0, self.questions - self.abstained - self.stopped - self.failed)


@dataclass(frozen=True, slots=True)
class Funnel:
    """The number of pages that reached each point of one tour."""

    tour: str
    starts: int
    steps: tuple[int, ...]  # pages that reached step 1, 2, ...
    ends: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts of a span of days that ends today."""

    days: tuple[Day, ...]
    funnels: tuple[Funnel, ...]
    routes: dict[str, int]  # most frequent first
    tools: dict[str, int]
    calls: dict[str, int]
    refusals: int
    removed: int
    cached: float | None  # share of prompt tokens that the prefix cache held; None where no model was asked
    first_token_s: float | None
    slowest_s: float | None
    tokens_per_s: float | None
    queue_s: float | None  # 95th percentile
    longest_queue: int
    memory_mb: int  # the highest seen

    def total(self, of: Callable[[Day], int]) -> int:
        """Return the sum over the days."""
        return sum(of(day) for day in self.days)

    @property
    def is_empty(self) -> bool:
        """Return True when nobody did more than open the page, as every reader of this summary has."""
        return not self.total(lambda day: day.questions) and not any(funnel.starts for funnel in self.funnels)


def first_hour(now: float, days: int) -> int:
    """Return the first hour, since the epoch, of a span of `days` that ends today."""
    return (int(now // HOUR_S) // DAY_HOURS - days + 1) * DAY_HOURS


def summarise(rows: Iterable[CountRow], tours: Mapping[str, int], now: float, days: int) -> Summary:
    """Return the summary of the last `days` days; tours: name -> number of steps."""
    start = first_hour(now, days)
    counts = _Counts(row for row in rows if row.hour >= start)
    return Summary(
        tuple(_day(counts, start // DAY_HOURS + at) for at in range(days)),
        tuple(_funnel(counts, tour, steps) for tour, steps in tours.items()),
        counts.by("questions_total", "route"),
        counts.by("tool_runs_total", "tool"),
        counts.by("program_calls_total", "endpoint"),
        counts.total("refusals_total"),
        counts.total("removed_citations_total"),
        _cached(counts),
        counts.quantile("first_token_seconds", 0.5),
        counts.quantile("first_token_seconds", 0.95),
        counts.quantile("tokens_per_second", 0.5),
        counts.quantile("queue_seconds", 0.95),
        counts.peak("queue_length"),
        counts.peak("memory_megabytes"),
    )


class _Counts:
    """Sums over rows, by day and label."""

    def __init__(self, rows: Iterable[CountRow]) -> None:
        self._sums: defaultdict[tuple[str, int], defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._peaks: defaultdict[str, float] = defaultdict(float)
        for row in rows:
            name = row.name.removeprefix("qubinode_")
            self._sums[name, row.hour // DAY_HOURS][row.labels] += row.amount
            self._peaks[name] = max(self._peaks[name], row.amount)

    def peak(self, name: str) -> int:
        return round(self._peaks[name])

    def labelled(self, name: str, day: int | None = None) -> dict[str, float]:
        """Return labels -> sum, of one day or of all."""
        found: defaultdict[str, float] = defaultdict(float)
        for (metric, at), amounts in self._sums.items():
            if metric == name and day in (None, at):
                for labels, amount in amounts.items():
                    found[labels] += amount
        return found

    def total(self, name: str, labels: str | None = None, day: int | None = None) -> int:
        """Return the sum over the labels that contain `labels`."""
        amounts = self.labelled(name, day).items()
        return round(sum(v for key, v in amounts if labels is None or labels in key.split(",")))

    def by(self, name: str, label: str) -> dict[str, int]:
        """Return value of one label -> sum, most frequent first."""
        found: defaultdict[str, float] = defaultdict(float)
        for labels, amount in self.labelled(name).items():
            found[dict(_pairs(labels)).get(label, "")] += amount
        return {key: round(value) for key, value in sorted(found.items(), key=lambda item: -item[1])}

    def quantile(self, name: str, share: float, day: int | None = None) -> float | None:
        """Return the bound of the histogram's bucket that reaches that share of the values; None without values."""
        buckets = sorted((float(labels.removeprefix("le=")), count)
                         for labels, count in self.labelled(f"{name}_bucket", day).items())  # fmt: skip
        if not buckets or not buckets[-1][1]:
            return None
        return next(bound for bound, count in buckets if count >= share * buckets[-1][1])


def _pairs(labels: str) -> Sequence[tuple[str, str]]:
    return [(name, value) for name, _, value in (pair.partition("=") for pair in labels.split(","))]


def _day(counts: _Counts, day: int) -> Day:
    ended = {reason: counts.total("questions_total", f"reason={reason}", day) for reason in ("cancelled", *UNANSWERED)}
    return Day(
        datetime.fromtimestamp(0, UTC).date() + timedelta(days=day),
        counts.total("visits_total", None, day),
        counts.total("questions_total", None, day),
        counts.total("abstentions_total", None, day),
        ended["cancelled"],
        sum(ended[reason] for reason in UNANSWERED),
        counts.total("thumbs_total", "way=up", day),
        counts.total("thumbs_total", "way=down", day),
        counts.quantile("first_token_seconds", 0.5, day),
        counts.quantile("first_token_seconds", 0.95, day),
    )


def _funnel(counts: _Counts, tour: str, steps: int) -> Funnel:
    reached = counts.labelled("tour_steps_total")
    return Funnel(
        tour,
        counts.total("tour_starts_total", f"tour={tour}"),
        tuple(round(reached.get(f"step={step},tour={tour}", 0)) for step in range(1, steps + 1)),
        counts.total("tour_completions_total", f"tour={tour}"),
    )


def _cached(counts: _Counts) -> float | None:
    prompt = counts.total("tokens_total", "kind=prompt")
    return 1 - counts.total("tokens_total", "kind=read") / prompt if prompt else None
