"""Run any model of sentence-transformers; no other module imports it or torch, and this one only when asked."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rag.errors import ModelMissing

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BATCH = 16  # larger batches only pad more on a CPU


class Sentence:
    """The loaded model, for one thread at a time. Raises ModelMissing when it cannot be found."""

    def __init__(self, model: str) -> None:
        """Load `model`, a name or a folder, onto the CPU; ~10 s, most of it the import of the library."""
        self._model = _load(model)
        self._torch = importlib.import_module("torch")
        self._threads = self._torch.get_num_threads()
        self.dimension = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str], few: bool) -> np.ndarray:
        """Return float32 vectors of shape (len(texts), dimension), each of length 1; `few` uses one thread."""
        self._torch.set_num_threads(1 if few else self._threads)
        vectors = self._model.encode(list(texts), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def is_word(self, word: str) -> bool:
        """Return True when the vocabulary holds `word` whole."""
        return len(self._model.tokenizer.tokenize(word)) == 1


def _load(model: str) -> SentenceTransformer:
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise ModelMissing(
            f"EMBEDDING_MODEL={model} needs sentence-transformers, which is not installed; run: "
            "make setup-full (an image: build it with EMBEDDINGS=1), or unset it"
        ) from error
    disable_progress_bar()
    try:
        return SentenceTransformer(model, device="cpu")
    except (OSError, ValueError) as error:
        raise ModelMissing(
            f"cannot load the embedding model {model!r} ({error}); set EMBEDDING_MODEL to a folder or unset it"
        ) from error
