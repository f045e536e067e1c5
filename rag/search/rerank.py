"""Rerank the best candidates with pseudo-relevance feedback.

Adds the features that need the text of a candidate or the other candidates. They cost ~0.2 ms per candidate, too much
for all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from rag.index.lexical import term_sets, terms
from rag.index.store import Index
from rag.search import segments
from rag.search.fusion import FUSION_FEATURES, Candidates
from rag.search.query import Query
from rag.search.segments import Scored, score_segments
from rag.types import Unit

RERANK_CANDIDATES = 30
FEEDBACK_FROM, FEEDBACK_SHARE = 3, 0.5  # the query moves towards so many best candidates by this share
RERANK_ONLY = (
    "held",  # share of the query's terms, by weight, that the unit holds in text, title or headings
    "feedback",  # best cosine of a chunk with the query after feedback
    "segment",  # score of the best sentence, row or command block
    "pairs",  # share of the query's neighbouring terms that are neighbours here; 0.0 in an index that lists questions
    "nearest",  # 1.0 where the unit lists the question that is nearest of all candidates' questions
    "worded",  # square of the share of terms, by weight, that the query and a listed question have in common
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
    units = [index.units[at] for at in found.units[top]]
    vectors = index.dense.chunk_vectors(found.units[top])
    cosines = [rows @ vector for rows in vectors]
    like = _fed_back(vector, vectors[:FEEDBACK_FROM], cosines)
    scored = score_segments(units, cosines, query, index.lexical.idf)
    columns = (
        _held(units, {term: index.lexical.idf.get(term, 0.0) for term in query.terms}),
        [_best(rows @ like) for rows in vectors],
        [max((item.score for item in row), default=0.0) for row in scored],
        [0.0] * len(units) if index.manifest.questions else _pairs(units, query),  # listed questions say it better
        _nearest(found.features[top, FUSION_FEATURES.index("question")]),
        _worded(units, query, index.lexical.idf),
    )
    added = np.stack([np.array(column, dtype=np.float32) for column in columns], axis=1)
    return Reranked(Candidates(found.units[top], np.hstack([found.features[top], added])), scored)


def read_ahead(index: Index) -> None:
    """Do the part of reranking that no question changes, ~0.5 ms a passage, which the first searches spend else."""
    for unit in index.units:
        segments.read_ahead([unit])
        _held([unit], {})
        term_sets(unit.questions)
        if not index.manifest.questions:
            _in_order(unit.text, unit.headings)


def _fed_back(vector: np.ndarray, vectors: Sequence[np.ndarray], cosines: Sequence[np.ndarray]) -> np.ndarray:
    """Return the query's vector moved towards the best chunks of the best units, of length 1."""
    best = [rows[cosine.argmax()] for rows, cosine in zip(vectors, cosines, strict=False) if len(rows)]
    moved = vector + FEEDBACK_SHARE * np.mean(best, axis=0) if best else vector
    unit: np.ndarray = moved / (np.linalg.norm(moved) or 1.0)
    return unit


def _best(cosines: np.ndarray) -> float:
    return float(cosines.max()) if len(cosines) else 0.0


def _held(units: Sequence[Unit], worth: Mapping[str, float]) -> list[float]:
    """Return for each unit the share of the query's terms, by `worth`, that it holds."""
    total = sum(worth.values()) or 1.0
    texts, heads = [unit.text for unit in units], [" ".join((unit.title, *unit.headings)) for unit in units]
    held = term_sets([*texts, *heads])
    pairs = zip(held[: len(units)], held[len(units) :], strict=True)
    return [sum(value for term, value in worth.items() if term in text or term in head) / total for text, head in pairs]


def _nearest(cosines: np.ndarray) -> list[bool]:
    """Return for each unit whether its `cosines`, of the best question it lists, are the highest; none where all are 0.

    A short question is near to many of one subject, by little more to one than to the next. Which is first tells more
    than by how much.
    """
    best = cosines.max(initial=0.0)
    return [bool(best > 0 and cosine == best) for cosine in cosines]


def _worded(units: Sequence[Unit], query: Query, idf: Mapping[str, float]) -> list[float]:
    """Return for each unit how nearly one of the questions it lists has the query's own terms and no others, 0..1."""
    own = frozenset(query.terms)

    def worth(held: frozenset[str]) -> float:
        return sum(idf.get(term, 0.0) for term in held)

    sets = [term_sets(unit.questions) for unit in units]
    shares = [[2 * worth(one & own) / ((worth(one) + worth(own)) or 1.0) for one in listed] for listed in sets]
    return [max(of, default=0.0) ** 2 for of in shares]


def _pairs(units: Sequence[Unit], query: Query) -> list[float]:
    """Return for each unit the share of the query's pairs of neighbouring terms that stand side by side in it."""
    wanted = set(pairwise(terms(query.spelled)))
    follow = [pairwise(_in_order(unit.text, unit.headings)) for unit in units]
    return [len(wanted.intersection(pairs)) / max(1, len(wanted)) for pairs in follow]


@lru_cache(maxsize=5_000)
def _in_order(text: str, headings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the index terms of a passage as they follow each other."""
    return tuple(terms(" ".join((text, *headings))))
