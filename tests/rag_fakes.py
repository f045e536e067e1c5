"""A small deterministic encoder for tests of retrieval: words hashed into a vector, no model."""

import functools
import hashlib
import re
import threading
from collections.abc import Sequence

import numpy as np

DIMENSION = 64


@functools.cache
def _direction(word: str, dimension: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest())
    return np.random.default_rng(seed).standard_normal(dimension)


class WordHashEncoder:
    """Encodes a text as the normalised sum of one fixed direction per word, so that shared words mean similarity."""

    def __init__(self, name: str = "word-hash", dimension: int = DIMENSION) -> None:
        self.name = name
        self.dimension = dimension
        self.digest = hashlib.sha256(f"{name}{dimension}".encode()).hexdigest()
        self.encoded: list[str] = []
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        with self._lock:
            self.encoded.extend(texts)
        return np.stack([self._vector(text) for text in texts]) if texts else np.zeros((0, self.dimension), np.float32)

    def is_word(self, word: str) -> bool:
        return word in {"pizza", "dough", "hydration", "where", "which"}

    def _vector(self, text: str) -> np.ndarray:
        total = np.full(self.dimension, 1e-3)
        for word in re.findall(r"\w+", text.lower()):
            total += _direction(word, self.dimension)
        return np.asarray(total / np.linalg.norm(total), dtype=np.float32)
