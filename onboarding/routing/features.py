"""Turns a message into what the classifiers read: its vector, and hashed words and characters."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from onboarding.routing.language.text import words

FEATURES_VERSION = 2  # raise when a message would give other features: stored weights no longer fit
WORD_SLOTS = 1 << 13
CHAR_SLOTS = 1 << 14
WORD_WEIGHT = 1.0  # against 1.0 for the embedding; both chosen by cross-validation, see train.py
CHAR_WEIGHT = 0.7
CHAR_SIZES = (2, 3, 4)

# What a word stands for, added beside the word: one unseen host name or version then reads like any other.
_CLASSES = {
    "<el10>": r"\b(?:rhel|el|red ?hat(?: enterprise linux)?|centos(?: ?stream)?|rocky|alma)[ _-]?(?:linux )?10\b",
    "<el-old>": r"\b(?:rhel|el|centos(?: ?stream)?|rocky|alma|fedora)[ _-]?(?:linux )?(?:[789]|\d\d)\b(?<!10)",
    "<ip>": r"\b\d{1,3}(?:\.\d{1,3}){3}\b",
    "<metadata>": r"169\.254\.169\.254|metadata\.google|latest/meta-data",
    "<host>": r"\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|local|lan|edu|gov|internal|de|fr|cz|nl|it|es|jp|kr|cn)\b",
    "<url>": r"https?://",
    "<path>": r"(?:^|\s)[~.]?/[\w.-]+(?:/[\w.-]*)*",
    "<file>": r"\b[\w-]+\.(?:py|ya?ml|md|sh|json|conf|log|txt|toml|cfg|env)\b",
    "<unit>": r"\b[\w@-]+\.(?:service|socket|timer)\b|\b(?:lib)?virt\w*d\b|\b(?:ssh|chrony|firewall|cron|http)d\b",
    "<env>": r"\b[a-z]+(?:_[a-z]+){1,}\b",
    "<flag>": r"(?:^|\s)--?[a-z][\w-]+",
    "<adr>": r"\badrs?(?:[- ]?\d+)?\b",
    "<number>": r"(?<![\w.])\d+(?![\w.])",
}
# ASCII, so that a name ends where Japanese, Korean or Chinese goes on without a blank
_PATTERNS = tuple((name, re.compile(pattern, re.ASCII)) for name, pattern in _CLASSES.items())


@dataclass(frozen=True, slots=True)
class Features:
    """One message as the classifiers read it: a sparse vector over `slots(dimension)` columns."""

    columns: np.ndarray  # int32, each once
    values: np.ndarray  # float32, same shape


def slots(dimension: int) -> int:
    """Return the number of columns for an encoder whose vectors have `dimension` numbers."""
    return dimension + WORD_SLOTS + CHAR_SLOTS


def features(folded: str, gloss: str, vector: np.ndarray) -> Features:
    """Return the features of a message: `vector` (dimension,) of its gloss, then hashed words, then characters."""
    word_columns, word_values = _hashed(_word_features(folded, gloss), WORD_SLOTS, WORD_WEIGHT)
    char_columns, char_values = _hashed(_char_features(folded), CHAR_SLOTS, CHAR_WEIGHT)
    columns = np.concatenate(
        [
            np.arange(len(vector), dtype=np.int32),
            word_columns + len(vector),
            char_columns + len(vector) + WORD_SLOTS,
        ]
    )
    return Features(columns, np.concatenate([vector, word_values, char_values]).astype(np.float32))


def _word_features(folded: str, gloss: str) -> Iterator[str]:
    """Yield the gloss's words and pairs of neighbours, and the classes of names in the message."""
    found = words(gloss)
    yield from found
    for left, right in pairwise(["^", *found, "$"]):
        yield f"{left} {right}"
    both = f"{folded} {gloss}"
    for name, pattern in _PATTERNS:
        if pattern.search(both):
            yield name


def _char_features(folded: str) -> Iterator[str]:
    """Yield the character runs of each word, its ends marked; they carry typos and endings."""
    for word in folded.split():
        marked = f" {word} "
        for size in CHAR_SIZES:
            for at in range(len(marked) - size + 1):
                yield marked[at : at + size]


def _hashed(names: Iterator[str], slots: int, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Count names into `slots` columns by CRC-32; values are damped counts scaled to length `weight`."""
    hashes = np.fromiter((zlib.crc32(name.encode()) % slots for name in names), dtype=np.int32)
    columns, counts = np.unique(hashes, return_counts=True)
    values = np.sqrt(counts.astype(np.float32))
    length = float(np.linalg.norm(values)) or 1.0
    return columns.astype(np.int32), values * (weight / length)
