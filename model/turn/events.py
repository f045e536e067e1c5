"""The events that a chat turn reports: small frozen values, in the order they happen.

This module knows neither llama.cpp nor Gradio; the page maps these values to messages, the terminal prints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model.checking.gate import Judged
from model.engine.events import Counts, FinishReason, Prefill, Queued, TextDelta, Timings
from model.prompting.conversation import Conversation
from rag.types import SearchResult
from tools.types import ToolCall, ToolResult


@dataclass(frozen=True, slots=True)
class RouteChosen:
    """The router's decision, or the visitor's own choice (confidence 1.0, overridden True).

    A turn about the page itself says what to click next: questions to ask, and tabs to open by name. Below any other
    turn stand the route's follow-ups.
    """

    name: str
    label: str
    confidence: float
    overridden: bool = False
    asks: tuple[str, ...] = ()
    tabs: tuple[str, ...] = ()
    stands_for: str = ""  # the question that a message stands for in its talk, in English words; "" for itself


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """The result of retrieval, before any token; `result.passages` is empty if the corpus does not hold the answer."""

    result: SearchResult
    near: str = ""  # the sentence, also the answer's first, that names what no passage speaks of; "" for an answer


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """The call of a tool that is about to run in the sandbox."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """The result of a tool; a failure is a result too (`result.success` is False)."""

    call: ToolCall
    result: ToolResult


@dataclass(frozen=True, slots=True)
class Notice:
    """The text of one sentence beside the answer: what the turn marked, dropped or could not get."""

    text: str
    # "full": the queue is full and nothing was computed; a page offers what never queues
    kind: Literal["info", "warning", "error", "full"] = "info"


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The last event of every turn: the whole answer, and how the turn went."""

    answer: str  # the text of all TextDelta, which holds no sentence that was left out
    reason: FinishReason
    counts: Counts
    timings: Timings
    model: str  # label of the model that answered, "" when none was needed
    grounded: bool  # the answer rests on passages or on a tool's result
    conversation: Conversation  # with this turn appended
    generated: str = ""  # the part of `answer` that the model wrote


# A Judged stands between the TextDeltas at its place in the answer.
TurnEvent = (
    RouteChosen
    | SourcesFound
    | ToolStarted
    | ToolFinished
    | Queued
    | Prefill
    | TextDelta
    | Judged
    | Notice
    | TurnFinished
)
