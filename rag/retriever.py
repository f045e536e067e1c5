"""Search: one question in, ranked passages, an extract and the probability that they answer it out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from rag.answerable import load_calibration, signals
from rag.dense import CHUNK
from rag.documents import read_corpus
from rag.errors import IndexCorrupt, IndexMissing, IndexStale
from rag.extract import Scored, compose, excerpt, score_segments
from rag.fusion import FEATURES, Candidates, candidates, load_weights, varied
from rag.index import Encoder, Index, Progress, corpus_digest, load, silent, write
from rag.links import source_link
from rag.query import Query, load_glossary, prepare
from rag.types import Passage, SearchResult, Unit

NEAREST = 3  # pages named when abstaining


class WordEncoder(Encoder, Protocol):
    """An encoder that also knows which words are ordinary ones."""

    def is_word(self, word: str) -> bool:
        """Tell whether `word` is an ordinary word, never to be taken for a misspelt name."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a passage was found: the value of every feature and what the query was read as."""

    passage: Passage
    features: dict[str, float]


class Retriever:
    """Answers questions from one index. Safe to use from several threads: a search changes nothing."""

    def __init__(self, index: Index, embedder: WordEncoder) -> None:
        """Take a loaded index and the embedder it was built with."""
        self.index = index
        self._embedder = embedder
        self._weights = load_weights()
        self._calibration = load_calibration(embedder.digest)
        self._glossary = load_glossary()

    def search(self, text: str, k: int = 5) -> SearchResult:
        """Return up to `k` passages for a question, or none when the corpus does not seem to answer it."""
        start = time.perf_counter()
        query, vector, found, relevance, order = self.rank(text)
        probability = self._probability(query, vector, found, order)
        top = self._passages(query, vector, found, relevance, order[:k])
        passages = [passage for passage, _ in top]
        if probability < self._calibration.threshold:
            return SearchResult([], probability, "", _one_per_page(passages)[:NEAREST], _ms(start))
        extract = compose(top[0][1], query) if top else ""
        return SearchResult(passages, probability, extract, _one_per_page(passages)[:NEAREST], _ms(start))

    def passage(self, passage_id: str) -> Passage | None:
        """Return a passage by its id, as no question asks for it; None when the corpus does not hold it any more."""
        unit = next((unit for unit in self.index.units if unit.id == passage_id), None)
        return _passage(unit, 0.0, "") if unit else None

    def explain(self, text: str, k: int = 5) -> list[Explanation]:
        """Return the best `k` passages with the features that put them there, whatever the calibration says."""
        query, vector, found, relevance, order = self.rank(text)
        order = order[:k]
        top = self._passages(query, vector, found, relevance, order)
        rows = [dict(zip(FEATURES, map(float, found.features[at]), strict=True)) for at in order]
        return [Explanation(passage, row) for (passage, _), row in zip(top, rows, strict=True)]

    def read(self, text: str) -> Query:
        """Return how a question is read: corrected spelling and expansions."""
        return prepare(text, self.index.lexical, self._glossary, self._embedder.is_word)

    def rank(self, text: str) -> tuple[Query, np.ndarray, Candidates, np.ndarray, list[int]]:
        """Return the query, its vector, the candidates, their relevance and their order, best first."""
        query = self.read(text)
        vector = self._embedder.encode([query.spelled])[0]
        found = candidates(self.index, query, vector)
        relevance = found.features @ self._weights
        pages = [self.index.units[at].path for at in found.units]
        return query, vector, found, relevance, varied(relevance, pages)

    def _probability(self, query: Query, vector: np.ndarray, found: Candidates, order: Sequence[int]) -> float:
        if not query.terms:
            return 0.0  # nothing but stop words was asked
        evidence = signals(self.index, query, found, order, self._calibration.kind(vector))
        return self._calibration.probability(evidence)

    def _passages(
        self, query: Query, vector: np.ndarray, found: Candidates, relevance: np.ndarray, order: Sequence[int]
    ) -> list[tuple[Passage, list[Scored]]]:
        made = []
        for at in order:
            number = int(found.units[at])
            unit = self.index.units[number]
            similarity = _similarity(self.index, number, vector)
            scored = score_segments(unit.text, query, lambda term: self.index.lexical.idf.get(term, 0.0), similarity)
            made.append((_passage(unit, float(relevance[at]), excerpt(scored, query)), scored))
        return made


def open_or_build(corpus: Path, index: Path, embedder: WordEncoder, progress: Progress = silent) -> Retriever:
    """Return a retriever over `corpus`, building or renewing the index folder `index` when it does not fit.

    The first build of our own corpus takes under a minute and reports `progress(texts done, texts in all)`.
    """
    documents = read_corpus(corpus)
    try:
        loaded = load(index, embedder)
        if loaded.manifest.corpus_digest == corpus_digest(documents):
            return Retriever(loaded, embedder)
    except (IndexMissing, IndexStale, IndexCorrupt):
        pass  # each of them means: build it
    write(documents, index, embedder, progress)
    return Retriever(load(index, embedder), embedder)


def _similarity(index: Index, unit: int, vector: np.ndarray) -> Callable[[str], float]:
    """Return the function that gives a segment the cosine of the chunk it stands in."""
    start, end = np.searchsorted(index.dense.owner, [unit, unit + 1])
    rows = np.arange(start, end)[index.dense.kind[start:end] == CHUNK]
    cosine = index.dense.vectors[rows] @ vector
    chunks = index.units[unit].chunks

    def similarity(text: str) -> float:
        probe = text.strip("`\n ")[:40]
        hits = [value for chunk, value in zip(chunks, cosine, strict=True) if probe in chunk.text]
        return float(max(hits, default=min(cosine, default=0.0)))

    return similarity


def _passage(unit: Unit, score: float, excerpt_: str) -> Passage:
    sources = tuple(source_link(path) for path in unit.sources)
    return Passage(
        unit.id, unit.text, unit.title, unit.headings, unit.path, unit.lines, unit.url, score, excerpt_, sources
    )


def _one_per_page(passages: Sequence[Passage]) -> list[Passage]:
    return list({passage.path: passage for passage in reversed(passages)}.values())[::-1]


def _ms(start: float) -> float:
    return (time.perf_counter() - start) * 1000
