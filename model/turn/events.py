"""What a chat turn reports while it works: small frozen values, in the order they happen.

Nothing here knows llama.cpp or Gradio; the page maps these values to messages, the terminal prints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model.engine.events import Counts, FinishReason, Prefill, Queued, TextDelta, Timings
from model.prompting.conversation import Conversation
from rag.types import SearchResult
from tools.types import ToolCall, ToolResult


@dataclass(frozen=True, slots=True)
class RouteChosen:
    """The router's decision, or the visitor's own choice (confidence 1.0, overridden True)."""

    name: str
    label: str
    confidence: float
    overridden: bool = False


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """What retrieval found, before any token; `result.passages` is empty when the corpus does not hold the answer."""

    result: SearchResult


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool is about to run in the sandbox."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool's result; failures are results too (`result.success` is False)."""

    call: ToolCall
    result: ToolResult


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence beside the answer: what was marked, dropped or could not be had."""

    text: str
    # "full": every seat is taken, nothing was computed; a page offers what never queues
    kind: Literal["info", "warning", "error", "full"] = "info"


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The end of a turn, always sent: what was said in full, and how it went."""

    answer: str  # the checked text that the visitor saw, follow-ups excluded
    reason: FinishReason
    counts: Counts
    timings: Timings
    model: str  # label of the model that answered, "" when none was needed
    grounded: bool  # the answer rests on passages or on a tool's result
    conversation: Conversation  # with this turn appended


TurnEvent = (
    RouteChosen | SourcesFound | ToolStarted | ToolFinished | Queued | Prefill | TextDelta | Notice | TurnFinished
)
