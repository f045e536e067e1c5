"""The vectors of our own pages that ship with the package, so that the first start embeds changed texts only.

Each number takes eight bits; the cosine with the exact vector is above 0.9999. `python -m rag build --shipped-vectors`
renews the file. An old file costs time, never correctness, because the digest of a text finds its vector.
"""

from pathlib import Path

import numpy as np

from rag.index.dense import DenseIndex

SHIPPED_VECTORS = Path(__file__).parent / "vectors.npz"


def load_shipped_vectors(model_digest: str, path: Path = SHIPPED_VECTORS) -> dict[bytes, np.ndarray]:
    """Return the shipped vectors by the digest of their text; {} for another model or when there is no file."""
    if not path.is_file():
        return {}
    arrays = np.load(path, allow_pickle=False)
    if str(arrays["model"]) != model_digest:
        return {}
    vectors = arrays["vectors"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {key.tobytes(): vector for key, vector in zip(arrays["keys"], vectors, strict=True)}


def write_shipped_vectors(dense: DenseIndex, model_digest: str, path: Path = SHIPPED_VECTORS) -> None:
    """Write the vectors of an index as the file to ship."""
    keys, first = np.unique(dense.keys, axis=0, return_index=True)
    exact = dense.vectors[first]
    rounded = np.round(exact / np.abs(exact).max(axis=1, keepdims=True) * 127).astype(np.int8)
    np.savez_compressed(path, keys=keys, vectors=rounded, model=np.array(model_digest))
