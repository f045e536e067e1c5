"""Folds the events of `model.turn.events` into one Turn, for the page and for programs. Pure; no HTML, no Gradio."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

from model.checking.gate import Judged
from model.engine.events import Prefill, Queued, TextDelta
from model.prompting.conversation import Conversation
from model.turn.events import (
    Notice,
    RouteChosen,
    SourcesFound,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFinished,
)
from model.turn.wording import told
from rag.types import Passage, SearchResult
from tools.types import ToolCall, ToolResult

Phase = Literal["searching", "waiting", "reading", "writing", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class ToolStep:
    """A tool call and its result, None while the tool runs."""

    call: ToolCall
    result: ToolResult | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the state of its answer."""

    id: str
    question: str
    before: Conversation  # what the conversation was when this was asked: asking again starts there
    replaces: tuple[str, ...] = ()  # ids of the turns that gave way to this one, as it was asked again
    route: RouteChosen | None = None
    found: SearchResult | None = None
    near: str = ""  # the sentence that names what no passage speaks of; the text begins with it
    steps: tuple[ToolStep, ...] = ()
    progress: Queued | Prefill | None = None  # the wait under way; None once text comes
    text: str = ""  # without the sentences that were left out
    judged: tuple[tuple[int, Judged], ...] = ()  # each with its place in `text`, in order
    notices: tuple[Notice, ...] = ()
    finished: TurnFinished | None = None
    stopped: bool = False
    failure: str = ""  # one sentence when the turn broke
    from_browser: bool = False  # a browser brought it back: nobody knows that the server ever said it

    @property
    def phase(self) -> Phase:
        """Return the phase that the last event led to."""
        if self.failure:
            return "failed"
        if self.stopped or (self.finished and self.finished.reason == "cancelled"):
            return "stopped"
        if self.finished:
            return "failed" if self.finished.reason == "error" else "done"
        if isinstance(self.progress, Queued):
            return "waiting"
        if self.progress:
            return "reading"
        return "writing" if self.text else "searching"

    @property
    def running(self) -> bool:
        """Return True while events can still come."""
        return self.phase in {"searching", "waiting", "reading", "writing"}

    @property
    def sources(self) -> list[Passage]:
        """Return the passages that `[1]`, `[2]`, ... cite, in that order."""
        return self.found.passages if self.found else []

    def in_words(self, told: Callable[[Judged], str] = told) -> str:
        """Return the text as a reader without the page gets it: with the words of each judgement at its place."""
        parts, at = [], 0
        for place, judged in self.judged:
            before, after = self.text[at:place], self.text[place : place + 1]
            parts += [before, " " if before and not before[-1].isspace() else "", told(judged)]
            parts.append(" " if after and not after.isspace() else "")
            at = place
        return "".join([*parts, self.text[at:]])

    def stop(self) -> Turn:
        """Return the turn marked as stopped; a turn that has ended stays as it is."""
        return replace(self, stopped=True) if self.running else self


def advance(turn: Turn, event: TurnEvent) -> Turn:
    """Return the turn after one more event."""
    match event:
        case RouteChosen():
            return replace(turn, route=event)
        case SourcesFound(result, near):
            return replace(turn, found=result, near=near)
        case ToolStarted(call):
            return replace(turn, steps=(*turn.steps, ToolStep(call)))
        case ToolFinished(call, result):
            return replace(turn, steps=_with_result(turn.steps, call, result))
        case Queued() | Prefill():
            return replace(turn, progress=event)
        case TextDelta() | Judged():
            return _written(turn, event)
        case Notice():
            return replace(turn, notices=(*turn.notices, event))
        case TurnFinished():
            return replace(turn, finished=event, text=event.answer or turn.text)


def _written(turn: Turn, event: TextDelta | Judged) -> Turn:
    """Return the turn with the next piece of its answer, which ends the wait."""
    if isinstance(event, Judged):
        return replace(turn, judged=(*turn.judged, (len(turn.text), event)), progress=None)
    return replace(turn, text=turn.text + event.text, progress=None)


def advance_all(turn: Turn, events: Iterable[TurnEvent]) -> Turn:
    """Return the turn after several events."""
    return reduce(advance, events, turn)


def _with_result(steps: tuple[ToolStep, ...], call: ToolCall, result: ToolResult) -> tuple[ToolStep, ...]:
    for at in range(len(steps) - 1, -1, -1):
        if steps[at].call == call and steps[at].result is None:
            return (*steps[:at], ToolStep(call, result), *steps[at + 1 :])
    return (*steps, ToolStep(call, result))
