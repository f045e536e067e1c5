"""Reranking with pseudo-relevance feedback.

Adds the features that need a candidate's text or the other candidates, for the best of the fusion only: computing
them for every candidate would cost more than the search.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rag.index.dense import CHUNK
from rag.index.lexical import terms
from rag.index.store import Index
from rag.search.extract import Scored, score_segments
from rag.search.fusion import FUSION_FEATURES, Candidates
from rag.search.query import Query
from rag.types import Unit

RERANK_CANDIDATES = 30  # ~0.2 ms each
FEEDBACK_FROM, FEEDBACK_SHARE = 3, 0.5  # how many of the best say what else an answer is like, and how much
RERANK_ONLY = (
    "held",  # share of the query's terms, by weight, that the unit holds in text, title or headings
    "feedback",  # best cosine of a chunk with the query as the best candidates' chunks would put it
    "segment",  # score of the best sentence, row or command block: one place that holds it all
)
RERANK_FEATURES = (*FUSION_FEATURES, *RERANK_ONLY)


@dataclass(frozen=True, slots=True)
class Reranked:
    """The candidates of the rerank, in the order of the fusion, and the scores of their segments."""

    found: Candidates  # features: RERANK_FEATURES
    scored: list[list[Scored]]


def rerank(index: Index, query: Query, vector: np.ndarray, found: Candidates, fusion: np.ndarray) -> Reranked:
    """Return the RERANK_CANDIDATES best by the weights `fusion` (len(FUSION_FEATURES),), with RERANK_FEATURES."""
    top = np.argsort(-(found.features @ fusion), kind="stable")[:RERANK_CANDIDATES]
    chosen = [index.units[at] for at in found.units[top]]
    vectors = [_chunk_vectors(index, int(at)) for at in found.units[top]]
    cosines = [rows @ vector for rows in vectors]
    like = _fed_back(vector, vectors[:FEEDBACK_FROM], cosines)
    idf = index.lexical.idf
    worth = {term: idf.get(term, 0.0) for term in query.terms}
    scored = [
        score_segments(unit.text, query, lambda term: idf.get(term, 0.0), _similarity(unit, cosine))
        for unit, cosine in zip(chosen, cosines, strict=True)
    ]
    columns = (
        [_held(unit, worth) for unit in chosen],
        [_best(rows @ like) for rows in vectors],
        [max((item.score for item in segments), default=0.0) for segments in scored],
    )
    added = np.stack([np.array(column, dtype=np.float32) for column in columns], axis=1)
    return Reranked(Candidates(found.units[top], np.hstack([found.features[top], added])), scored)


def _chunk_vectors(index: Index, unit: int) -> np.ndarray:
    """Return the vectors of a unit's chunks, of shape (chunks, dimension)."""
    start, end = np.searchsorted(index.dense.owner, [unit, unit + 1])
    rows: np.ndarray = index.dense.vectors[start:end][index.dense.kind[start:end] == CHUNK]
    return rows


def _fed_back(vector: np.ndarray, vectors: Sequence[np.ndarray], cosines: Sequence[np.ndarray]) -> np.ndarray:
    """Return the query's vector moved towards the best chunks of the best units, of length 1."""
    best = [rows[cosine.argmax()] for rows, cosine in zip(vectors, cosines, strict=False) if len(rows)]
    moved = vector + FEEDBACK_SHARE * np.mean(best, axis=0) if best else vector
    unit: np.ndarray = moved / (np.linalg.norm(moved) or 1.0)
    return unit


def _best(cosines: np.ndarray) -> float:
    return float(cosines.max()) if len(cosines) else 0.0


def _held(unit: Unit, worth: dict[str, float]) -> float:
    held = _terms_of(unit.text) | _terms_of(" ".join((unit.title, *unit.headings)))
    return sum(value for term, value in worth.items() if term in held) / (sum(worth.values()) or 1.0)


@lru_cache(maxsize=20_000)
def _terms_of(text: str) -> frozenset[str]:
    return frozenset(terms(text))


def _similarity(unit: Unit, cosines: np.ndarray) -> Callable[[str], float]:
    """Return the function that gives a segment the cosine of the chunk it stands in."""

    def similarity(text: str) -> float:
        probe = text.strip("`\n ")[:40]
        hits = [value for chunk, value in zip(unit.chunks, cosines, strict=True) if probe in chunk.text]
        return float(max(hits, default=min(cosines, default=0.0)))

    return similarity
