"""Turns feedback into candidates: what was not answered, or answered wrongly, one for each question, to be reviewed.

A visitor consented to every row here. Answers that a browser brought back are left out: it may have made them up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any

from onboarding.feedback.row import FeedbackRow
from onboarding.routing.language.lexicon import Gloss, Lexicon, load_lexicon
from onboarding.routing.language.text import fold
from rag.index.lexical import terms

WRONG = frozenset({"wrong", "outdated"})
UNANSWERED = frozenset({"near", "not here"})


@dataclass(frozen=True)
class Candidate:
    """The rows about one question, oldest first; never empty."""

    rows: tuple[FeedbackRow, ...]

    @property
    def id(self) -> str:
        """Return the name by which a maintainer calls it."""
        return f"c{self.rows[0].id[:8]}"

    @property
    def last(self) -> FeedbackRow:
        """Return the newest row, one whose words may be published before others."""
        return max(self.rows, key=lambda row: (row.agreed == "publish", row.at))

    @property
    def question(self) -> str:
        """Return the question as that visitor put it, redacted."""
        return self.last.question

    @cached_property
    def gloss(self) -> Gloss:
        """Return the question's language and its English words."""
        return _lexicon().read(fold(self.question))

    @property
    def topic(self) -> str:
        """Return the route that it took most often."""
        return Counter(row.route for row in self.rows).most_common(1)[0][0]

    @property
    def visitors(self) -> frozenset[str]:
        """Return who asked it."""
        return frozenset(row.visitor for row in self.rows)

    @property
    def publishers(self) -> frozenset[str]:
        """Return who agreed that their words are published."""
        return frozenset(row.visitor for row in self.rows if row.agreed == "publish")

    @property
    def correction(self) -> FeedbackRow | None:
        """Return the newest row that says what is right and may be published."""
        said = (row for row in reversed(self.rows) if row.comment and row.agreed == "publish")
        return next(said, None)

    def as_json(self) -> dict[str, Any]:
        """Return what a maintainer has to know, as JSON values."""
        return {
            "id": self.id,
            "question": self.question,
            "language": self.gloss.language,
            "topic": self.topic,
            "state": self.last.state,
            "visitors": len(self.visitors),
            "may_publish": bool(self.publishers),
            "answer": self.last.answer,
            "sources": [source.url or source.title for source in self.last.sources],
            "model": self.last.model,
            "complaints": [_complaint(row) for row in self.rows],
        }


def candidates(rows: Iterable[FeedbackRow]) -> list[Candidate]:
    """Return one candidate for each question that was not answered or that a visitor corrected, the oldest first."""
    asked: defaultdict[tuple[str, ...], list[FeedbackRow]] = defaultdict(list)
    for row in latest(rows):
        if row.question and not row.from_browser and _is_for_review(row):
            asked[_key(row.question)].append(row)
    return [Candidate(tuple(group)) for group in asked.values()]


def latest(rows: Iterable[FeedbackRow]) -> list[FeedbackRow]:
    """Return the rows that are valid, oldest first: of a visitor's thumbs on one answer only the last."""
    standing: dict[tuple[str, ...], FeedbackRow] = {}
    for row in sorted(rows, key=lambda row: row.at):
        is_thumb = row.kind == "thumb" and row.turn
        standing[(row.visitor, row.turn) if is_thumb else (row.id,)] = row
    return sorted(standing.values(), key=lambda row: row.at)


def same_words(one: str, other: str) -> bool:
    """Return True where two questions are one, but for spelling, stop words, endings and punctuation."""
    return _key(one) == _key(other)


def _is_for_review(row: FeedbackRow) -> bool:
    is_corrected = row.verdict == "down" and bool(row.comment)
    return row.reason in WRONG or is_corrected or (row.verdict == "down" and row.state in UNANSWERED)


def _key(question: str) -> tuple[str, ...]:
    return tuple(terms(question)) or (" ".join(question.casefold().split()),)


@cache
def _lexicon() -> Lexicon:
    return load_lexicon()


def _complaint(row: FeedbackRow) -> dict[str, str]:
    about = row.reported.url or row.reported.title if row.reported else ""
    said = {"reason": row.reason, "comment": row.comment, "source": about}
    return {"on": f"{datetime.fromtimestamp(row.at, UTC):%Y-%m-%d}"} | {k: v for k, v in said.items() if v}
