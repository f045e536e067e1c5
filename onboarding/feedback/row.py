"""The row of one piece of feedback. Unknown keys are ignored, so rows of other releases load."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Literal

from pydantic import BaseModel, Field

from rag.types import State

Kind = Literal["thumb", "source", "suggestion"]
Verdict = Literal["up", "down", ""]
# What the visitor agreed to: that maintainers keep and read it; or that they may publish its words as well.
Agreed = Literal["keep", "publish"]
Reason = Literal["wrong", "outdated", "not helpful", "unsafe", "other", ""]
REASONS: tuple[Reason, ...] = ("wrong", "outdated", "not helpful", "unsafe", "other")


class Source(BaseModel, frozen=True):
    """A passage that the answer was shown with."""

    id: str = ""  # of the passage; "" in a conversation restored from the browser
    title: str = ""
    url: str = ""


class Took(BaseModel, frozen=True, allow_inf_nan=False):
    """The time that the answer took, and the tokens it was."""

    queued_s: float = 0.0
    first_token_s: float | None = None  # None when no token was written
    total_s: float = 0.0
    generated: int = 0  # tokens


class FeedbackRow(BaseModel, frozen=True, allow_inf_nan=False):
    """One piece of feedback; `desk.Feedback` redacts its texts before it keeps the row."""

    version: Literal[1] = 1  # of the format; readers skip rows of one they do not know
    id: str = Field(default_factory=lambda: secrets.token_hex(16))
    at: float = Field(default_factory=time.time, ge=0, lt=253_402_300_800)  # seconds since the epoch, to the year 9999
    visitor: str  # `visitor_of` the key in the browser
    kind: Kind
    verdict: Verdict = ""
    reason: Reason = ""
    comment: str = ""  # of a suggestion: the wish itself
    turn: str = ""  # of the answer; a second thumb on the same answer replaces the first
    question: str = ""
    answer: str = ""
    route: str = ""
    sources: tuple[Source, ...] = ()
    state: State | Literal[""] = ""  # of the search at that time; "" where nothing was searched for
    reported: Source | None = None  # the source that a report is about
    model: str = ""
    took: Took = Took()
    agreed: Agreed = "keep"  # the sentence that every release has asked
    from_browser: bool = False  # question, answer and sources are what a browser brought back, and may be forged


def visitor_of(key: str) -> str:
    """Return the hash that rows hold instead of a visitor's key, so that no reader of rows can act for the visitor."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]
