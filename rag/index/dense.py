"""Search vectors with FAISS: exact inner product up to EXACT_LIMIT vectors, HNSW above."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

EXACT_LIMIT = 50_000  # vectors scanned in ~8 ms on two cores; HNSW is faster from here on
HNSW_LINKS, HNSW_BUILD, HNSW_SEARCH = 32, 120, 256
CHUNK, WHOLE, QUESTION = 0, 1, 2  # a vector embeds a chunk, a whole unit, or a question that a unit answers


@dataclass(frozen=True, slots=True)
class DenseIndex:
    """The vectors of length 1 in unit order; read-only, so safe to share between threads.

    `owner` (n,) int32 is the unit of each vector and never decreases; `kind` (n,) uint8 is CHUNK, WHOLE or QUESTION;
    `keys` (n, 16) uint8 is the digest of the embedded text; a later build finds the vector by it.
    """

    index: faiss.Index
    owner: np.ndarray
    kind: np.ndarray
    keys: np.ndarray

    @property
    def vectors(self) -> np.ndarray:
        """Return the stored float32 vectors of shape (n, dimension), without a copy."""
        flat: Any = faiss.downcast_index(self.index.storage) if hasattr(self.index, "storage") else self.index
        stored: np.ndarray = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d)
        return stored.reshape(flat.ntotal, flat.d)

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """Return the units that own the `k` vectors nearest to `query` (dimension,), each once, best first."""
        faiss.omp_set_num_threads(1)  # one query gains nothing from two threads, and waits when the chat model decodes
        _, found = self.index.search(query.reshape(1, -1), min(k, self.index.ntotal))
        owners: np.ndarray = self.owner[found[0][found[0] >= 0]]
        return owners[np.sort(np.unique(owners, return_index=True)[1])]

    def chunk_vectors(self, units: np.ndarray) -> list[np.ndarray]:
        """Return for each of `units` the vectors of its chunks, of shape (chunks, dimension)."""
        vectors, starts, ends = self.vectors, *np.searchsorted(self.owner, [units, units + 1])
        spans = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
        return [vectors[span][self.kind[span] == CHUNK] for span in spans]

    def save(self, folder: Path) -> None:
        """Write the FAISS index and the arrays."""
        faiss.write_index(self.index, str(folder / "vectors.faiss"))
        np.savez(folder / "vectors.npz", owner=self.owner, kind=self.kind, keys=self.keys)


def build_dense(vectors: np.ndarray, owner: np.ndarray, kind: np.ndarray, keys: np.ndarray) -> DenseIndex:
    """Index float32 `vectors` (n, dimension) that are already of length 1."""
    dimension = vectors.shape[1]
    if len(vectors) <= EXACT_LIMIT:
        index: faiss.Index = faiss.IndexFlatIP(dimension)
    else:
        index = faiss.IndexHNSWFlat(dimension, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = HNSW_BUILD
        index.hnsw.efSearch = HNSW_SEARCH
    index.add(vectors)
    return DenseIndex(index, owner.astype(np.int32), kind.astype(np.uint8), keys)


def load_dense(folder: Path) -> DenseIndex:
    """Load the files that DenseIndex.save writes."""
    arrays = np.load(folder / "vectors.npz", allow_pickle=False)
    index = faiss.read_index(str(folder / "vectors.faiss"))
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = HNSW_SEARCH
    return DenseIndex(index, arrays["owner"], arrays["kind"], arrays["keys"])
