"""Turn a question's vector towards the passages that answer it, by a linear map that training fits.

The encoder puts questions near questions. A passage that answers lies elsewhere, and on pages of one project often in
the same direction. The map learns it from the questions that our pages list under their headings. It is applied when an
index is opened and when candidates are collected: rerank, kinds of question, routing and the files of an index keep the
encoder's own vectors, and outlive a new map.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rag.index.dense import QUESTION, build_dense
from rag.index.store import Index

QUESTION_MAP_FILE = Path(__file__).parent / "question_map.npz"


@dataclass(frozen=True, slots=True)
class QuestionMap:
    """The linear map from a question's vector to one near its passages."""

    matrix: np.ndarray  # float32 (dimension, dimension), added to the identity
    offset: np.ndarray  # float32 (dimension,)

    def towards_passages(self, vectors: np.ndarray) -> np.ndarray:
        """Return the mapped vectors, each of length 1, in the shape of `vectors`, (dimension,) or (n, dimension)."""
        moved = vectors + vectors @ self.matrix + self.offset
        unit: np.ndarray = moved / np.linalg.norm(moved, axis=-1, keepdims=True)
        return unit


def with_mapped_questions(index: Index, by: QuestionMap) -> Index:
    """Return the index with the questions that it lists mapped as a question to search is."""
    dense = index.dense
    listed = dense.kind == QUESTION
    if not listed.any():
        return index
    vectors = dense.vectors.copy()
    vectors[listed] = by.towards_passages(vectors[listed])
    return replace(index, dense=build_dense(vectors, dense.owner, dense.kind, dense.keys))


def load_question_map(model_digest: str, path: Path = QUESTION_MAP_FILE) -> QuestionMap | None:
    """Return the map; None for another embedding model and without the file."""
    if not path.is_file():
        return None
    arrays = np.load(path, allow_pickle=False)
    if str(arrays["model"]) != model_digest:
        return None
    return QuestionMap(arrays["matrix"].astype(np.float32), arrays["offset"].astype(np.float32))


def save_question_map(fitted: QuestionMap, model_digest: str, path: Path = QUESTION_MAP_FILE) -> None:
    """Write the map in half precision."""
    np.savez(
        path,
        matrix=fitted.matrix.astype(np.float16),
        offset=fitted.offset.astype(np.float16),
        model=np.array(model_digest),
    )
