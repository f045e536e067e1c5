"""Collect the candidates of hybrid search with their dense, lexical and page-level features."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rag.index.dense import CHUNK, QUESTION, WHOLE
from rag.index.lexical import FIELDS
from rag.index.store import Index
from rag.search.query import Query

CANDIDATE_VECTORS = 400  # nearest vectors; their units, ~150, become candidates
CANDIDATE_LEXICAL = 100  # units with the best BM25 sum
# The cost of a passage to the next one of its page, in units of relevance; chosen on rag/training, each file held out.
BEST_PAGE_COST, OTHER_PAGE_COST, BEST_PAGE_MOST = 1.2, 2.0, 4
PAGE_BEST = 3  # a page is judged by the mean of its three best units

# Kinds of page by name; training learns which of them answer visitors' questions.
PAGE_KINDS: Mapping[str, re.Pattern[str]] = {
    "research": re.compile(r"research"),
    "plan": re.compile(r"plan|roadmap|vision|status|summary|prd|design|strategy"),
    "decision": re.compile(r"(^|/)adrs?/"),
    "settings": re.compile(r"\.(ya?ml|example)$"),
    "guide": re.compile(r"readme|getting|quick|guide|troubleshoot"),
    "landing": re.compile(r"(^|/)index\."),
}
FUSION_FEATURES = (
    "chunk",  # best cosine among the chunks of the unit
    "whole",  # cosine of the whole unit
    "question",  # best cosine among the questions that the unit answers
    "page_question",  # the same over its page
    *FIELDS,  # BM25 of each field, as a share of the sum of the query's idf
    *(f"more_{name}" for name in FIELDS),  # the same for glossary expansions
    "page_chunk",  # mean of the page's best units, dense
    "page_words",  # and lexical
    *PAGE_KINDS,
)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidate units and their features, a float32 matrix of shape (units, len(FUSION_FEATURES) or more)."""

    units: np.ndarray  # (n,) unit numbers
    features: np.ndarray

    def best(self, names: Sequence[str], rows: Sequence[int]) -> dict[str, float]:
        """Return the highest value of each named feature among the candidates at `rows`."""
        columns = [FUSION_FEATURES.index(name) for name in names]
        return dict(zip(names, self.features[np.ix_(rows, columns)].max(axis=0).tolist(), strict=True))


def candidates(index: Index, query: Query, vector: np.ndarray) -> Candidates:
    """Return the units that dense or lexical search ranks high, with all FUSION_FEATURES."""
    ceiling = 1e-6 + sum(index.lexical.idf.get(term, 0.0) for term in query.terms)
    own = {name: scores / ceiling for name, scores in index.lexical.scores(query.terms).items()}
    more = index.lexical.scores(query.expansions)
    words = np.sum(list(own.values()), axis=0)
    units = np.union1d(index.dense.nearest(vector, CANDIDATE_VECTORS), _best(words, CANDIDATE_LEXICAL))
    chunk, whole, question = _cosines(index, units, vector)
    pages = np.unique([index.units[at].path for at in units], return_inverse=True)[1]
    columns = [chunk, whole, question, _page_mean(pages, question, 1), *(own[name][units] for name in FIELDS)]
    columns += [(more[name] / ceiling)[units] for name in FIELDS]
    columns += [_page_mean(pages, chunk, PAGE_BEST), _page_mean(pages, words[units], PAGE_BEST)]
    kinds = [_page_kinds(index.units[at].path) for at in units]
    return Candidates(units, np.hstack([np.stack(columns, axis=1), np.array(kinds)]).astype(np.float32))


@lru_cache(maxsize=5_000)
def _page_kinds(path: str) -> tuple[bool, ...]:
    """Return for each of PAGE_KINDS if a page is of it."""
    return tuple(bool(kind.search(path.lower())) for kind in PAGE_KINDS.values())


def varied(relevance: np.ndarray, pages: Sequence[str]) -> list[int]:
    """Return the positions of all candidates, best first, with other pages sooner than relevance alone puts them.

    Each passage of a page lowers the page's next one, least on the page of the best passage, which often holds the
    other half of the answer. At most BEST_PAGE_MOST passages of that page come early.
    """
    order = np.argsort(-relevance, kind="stable").tolist()
    seen: dict[str, int] = {}
    adjusted: dict[int, float] = {}
    for at in order:
        earlier = seen.get(pages[at], 0)
        best = pages[at] == pages[order[0]]
        late = best and earlier >= BEST_PAGE_MOST
        cost = float("inf") if late else earlier * (BEST_PAGE_COST if best else OTHER_PAGE_COST)
        adjusted[at] = float(relevance[at]) - cost
        seen[pages[at]] = earlier + 1
    return sorted(order, key=lambda at: -adjusted[at])


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the `count` highest scores above zero."""
    top = np.argpartition(-scores, min(count, len(scores)) - 1)[:count]
    positive: np.ndarray = top[scores[top] > 0]
    return positive


def _cosines(index: Index, units: np.ndarray, vector: np.ndarray) -> list[np.ndarray]:
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


def _page_mean(pages: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """Return for each candidate the mean of the `count` best scores on its page; missing ones count as 0."""
    order = np.lexsort((-scores, pages))
    starts = np.searchsorted(pages[order], np.arange(pages.max() + 1))
    ranks = np.arange(len(order)) - starts[pages[order]]
    kept = order[ranks < count]
    total = np.bincount(pages[kept], weights=scores[kept], minlength=len(starts))
    means: np.ndarray = (total / count)[pages]
    return means
