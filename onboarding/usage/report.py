"""Prints a report on the last days as Markdown, for the Space's operator.

    python -m onboarding report [--days 7] [--data DIR] [--gaps [--json]]

Reads the counts and the feedback of a data folder, also while the app runs; prints to standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from onboarding.feedback.candidates import candidates, latest
from onboarding.feedback.decisions import undecided
from onboarding.feedback.row import FeedbackRow
from onboarding.feedback.store import FOLDER, data_folder, read_rows
from onboarding.tours.content import load_tours
from onboarding.usage.gaps import as_json, as_markdown, gaps
from onboarding.usage.ledger import DAY_HOURS, LedgerTrouble
from onboarding.usage.ledger_writer import ledger_in
from onboarding.usage.summary import Day, Funnel, Summary, first_hour, summarise

LONGEST_SPAN = 400  # days, as far back as counts are kept
MOST_WISHES = 20
WISH_CHARS = 300


def main(argv: Sequence[str]) -> int:
    """Print the report; return 1 with one sentence when the counts cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m onboarding report", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--days", type=int, default=7, help=f"how many, up to {LONGEST_SPAN}; default: 7")
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="the app's data folder; default: DATA_DIR or .data"
    )
    parser.add_argument("--gaps", action="store_true", help="what was asked and not answered, against the days before")
    parser.add_argument("--json", action="store_true", help="the gaps as one JSON object")
    options = parser.parse_args(argv)
    days, now = max(1, min(LONGEST_SPAN, options.days)), time.time()
    try:
        rows = ledger_in(options.data).rows(first_hour(now, days) - days * DAY_HOURS)
    except LedgerTrouble as trouble:
        sys.stderr.write(f"The counts cannot be read: {trouble}\n")
        return 1
    if options.gaps or options.json:
        told = as_json(gaps(rows, now, days), undecided(options.data / FOLDER), now, days)
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n" if options.json else as_markdown(told))
        return 0
    tours = {name: len(tour.steps) for name, tour in load_tours().items()}
    feedback = [row for row in latest(read_rows(options.data / FOLDER)) if row.at >= first_hour(now, days) * 3600]
    sys.stdout.write(report(summarise(rows, tours, now, days), feedback))
    return 0


def report(summary: Summary, feedback: Sequence[FeedbackRow]) -> str:
    """Return the report as Markdown."""
    first, last = summary.days[0].date, summary.days[-1].date
    parts = [
        f"# Qubinode Navigator Space, {first} to {last} (UTC)",
        _days(summary.days),
        _tours(summary.funnels),
        _counts("What was asked about", "route", summary.routes),
        _counts("Simulated tools run", "tool", summary.tools),
        _counts("Calls by programs", "endpoint", summary.calls),
        _machine(summary),
        _feedback(feedback),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _days(days: Sequence[Day]) -> str:
    rows = [
        (str(day.date), day.visits, day.questions, day.answered, day.abstained, day.stopped, day.failed,
         _seconds(day.first_token_s), _seconds(day.slowest_s))
        for day in days
    ]  # fmt: skip
    whole: list[object] = ["total", *(sum(int(str(row[at])) for row in rows) for at in range(1, 7)), "", ""]
    head = (
        "day",
        "visits",
        "questions",
        "answered",
        "abstained",
        "stopped",
        "failed",
        "first token, half",
        "95 in 100",
    )
    return "## Days\n\n" + _table(head, [*rows, whole])


def _tours(funnels: Sequence[Funnel]) -> str:
    rows = [(f.tour, f.starts, " → ".join(map(str, f.steps)), f.ends, _share(f.ends, f.starts)) for f in funnels]
    return "## Tours\n\n" + _table(("tour", "opened", "reached step 1 → last", "finished", "share"), rows)


def _counts(title: str, name: str, counts: dict[str, int]) -> str:
    if not counts:
        return ""
    rows = [(key, count, _share(count, sum(counts.values()))) for key, count in counts.items()]
    return f"## {title}\n\n" + _table((name, "times", "share"), rows)


def _machine(summary: Summary) -> str:
    speed = f"{summary.tokens_per_s:g}" if summary.tokens_per_s is not None else "–"
    cached = f"{100 * summary.cached:.0f} %" if summary.cached is not None else "–"
    return "\n".join(
        [
            "## The machine",
            "",
            f"- first token: half within {_seconds(summary.first_token_s)}, 95 in 100 within "
            f"{_seconds(summary.slowest_s)}; decode up to {speed} tokens/s for half of the answers",
            f"- queue: 95 in 100 waited at most {_seconds(summary.queue_s)}; {summary.longest_queue} waited at most",
            f"- prompt tokens from the prefix cache: {cached}",
            f"- memory: {summary.memory_mb:,} MB at most",
            f"- refused by a limit: {summary.refusals}; citations and addresses taken out: {summary.removed}",
        ]
    )


def _feedback(rows: Sequence[FeedbackRow]) -> str:
    verdicts = Counter(row.verdict for row in rows if row.kind == "thumb")
    reasons = Counter(row.reason for row in rows if row.reason)
    wishes = [row.comment for row in rows if row.kind == "suggestion" and row.comment]
    cases = candidates(rows)
    said = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()) or "none"
    lines = [
        "## Feedback",
        "",
        f"- thumbs: {verdicts['up']} up, {verdicts['down']} down; reasons: {said}",
        f"- reported sources: {sum(row.kind == 'source' for row in rows)}; wishes: {len(wishes)}",
        f"- questions not answered or corrected: {len(cases)}; `python -m onboarding review` decides about them",
    ]
    lines += [f"  - wish: {' '.join(wish.split())[:WISH_CHARS]}" for wish in wishes[:MOST_WISHES]]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:g} s"
