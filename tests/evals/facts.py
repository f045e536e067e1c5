"""Whether a text states a fact of a judged question. The facts are notes ("runs on CPU with llama.cpp"), not quotes."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from model.support import stems
from rag.segments import sentences

Encode = Callable[[Sequence[str]], np.ndarray]

MOST_WORDS = 0.75  # share of a fact's words from which a text states it, whatever the order
SOME_WORDS = 0.3  # share it must hold when only the meaning is alike
ALIKE = 0.72  # cosine of the fact and the nearest one or two sentences
_EXACT = re.compile(r"\b(?:[A-Z][A-Z0-9]*_[A-Z0-9_]+|\d+(?:\.\d+)*)\b")  # variables and figures allow no paraphrase


def stated(facts: Sequence[str], text: str, encode: Encode) -> list[bool]:
    """Tell for each fact whether `text` states it: by its words, or by the meaning of one or two sentences.

    `encode` gives vectors of length 1. Figures and variables of a fact must occur as they are. A text that denies a
    fact in the fact's own words still counts, so read the answers as well.
    """
    windows = _windows(text)
    if not windows or not facts:
        return [False] * len(facts)
    alike = (encode(facts) @ encode(windows).T).max(axis=1)
    return [_is_stated(fact, text, float(cosine)) for fact, cosine in zip(facts, alike, strict=True)]


def _is_stated(fact: str, text: str, cosine: float) -> bool:
    if any(not re.search(rf"(?<![\w.]){re.escape(exact)}(?!\w)", text) for exact in _EXACT.findall(fact)):
        return False
    wanted = stems(fact)
    share = len(wanted & stems(text)) / len(wanted) if wanted else 1.0
    return share >= MOST_WORDS or (share >= SOME_WORDS and cosine >= ALIKE)


def _windows(text: str) -> list[str]:
    """Return every sentence and every pair of neighbours."""
    plain = re.sub(r"[`*_#|]+", " ", text)
    single = [piece for line in plain.splitlines() if line.strip() for piece in sentences(line.strip())]
    return [*single, *(f"{one} {other}" for one, other in pairwise(single))]
