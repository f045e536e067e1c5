"""Redaction measured on 500 messages that hold something and 500 that hold nothing.

    python -m tests.evals redaction [--seed 1] [--json] [--misses]

`recall` counts dirty messages of which nothing that must go survives, not even half of it; `precision` clean ones
that come back unchanged; `kept` the words around a secret that are still there.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from onboarding.redaction import redact
from tests.redaction_rows import Row, clean_rows, dirty_rows

LEAST = 6  # characters of a secret that may not be found again


def main(argv: Sequence[str]) -> int:
    """Redact every row and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.evals redaction")
    parser.add_argument("--seed", type=int, default=1, help="of the dirty rows; the clean ones take the next number")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--misses", action="store_true", help="also list the messages that went wrong")
    options = parser.parse_args(argv)
    dirty, clean = dirty_rows(options.seed), clean_rows(options.seed + 1)
    figures = measure(dirty, clean)
    print(json.dumps(figures, indent=1) if options.json else _table(figures))
    if options.misses:
        for row in dirty:
            if survives(row, redact(row.text)):
                print(f"MISSED {row.kind}: {row.text!r}\n    -> {redact(row.text)!r}")
        for row in clean:
            if redact(row.text) != row.text:
                print(f"HARMED {row.kind}: {row.text!r}\n    -> {redact(row.text)!r}")
    return 0


def measure(dirty: Sequence[Row], clean: Sequence[Row], redact: Callable[[str], str] = redact) -> dict[str, Any]:
    """Recall on all dirty rows and on credentials, precision on the clean ones, and where it went wrong."""
    start = time.perf_counter()
    found = [(row, redact(row.text)) for row in dirty]
    left = [(row, redact(row.text)) for row in clean]
    ms = 1000 * (time.perf_counter() - start) / (len(dirty) + len(clean))
    caught = [(row, not survives(row, text)) for row, text in found]
    kept = [_kept(row, text) for row, text in found]
    return {
        "dirty": len(dirty),
        "clean": len(clean),
        "recall": _share([ok for _, ok in caught]),
        "recall_credentials": _share([ok for row, ok in caught if row.is_credential]),
        "precision": _share([text == row.text for row, text in left]),
        "kept": round(sum(kept) / len(kept), 4),
        "ms_per_message": round(ms, 2),
        "missed": _counts(row.kind for row, ok in caught if not ok),
        "harmed": _counts(row.kind for row, text in left if text != row.text),
    }


def survives(row: Row, text: str) -> bool:
    """Whether half of anything that had to go can still be read."""
    return any(_part_in(value, text, max(LEAST, len(value) // 2)) for value in row.gone)


def _part_in(value: str, text: str, length: int) -> bool:
    if len(value) <= length:
        return value in text
    return any(value[at : at + length] in text for at in range(len(value) - length + 1))


def _kept(row: Row, text: str) -> float:
    """The share of words that belong to no secret and are still there."""
    around = row.text
    for value in row.gone:
        around = around.replace(value, " ")
    words = [word for word in around.split() if len(word) > 2 and word.isalpha()]
    return sum(word in text for word in words) / len(words) if words else 1.0


def _counts(kinds: Any) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for kind in kinds:
        counts[kind] += 1
    return dict(sorted(counts.items()))


def _share(hits: list[bool]) -> float:
    return round(sum(hits) / len(hits), 4)


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name:20} {value}" for name, value in figures.items())
