"""Search an index: turn a question into ranked passages, an extract and the probability that they answer it."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from rag.errors import IndexCorrupt, IndexMissing, IndexStale
from rag.index.build import Progress, corpus_digest, silent, write
from rag.index.lexical import term_sets, terms
from rag.index.store import Encoder, Index, load
from rag.reading.documents import read_corpus
from rag.reading.links import UPSTREAM_COMMIT, UPSTREAM_DATE, source_links
from rag.search.abstain import Calibration, load_calibration, logit, signals
from rag.search.extract import Found, answer, excerpt
from rag.search.fusion import FUSION_FEATURES, Candidates, candidates, varied
from rag.search.near import Gatherer, Leading, NearEvidence, load_nearness
from rag.search.query import Query, load_glossary, prepare
from rag.search.question_map import load_question_map, with_mapped_questions
from rag.search.rerank import RERANK_FEATURES, read_ahead, rerank
from rag.search.segments import Scored
from rag.types import Difference, Embedded, Leaning, Passage, SearchResult, Unit

NEAREST = 3  # pages that an abstaining search names
MOST_DIFFERENCES = 3  # that a visitor takes in
SHOWN = 5  # passages whose evidence counts against something missing
_WORDS = re.compile(r"\w+")
LISTED, LISTED_LEAD = 0.998, 0.1  # cosine from which a section lists the very question; the logits by which it leads
LISTED_ANSWERS = 0.95  # probability that a section answers the very question that its reviewers list for it, at least
ANSWERING = 3  # passages that an extract may draw on and cite by their place; what a model reads


# How a question that leans on another is ranked, chosen on tests/evals/talks_own.jsonl: its vector moves towards the
# message as typed and away from the question before, in shares of its length; the page before gains so many logits of
# relevance, as does a heading that holds all that is new, and a passage loses so many each time it led in this talk.
TOWARDS_SAID, FROM_EARLIER, SAME_PAGE, NEW_IN_HEADING, READ_BEFORE = 0.3, 0.4, 3.0, 3.0, 3.0


class WordEncoder(Encoder, Protocol):
    """The encoder that also knows ordinary words."""

    def is_word(self, word: str) -> bool:
        """Return True when `word` is an ordinary word, which no misspelt name is."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reasons for a passage: the value of every feature."""

    passage: Passage
    features: dict[str, float]


@dataclass(frozen=True, slots=True)
class Holding:
    """What an index holds: how many passages, of which commit (hexadecimal), from which day; "" where unknown."""

    passages: int
    commit: str
    date: str  # as 2026-02-24
    reviewed: bool = True


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of both linear models, as `python -m rag train` fits them."""

    fusion: np.ndarray  # float32 (len(FUSION_FEATURES),)
    rerank: np.ndarray  # float32 (len(RERANK_FEATURES),)


def load_weights() -> Weights:
    """Return the weights that ship with the package; a feature that they were not fitted with weighs nothing."""
    data = json.loads(Path(__file__).with_name("weights.json").read_text("utf-8"))
    parts = ((data["fusion"], FUSION_FEATURES), (data["rerank"], RERANK_FEATURES))
    return Weights(*(np.array([part.get(name, 0.0) for name in names], dtype=np.float32) for part, names in parts))


@dataclass(frozen=True, slots=True)
class Ranking:
    """The reranked candidates, the relevance of each, and their order, best first."""

    query: Query
    vector: np.ndarray  # of the query
    found: Candidates  # features: RERANK_FEATURES
    scored: list[list[Scored]]  # the segments of each candidate
    relevance: np.ndarray  # (n,)
    order: list[int]
    is_listed: bool = False  # the question is one that a section lists

    def units(self, places: Sequence[int]) -> list[int]:
        """Return the numbers of the units at `places` of the order, counted from 0."""
        return [int(self.found.units[self.order[place]]) for place in places]


@dataclass(frozen=True, slots=True)
class Look:
    """A search that has not yet asked what is missing: its result, its ranking and what its extract cites."""

    result: SearchResult
    ranking: Ranking
    cited: tuple[int, ...] = ()  # numbers of the passages, counted from 1


class Retriever:
    """The search over one index. Safe to share between threads, because a search changes nothing."""

    def __init__(
        self,
        index: Index,
        embedder: WordEncoder,
        weights: Weights | None = None,
        threshold: float | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """Take a loaded index and the embedder it was built with; weights and calibration ship, unless they are given.

        A search abstains below `threshold`, a probability 0..1; None takes the fitted one. A higher threshold refuses
        more questions that the corpus answers, a lower one answers more questions that it does not; 0 never abstains.
        """
        self.index = index
        self._map = load_question_map(embedder.digest)
        self._mapped = with_mapped_questions(index, self._map) if self._map else index
        self._embedder = embedder
        self._weights = weights or load_weights()
        self._calibration = calibration or load_calibration(embedder.digest)
        self._threshold = self._calibration.threshold if threshold is None else threshold
        self._glossary = load_glossary()
        self._nearness = load_nearness(embedder.digest)
        kind = self._nearness.kind if self._nearness else None
        self._gatherer = Gatherer(index, embedder, self._glossary, kind)

    def search(
        self, text: str, k: int = 5, embedded: Embedded | None = None, leaning: Leaning | None = None
    ) -> SearchResult:
        """Return up to `k` passages for a question, or none when the corpus does not seem to answer it.

        `embedded` spares the encoder a text that the caller has embedded already. The search uses its vector when its
        text equals the text to embed, which is the question after spelling correction. With `leaning` the passages are
        ranked for a question that leans on another; whether they answer is judged without it.
        """
        start = time.perf_counter()
        look = self.look(text, k, embedded, leaning)
        return replace(look.result, missing=self.missing(look), ms=_ms(start))

    def look(self, text: str, k: int = 5, embedded: Embedded | None = None, leaning: Leaning | None = None) -> Look:
        """Return a search without what is missing, for a caller who may not need that."""
        start = time.perf_counter()
        ranking = self.rank(text, embedded)
        probability = self._probability(ranking)
        if leaning:
            ranking = self._leaning(ranking, leaning)
        passages = self._passages(ranking, k)
        nearest = _one_per_page(passages)[:NEAREST]
        if probability < self._threshold:
            return Look(SearchResult([], probability, "", nearest, _ms(start)), ranking)
        found = self._found(ranking, min(k, ANSWERING))
        said = answer(found, ranking.query)
        differs = _differs([found[number - 1].unit for number in said.cited], ranking.query)
        return Look(SearchResult(passages, probability, said.text, nearest, _ms(start), differs), ranking, said.cited)

    def missing(self, look: Look) -> tuple[str, ...]:
        """Return what the question turns on and no leading passage speaks of, in the visitor's words; mostly ()."""
        if self._nearness is None or not look.result.passages or look.ranking.is_listed:
            return ()  # what a section lists it answers, in whichever words
        return self._nearness.missing(look.ranking.query.text, self.evidence(look))

    def evidence(self, look: Look) -> NearEvidence:
        """Return the evidence for what is missing in a search that has found passages."""
        ranking = look.ranking
        cited = ranking.units([number - 1 for number in look.cited or (1,)])
        shown = ranking.units(range(min(SHOWN, len(ranking.order))))
        best = ranking.found.best(("whole", "chunk"), ranking.order[:SHOWN])
        known = best | {"answerable": logit(look.result.answerable)}
        return self._gatherer.evidence(Leading(ranking.query, cited, shown, known))

    @property
    def holdings(self) -> list[Holding]:
        """Return what the index holds, as a list of one."""
        manifest = self.index.manifest
        own = any(unit.sources for unit in self.index.units)  # our pages name what they were held against
        commit = UPSTREAM_COMMIT if own else manifest.corpus_commit
        date = UPSTREAM_DATE if commit == UPSTREAM_COMMIT else manifest.corpus_date
        return [Holding(manifest.units, commit, date)]

    def read_ahead(self) -> None:
        """Read every passage once, ~0.5 s for pages like ours; else the first searches do it and take longer."""
        read_ahead(self.index)

    def likely(self) -> list[Passage]:
        """Return every passage without score and excerpt, those that list most questions first."""
        units = sorted(self.index.units, key=lambda unit: -len(unit.questions))
        return [_passage(unit, 0.0, "") for unit in units]

    def passage(self, passage_id: str) -> Passage | None:
        """Return a passage by its id, without score and excerpt; None when the corpus no longer holds it."""
        unit = next((unit for unit in self.index.units if unit.id == passage_id), None)
        return _passage(unit, 0.0, "") if unit else None

    def explain(self, text: str, k: int = 5) -> list[Explanation]:
        """Return the best `k` passages with their features, also when a search would abstain."""
        ranking = self.rank(text)
        values = ranking.found.features[ranking.order[:k]].tolist()
        rows = [dict(zip(RERANK_FEATURES, row, strict=True)) for row in values]
        return [Explanation(passage, row) for passage, row in zip(self._passages(ranking, k), rows, strict=True)]

    def read(self, text: str) -> Query:
        """Return the query for a question: corrected spelling, terms and expansions."""
        return prepare(text, self.index.lexical, self._glossary, self._embedder.is_word)

    def find(self, text: str, embedded: Embedded | None = None) -> tuple[Query, np.ndarray, Candidates]:
        """Return the query, its vector and every candidate with FUSION_FEATURES."""
        query = self.read(text)
        if embedded is None or embedded.text != query.spelled or not len(embedded.vector):  # none without an encoder
            embedded = self.embed(query.spelled)
        vector = embedded.vector
        towards = self._map.towards_passages(vector) if self._map else vector
        return query, vector, candidates(self._mapped, query, towards)

    def embed(self, text: str) -> Embedded:
        """Return a text with its vector."""
        return Embedded(text, self._embedder.encode([text])[0])

    def rank(self, text: str, embedded: Embedded | None = None) -> Ranking:
        """Return the reranked candidates, ordered with other pages sooner than relevance alone puts them."""
        query, vector, found = self.find(text, embedded)
        reranked = rerank(self.index, query, vector, found, self._weights.fusion)
        features = reranked.found.features
        relevance = features @ self._weights.rerank
        is_listed = self._listed(query.text, reranked.found)
        relevance[is_listed] = np.maximum(relevance[is_listed], relevance.max(initial=-np.inf) + LISTED_LEAD)
        pages = [self.index.units[at].path for at in reranked.found.units]
        order = varied(relevance, pages)
        return Ranking(query, vector, reranked.found, reranked.scored, relevance, order, bool(is_listed.any()))

    def _leaning(self, ranking: Ranking, leaning: Leaning) -> Ranking:
        """Return the ranking anew, for a question that leans on another; a section that lists it leads as before."""
        if self._listed(ranking.query.text, ranking.found).any():
            return ranking
        moved = ranking.vector + TOWARDS_SAID * leaning.said - FROM_EARLIER * leaning.earlier
        moved /= np.linalg.norm(moved) or 1.0
        again = self.rank(ranking.query.text, Embedded(ranking.query.spelled, moved))
        units = [self.index.units[at] for at in again.found.units]
        nudges = [SAME_PAGE * (one.path == leaning.page) - READ_BEFORE * leaning.read.count(one.id) for one in units]
        news = NEW_IN_HEADING * self._in_headings(leaning.new, units)
        relevance = again.relevance + np.array(nudges, dtype=np.float32) + news
        return replace(again, relevance=relevance, order=varied(relevance, [one.path for one in units]))

    def _listed(self, text: str, found: Candidates) -> np.ndarray:
        """Return which candidates list the very question, by vector or by word, bool (candidates,)."""
        asked = _letters(text)
        same = [any(_letters(one) == asked for one in self.index.units[at].questions) for at in found.units]
        return np.array(same, dtype=bool) | (found.features[:, FUSION_FEATURES.index("question")] > LISTED)

    def _in_headings(self, text: str, units: Sequence[Unit]) -> np.ndarray:
        """Return the share of a text's terms, by idf, that the heading of each unit holds, float32 (units,)."""
        worth = {term: self.index.lexical.idf.get(term, 0.0) for term in terms(text)}
        held = term_sets([" ".join(unit.headings[-1:]) for unit in units])
        shares = [sum(worth[term] for term in worth.keys() & found) for found in held]
        return np.array(shares, dtype=np.float32) / (sum(worth.values()) or 1.0)

    def _probability(self, ranking: Ranking) -> float:
        if not ranking.query.terms:
            return 0.0  # the question holds stop words only
        kind = self._calibration.kind(ranking.vector)
        judged = self._calibration.probability(signals(self.index, ranking.query, ranking.found, ranking.order, kind))
        return max(judged, LISTED_ANSWERS) if ranking.is_listed else judged

    def _found(self, ranking: Ranking, k: int) -> list[Found]:
        units, relevance = ranking.found.units, ranking.relevance
        return [
            Found(self.index.units[units[at]], ranking.scored[at], float(relevance[at])) for at in ranking.order[:k]
        ]

    def _passages(self, ranking: Ranking, k: int) -> list[Passage]:
        return [
            _passage(
                self.index.units[ranking.found.units[at]],
                float(ranking.relevance[at]),
                excerpt(ranking.scored[at], ranking.query),
            )
            for at in ranking.order[:k]
        ]


def _letters(question: str) -> str:
    return " ".join(_WORDS.findall(question.casefold()))


def open_or_build(
    corpus: str | Path,
    index: Path,
    embedder: WordEncoder,
    progress: Progress = silent,
    threshold: float | None = None,
) -> Retriever:
    """Return a retriever over `corpus`; build the index folder `index` anew when it does not fit.

    The first build of our own corpus takes under a minute and reports `progress(texts done, texts in all)`. Searches
    abstain below `threshold`; Retriever says what it trades.
    """
    documents = read_corpus(corpus)
    try:
        loaded = load(index, embedder)
        if loaded.manifest.corpus_digest == corpus_digest(documents):
            return Retriever(loaded, embedder, threshold=threshold)
    except (IndexMissing, IndexStale, IndexCorrupt):
        pass  # build it
    write(documents, corpus, index, embedder, progress)
    return Retriever(load(index, embedder), embedder, threshold=threshold)


def _passage(unit: Unit, score: float, excerpt_: str) -> Passage:
    sources = source_links(unit.sources)
    return Passage(
        unit.id, unit.text, unit.title, unit.headings, unit.path, unit.lines, unit.url, score, excerpt_, sources
    )


def _one_per_page(passages: Sequence[Passage]) -> list[Passage]:
    return list({passage.path: passage for passage in reversed(passages)}.values())[::-1]


def _differs(units: Sequence[Unit], query: Query) -> tuple[Difference, ...]:
    """Return what upstream's files say otherwise than `units`, the nearest to the question first, each file once.

    The first unit, which leads, gives all that it has; the others what shares a word with the question.
    """
    wanted = set(query.terms)
    claims = dict.fromkeys(claim for unit in units for claim in unit.differs)
    words = term_sets([claim.says for claim in claims])
    shared = {claim: len(wanted & held) for claim, held in zip(claims, words, strict=True)}
    lead = units[0].differs if units else ()
    told = sorted((claim for claim in shared if shared[claim] or claim in lead), key=lambda claim: -shared[claim])
    files = list({claim.path: claim for claim in reversed(told)}.values())[::-1][:MOST_DIFFERENCES]
    urls = source_links(tuple(claim.path for claim in files))
    return tuple(replace(claim, url=url) for claim, url in zip(files, urls, strict=True))


def _ms(start: float) -> float:
    return (time.perf_counter() - start) * 1000
