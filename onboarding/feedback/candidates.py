"""Turns answers that visitors called wrong or outdated into candidate cases for the evals.

    python -m onboarding candidates [--data DIR] [--out FILE.jsonl]

Prints one JSON object a line: the question, the answer, its sources, and the visitor's complaints. A person then adds
the right page and moves the case to tests/evals/. Answers that a browser brought back are left out: it may have made
them up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onboarding.feedback.row import FeedbackRow
from onboarding.feedback.store import read_rows

WRONG = frozenset({"wrong", "outdated"})
FOLDER = "feedback"  # in the data folder


def main(argv: Sequence[str]) -> int:
    """Write the candidates to a file, or print them; return 0."""
    parser = argparse.ArgumentParser(prog="python -m onboarding candidates", description=(__doc__ or "").split("\n")[0])
    data = Path(os.environ.get("DATA_DIR", ".data"))
    parser.add_argument("--data", type=Path, default=data, help="the app's data folder; default: DATA_DIR or .data")
    parser.add_argument("--out", type=Path, help="file to write instead of printing")
    options = parser.parse_args(argv)
    cases = candidates(read_rows(options.data / FOLDER))
    lines = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    if options.out:
        options.out.write_text(lines, encoding="utf-8")
        sys.stderr.write(f"{len(cases)} candidates in {options.out}\n")
    else:
        sys.stdout.write(lines)
    return 0


def candidates(rows: Iterable[FeedbackRow]) -> list[dict[str, Any]]:
    """Return one case for each question with a valid complaint, in the order of the first complaint."""
    cases: dict[str, dict[str, Any]] = {}
    for row in latest(rows):
        if row.reason in WRONG and row.question and not row.from_browser:
            case = cases.setdefault(" ".join(row.question.casefold().split()), _case(row))
            case["complaints"].append(_complaint(row))
    return list(cases.values())


def latest(rows: Iterable[FeedbackRow]) -> list[FeedbackRow]:
    """Return the rows that are valid, oldest first: of a visitor's thumbs on one answer only the last."""
    standing: dict[tuple[str, ...], FeedbackRow] = {}
    for row in sorted(rows, key=lambda row: row.at):
        is_thumb = row.kind == "thumb" and row.turn
        standing[(row.visitor, row.turn) if is_thumb else (row.id,)] = row
    return sorted(standing.values(), key=lambda row: row.at)


def _case(row: FeedbackRow) -> dict[str, Any]:
    return {
        "id": f"f{row.id[:8]}",
        "question": row.question,
        "route": row.route,
        "answer": row.answer,
        "sources": [source.url or source.title for source in row.sources],
        "model": row.model,
        "complaints": [],
    }


def _complaint(row: FeedbackRow) -> dict[str, str]:
    about = row.reported.url or row.reported.title if row.reported else ""
    said = {"reason": row.reason, "comment": row.comment, "source": about}
    return {"on": f"{datetime.fromtimestamp(row.at, UTC):%Y-%m-%d}"} | {k: v for k, v in said.items() if v}
