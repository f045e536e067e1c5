"""Relevance of units to a query: dense, lexical and page-level evidence, fused by a linear model."""

import json
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from rag.dense import CHUNK, QUESTION, WHOLE
from rag.index import Index
from rag.lexical import FIELDS
from rag.query import EXPANSION_WEIGHT, Query

CANDIDATE_VECTORS = 300
CANDIDATE_LEXICAL = 120


@dataclass(frozen=True, slots=True)
class Candidates:
    """The units in question and their features, a float32 matrix of shape (units, len(FEATURES))."""

    units: np.ndarray  # (n,) unit numbers
    features: np.ndarray


FEATURES = ("chunk", "whole", "question", *FIELDS, "page_dense", "page_lexical")


def load_weights() -> dict[str, float]:
    """Return the weight of each feature, as fitted by tests/evals."""
    data = json.loads(files("rag").joinpath("weights.json").read_text("utf-8"))
    return {name: float(value) for name, value in data["fusion"].items()}


def candidates(index: Index, query: Query, vector: np.ndarray) -> Candidates:
    """Collect the units that either side ranks high, with all features computed for each."""
    lexical = _lexical(index, query)
    by_vector = index.dense.nearest(vector, CANDIDATE_VECTORS)
    total = np.sum(list(lexical.values()), axis=0)
    count = min(CANDIDATE_LEXICAL, len(total))
    by_words = np.argpartition(-total, count - 1)[:count]
    units = np.union1d(by_vector, by_words[total[by_words] > 0])
    dense = _dense(index, units, vector)
    columns = [*dense, *(lexical[name][units] for name in FIELDS)]
    paths = np.unique([index.units[at].path for at in units], return_inverse=True)[1]
    columns.append(_page(paths, columns[0]))
    columns.append(_page(paths, total[units]))
    return Candidates(units, np.stack(columns, axis=1).astype(np.float32))


def fuse(found: Candidates, weights: dict[str, float]) -> np.ndarray:
    """Return the relevance of each candidate, float32 of shape (units,)."""
    return found.features @ np.array([weights[name] for name in FEATURES], dtype=np.float32)


def _lexical(index: Index, query: Query) -> dict[str, np.ndarray]:
    """Return per field the BM25 score of every unit, divided by the most that any unit could expect."""
    ceiling = 1e-6 + sum(index.lexical.idf.get(term, 0.0) for term in query.terms)
    scores = {}
    for name in FIELDS:
        own = index.lexical.scores(query.terms, name)
        more = index.lexical.scores(query.expansions, name)
        scores[name] = (own + EXPANSION_WEIGHT * more) / ceiling
    return scores


def _dense(index: Index, units: np.ndarray, vector: np.ndarray) -> list[np.ndarray]:
    """Return for each unit the best cosine among its chunks, of its whole text, and among its questions."""
    owner, kind = index.dense.owner, index.dense.kind
    starts, ends = np.searchsorted(owner, units), np.searchsorted(owner, units, side="right")
    rows = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)])
    cosine = index.dense.vectors[rows] @ vector
    at = np.repeat(np.arange(len(units)), ends - starts)
    columns = []
    for wanted in (CHUNK, WHOLE, QUESTION):
        best = np.zeros(len(units), dtype=np.float32)
        mask = kind[rows] == wanted
        np.maximum.at(best, at[mask], cosine[mask])
        columns.append(best)
    return columns


def _page(paths: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return for each candidate the mean of the three best scores on its page."""
    result = np.zeros(len(scores), dtype=np.float32)
    for page in range(paths.max(initial=-1) + 1):
        mask = paths == page
        best = np.sort(scores[mask])[-3:]
        result[mask] = best.sum() / 3
    return result
