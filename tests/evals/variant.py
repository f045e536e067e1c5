"""A variant of a model against its base, on the same questions, from the answers of both.

    python -m tests.evals answers --model BASE --questions FILE.jsonl --answers BASE.jsonl
    python -m tests.evals answers --model BASE+ADAPTER --questions FILE.jsonl --answers VARIANT.jsonl
    python -m tests.evals variant --base BASE.jsonl --variant VARIANT.jsonl --questions FILE.jsonl [FILE ...] [--read N]

Prints for each measure both figures, their difference and its interval of 95 %, questions drawn again. Only what both
answered counts. --read prints so many answers of both beside each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rag.embedding.embedder import Embedder
from rag.errors import RowsUnreadable
from rag.reading.rows import read_rows
from tests.evals.answers import judge, measure
from tests.evals.composed import difference
from tests.evals.figures import parser

MEASURES = {  # figure of tests.evals.answers -> its words in a card
    "facts_in_written_text": "facts that the text states, before any gate",
    "facts_in_extract_or_text": "facts that a visitor reads, extract and text",
    "unsupported_of_written": "sentences written that the passages do not bear out",
    "unsupported_where_unanswerable": "such sentences for each question that the passages do not answer",
    "says_so_where_unanswerable": "says that the documentation does not say, where it does not",
    "says_so_where_answerable": "says so where it does",
    "sentences_shown": "sentences that the page shows of the model's text",
}
FEWEST = 2  # questions, for an interval


def main(argv: Sequence[str]) -> int:
    """Print the comparison."""
    given = parser("variant", __doc__)
    given.add_argument("--base", type=Path, required=True, help="answers of the base")
    given.add_argument("--variant", type=Path, required=True, help="answers of the variant")
    given.add_argument("--questions", type=Path, nargs="+", required=True, help="judged questions, JSON lines")
    given.add_argument("--read", type=int, default=0, help="answers to print beside each other")
    options = given.parse_args(argv)
    base, variant = (_answers(path) for path in (options.base, options.variant))
    both = base.keys() & variant.keys()
    asked = {
        path: [row for row in read_rows(path, "question") if row["question"] in both] for path in options.questions
    }
    rows = [row for found in asked.values() for row in found]
    if len(rows) < FEWEST:
        raise RowsUnreadable("both files must answer two of the questions at least; run tests.evals answers for both")
    embedder = Embedder()
    judged = [[judge(row, given[row["question"]], embedder) for row in rows] for given in (base, variant)]
    figures = {"questions": len(rows)} | compare(*judged)
    told = {"words": MEASURES, "question_files": {path.name: len(found) for path, found in asked.items()}}
    print(json.dumps(figures | told, indent=1) if options.json else _table(figures))
    for row in rows[: options.read]:
        print(f"\n## {row['question']}\nfacts: {row.get('answer_facts') or '(none)'}")
        for name, answers in (("base", base), ("variant", variant)):
            print(f"\n{name}: {answers[row['question']].get('written', '').strip() or '(nothing)'}")
    return 0


def compare(base: list[dict[str, Any]], variant: list[dict[str, Any]]) -> dict[str, float]:
    """Return each measure's figures, flat: NAME_base, NAME_variant, NAME_difference, NAME_low, NAME_high."""
    figures: dict[str, float] = {}
    before, after = measure(base), measure(variant)
    for name in MEASURES:
        by, low, high = difference(_taking(name), variant, base)
        figures |= {f"{name}_base": before[name], f"{name}_variant": after[name]}
        figures |= {f"{name}_difference": by, f"{name}_low": low, f"{name}_high": high}
    return figures


def _taking(name: str) -> Callable[[Sequence[dict[str, Any]]], float]:
    return lambda items: float(measure(items)[name])


def _answers(path: Path) -> dict[str, dict[str, Any]]:
    return {answer["question"]: answer for answer in read_rows(path, "question")}


def _table(figures: dict[str, float]) -> str:
    lines = [f"{figures['questions']} questions; base, variant, difference (95 % interval)"]
    for name, words in MEASURES.items():
        before, after, by, low, high = (
            figures[f"{name}_{end}"] for end in ("base", "variant", "difference", "low", "high")
        )
        lines.append(f"{words:66} {before:8.3f} {after:8.3f} {by:+8.3f} ({low:+.3f} to {high:+.3f})")
    return "\n".join(lines)
