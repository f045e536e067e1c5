"""Redaction measured on 500 messages that hold something and 500 that hold nothing.

    python -m tests.evals redaction [--seed 1] [--json] [--misses]

`recall` counts dirty messages of which nothing that must go survives, not even half of it; `precision` clean ones
that come back unchanged; `kept` the words around a secret that are still there.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from onboarding.redaction import redact
from tests.evals.figures import mean, parser, show
from tests.redaction_rows import Row, clean_rows, dirty_rows

LEAST = 6  # characters of a secret that may not be found again


def main(argv: Sequence[str]) -> int:
    """Redact every row and print the figures."""
    given = parser("redaction", __doc__, misses="the messages that went wrong")
    given.add_argument("--seed", type=int, default=1, help="of the dirty rows; the clean ones take the next number")
    options = given.parse_args(argv)
    dirty, clean = dirty_rows(options.seed), clean_rows(options.seed + 1)
    show(measure(dirty, clean), options)
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
        "recall": mean([ok for _, ok in caught]),
        "recall_credentials": mean([ok for row, ok in caught if row.is_credential]),
        "precision": mean([text == row.text for row, text in left]),
        "kept": mean(kept),
        "ms_per_message": round(ms, 2),
        "missed": dict(sorted(Counter(row.kind for row, ok in caught if not ok).items())),
        "harmed": dict(sorted(Counter(row.kind for row, text in left if text != row.text).items())),
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
