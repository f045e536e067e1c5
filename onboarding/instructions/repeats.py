"""Find questions that repeat others: none of the rows may stand twice, or be one that is judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz import fuzz, process

from rag.reading.rows import read_rows

ALIKE = 90.0  # of 100: rapidfuzz's ratio of two questions with their words in order of the alphabet
SAME_SENSE = 0.95  # cosine
BLOCK = 256  # questions that are compared at once
_WORD = re.compile(r"\w+")
_NAME = re.compile(r"[A-Z][A-Za-z]*[A-Z_][\w]*|\w*\d[\w.]*|[\w-]+[_/.][\w./-]+")

Encode = Callable[[Sequence[str]], np.ndarray]


def judged_questions(folder: Path) -> list[str]:
    """Return every question, message and turn of the judged files in a folder. Raises RowsUnreadable and OSError."""
    found: list[str] = []
    for path in sorted(folder.glob("*.jsonl")):
        for row in read_rows(path):
            found += _texts(row)
    return sorted(set(found))


def _texts(row: dict[str, Any]) -> list[str]:
    said = [row.get("question"), row.get("text"), *row.get("turns", ())]
    return [text for text in said if isinstance(text, str) and text.strip()]


def repeats(questions: Sequence[str], kept: Sequence[str], encode: Encode, *, among: bool = True) -> list[bool]:
    """Return which of `questions` repeat one of `kept` or, with `among`, one before them that itself repeats none.

    Two questions are alike by their letters or by their sense, unless they differ in a name or a number.
    """
    texts = [*kept, *questions]
    plain = [" ".join(sorted(_WORD.findall(text.casefold()))) for text in texts]
    named = [frozenset(_NAME.findall(text)) for text in texts]
    vectors = encode(texts)
    repeated = [False] * len(texts)
    for start in range(len(kept), len(texts), BLOCK):
        block = range(start, min(start + BLOCK, len(texts)))
        until = block.stop if among else len(kept)
        alike = process.cdist(plain[start : block.stop], plain[:until], scorer=fuzz.ratio, score_cutoff=ALIKE) > 0
        alike |= vectors[start : block.stop] @ vectors[:until].T >= SAME_SENSE
        for at in block:
            repeated[at] = any(
                not repeated[other] and (plain[other] == plain[at] or named[other] == named[at])
                for other in np.flatnonzero(alike[at - start, : min(at, until)])
            )
    return repeated[len(kept) :]
