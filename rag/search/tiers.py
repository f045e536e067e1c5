"""Search two tiers of knowledge as one: our reviewed pages, and behind them upstream's own text, unreviewed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rag.index.store import load
from rag.search.retriever import ANSWERING, Holding, Look, Retriever, WordEncoder
from rag.types import Embedded, Leaning, Passage, SearchResult

# Logits by which the relevance of our best passage must exceed upstream's for our pages to lead; they list questions,
# which lifts them. It does in 184 of 185 questions that they answer, and not in 7 of 19 that only upstream's text
# answers; 4.0 would be 12 of those 19, for 10 of the 185.
OWN_LEAD = 1.0


class Searching(Protocol):
    """The search over one tier or two."""

    def search(
        self, text: str, k: int = 5, embedded: Embedded | None = None, leaning: Leaning | None = None
    ) -> SearchResult:
        """Return up to `k` passages for a question, or none."""

    def read_ahead(self) -> None:
        """Do what the first searches have to do else."""

    def likely(self) -> list[Passage]:
        """Return the reviewed passages, the most likely to be asked for first."""

    def passage(self, passage_id: str) -> Passage | None:
        """Return a passage by its id."""

    @property
    def holdings(self) -> list[Holding]:
        """Return what each tier holds, the reviewed one first."""


class TwoTiers:
    """The search over our pages and upstream's text. Safe to share between threads, as its tiers are."""

    def __init__(self, reviewed: Retriever, upstream: Retriever) -> None:
        self._reviewed, self._upstream = reviewed, upstream

    def search(
        self, text: str, k: int = 5, embedded: Embedded | None = None, leaning: Leaning | None = None
    ) -> SearchResult:
        """Return up to `k` passages of both tiers; see Retriever.search.

        Our pages lead wherever they answer. Upstream's passages follow them, and lead where only they seem to answer,
        or where they speak of more of what the question turns on.
        """
        start = time.perf_counter()
        spelled = self._reviewed.read(text).spelled
        if embedded is None or embedded.text != spelled:
            embedded = self._reviewed.embed(spelled)  # once for both tiers
        ours, theirs = (tier.look(text, k, embedded, leaning) for tier in (self._reviewed, self._upstream))
        leads = (self._reviewed, ours), (self._upstream, theirs)
        (tier, lead), (other, rest) = leads if _ours_answer(ours.result, theirs.result) else leads[::-1]
        missing = tier.missing(lead)
        if missing and rest.result.passages and set(lacking := other.missing(rest)) < set(missing):
            lead, rest, missing = rest, lead, lacking
        leading, following = (_passages(look, reviewed=look is ours) for look in (lead, rest))
        joined = _joined(leading, following, k)
        return replace(lead.result, passages=joined, nearest=ours.result.nearest, missing=missing, ms=_ms(start))

    def read_ahead(self) -> None:
        """Read every passage of both tiers once; see Retriever.read_ahead."""
        self._reviewed.read_ahead()
        self._upstream.read_ahead()

    def likely(self) -> list[Passage]:
        """Return the passages of our pages, those that list most questions first."""
        return self._reviewed.likely()

    def passage(self, passage_id: str) -> Passage | None:
        """Return a passage of either tier by its id, without score and excerpt; None when neither holds it."""
        if found := self._reviewed.passage(passage_id):
            return found
        found = self._upstream.passage(passage_id)
        return _unreviewed(found) if found else None

    @property
    def holdings(self) -> list[Holding]:
        """Return what each tier holds, the reviewed one first."""
        return [*self._reviewed.holdings, *(replace(held, reviewed=False) for held in self._upstream.holdings)]


def with_upstream(
    own: Retriever, folder: Path, embedder: WordEncoder, threshold: float | None = None, *, required: bool = False
) -> Searching:
    """Return the search over `own` and the index of upstream's text in `folder`; `own` alone where there is none.

    `required`: the folder must be there. Raises IndexMissing, IndexStale or IndexCorrupt, as rag.index.store.load does.
    """
    if not required and not folder.is_dir():
        return own
    return TwoTiers(own, Retriever(load(folder, embedder), embedder, threshold=threshold))


def _ours_answer(ours: SearchResult, theirs: SearchResult) -> bool:
    if not ours.passages or not theirs.passages:
        return bool(ours.passages) or not theirs.passages
    return ours.passages[0].score >= theirs.passages[0].score + OWN_LEAD


def _joined(leading: Sequence[Passage], following: Sequence[Passage], k: int) -> list[Passage]:
    """Return up to `k` passages: those that the extract may cite, then the other tier's, then what is left."""
    first = [*leading[:ANSWERING], *following, *leading[ANSWERING:]]
    return first[:k]


def _passages(look: Look, *, reviewed: bool) -> list[Passage]:
    return look.result.passages if reviewed else [_unreviewed(passage) for passage in look.result.passages]


def _unreviewed(passage: Passage) -> Passage:
    return replace(passage, reviewed=False)


def _ms(start: float) -> float:
    return (time.perf_counter() - start) * 1000
