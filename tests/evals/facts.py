"""Whether a text states a fact of a judged question. The facts are notes ("runs on CPU with llama.cpp"), not quotes."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from rag.index.lexical import terms
from rag.search.segments import sentences

Encode = Callable[[Sequence[str]], np.ndarray]

MOST_WORDS = 0.75  # share of a fact's words from which a text states it, whatever the order
SOME_WORDS = 0.3  # share it must hold when only the meaning is alike
ALIKE = 0.72  # cosine of the fact and the nearest one or two sentences
_EXACT = re.compile(
    r"(?<![\w.])(?:[A-Z][A-Z0-9]*_[A-Z0-9_]+|\d+(?:\.\d+)*)\b"
)  # variables and figures allow no paraphrase


def stated(facts: Sequence[str], text: str, encode: Encode) -> list[bool]:
    """Tell for each fact whether `text` states it: by its words, or by the meaning of one or two sentences.

    `encode` gives vectors of length 1. Figures and variables of a fact must occur as they are. A text that denies a
    fact in the fact's own words still counts, so read the answers as well.
    """
    held = set(terms(text))
    shares = [_share(set(terms(fact)), held) if _holds_exact(fact, text) else 0.0 for fact in facts]
    unsure = [at for at, share in enumerate(shares) if SOME_WORDS <= share < MOST_WORDS]
    windows = _windows(text)
    alike = (encode([facts[at] for at in unsure]) @ encode(windows).T).max(axis=1) if unsure and windows else ()
    close = {at for at, cosine in zip(unsure, alike, strict=False) if cosine >= ALIKE}
    return [share >= MOST_WORDS or at in close for at, share in enumerate(shares)]


def _holds_exact(fact: str, text: str) -> bool:
    """Tell whether the figures and variables of a fact occur as they are."""
    return all(re.search(rf"(?<![\w.]){re.escape(exact)}(?!\w)", text) for exact in _EXACT.findall(fact))


def _share(wanted: set[str], held: set[str]) -> float:
    return len(wanted & held) / len(wanted) if wanted else 1.0


def _windows(text: str) -> list[str]:
    """Return every sentence and every pair of neighbours."""
    plain = re.sub(r"[`*_#|]+", " ", text)
    single = [piece for line in plain.splitlines() if line.strip() for piece in sentences(line.strip())]
    return [*single, *(f"{one} {other}" for one, other in pairwise(single))]
