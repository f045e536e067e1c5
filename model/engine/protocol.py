"""The protocol between an engine and its callers: submit a prompt, iterate the events, cancel at any time."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from model.engine.events import EngineEvent, Finished, Prefill, Queued
from model.engine.prompt import Prompt

NO_ANSWER = "The model only thought and came to no answer; ask for less at a time, or again."
HEARTBEAT_S = 0.5  # the page's Stop reaches a generation when its iterator next hands over an event


class ModelUnusable(ValueError):
    """The error of a model that cannot answer; the message says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampling of the next token; temperature 0 takes the likeliest."""

    temperature: float = 0.0
    top_p: float = 0.95
    repeat_penalty: float = 1.0
    seed: int = 0
    grammar: str = ""  # GBNF; the answer then is a sentence of its rule `root`
    schema: str = ""  # JSON Schema as JSON text; binds where `grammar` is ""


class QueueFull(RuntimeError):
    """More generations wait than the engine keeps, or it has ended; the message is for the visitor."""

    def __init__(self, message: str = "The engine's queue is full; try again in a minute.") -> None:
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one generation."""

    max_tokens: int = 320
    sampling: Sampling = field(default_factory=Sampling)
    deadline_s: float = 180.0  # from its start in a slot; then it ends with what it has
    ignore_end: bool = False  # benchmarks: always write max_tokens
    tools: tuple[Mapping[str, Any], ...] = ()  # schemas; a server that calls tools by itself is held to these or none

    @property
    def is_bound(self) -> bool:
        """True where the text must be of a form from its first character, so that no thought can come before it."""
        return bool(self.tools or self.sampling.grammar or self.sampling.schema)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The facts about a model that the page shows."""

    name: str  # catalogue name or file stem
    label: str  # e.g. "SmolLM2-135M-Instruct Q4_1"
    bytes: int
    stand_in: bool = False  # the embedded model, whose answers are weak
    passages: int = 0  # that it answers best from, 0 for as many as a turn may have
    composed: bool = False  # lays passages that were read once, so it reads passages ahead and no whole prompts


@dataclass(frozen=True, slots=True)
class Load:
    """The load of an engine at one moment."""

    running: int
    waiting: int
    silent_s: float = 0.0  # since it last showed life while it had work; infinite once it has ended


class Generation:
    """The handle of a submitted generation. Iterate it once; leave the loop early or call `cancel()` to stop it."""

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        self._events: queue.SimpleQueue[EngineEvent] = queue.SimpleQueue()
        self._on_cancel = on_cancel
        self.cancelled = False

    def put(self, event: EngineEvent) -> None:
        """Hand an event to the caller; the engine calls this, and it never blocks."""
        self._events.put(event)

    def cancel(self) -> None:
        """Stop the generation; its last event is then Finished("cancelled"). Idempotent, from any thread."""
        if not self.cancelled:
            self.cancelled = True
            self._on_cancel()

    def __iter__(self) -> Iterator[EngineEvent]:
        """Yield the events; repeat the last Queued or Prefill every HEARTBEAT_S, so that a Stop is noticed by then."""
        event: EngineEvent | None = None
        try:
            while not isinstance(event, Finished):
                event = self._next(event)
                yield event
        finally:
            if not isinstance(event, Finished):  # to cancel an ended generation would abort a step of others
                self.cancel()

    def _next(self, last: EngineEvent | None) -> EngineEvent:
        waiting = Queued(0, 0.0) if last is None else last  # not yet looked at: the step that runs may take seconds
        if not isinstance(waiting, Queued | Prefill):
            return self._events.get()
        try:
            return self._events.get(timeout=HEARTBEAT_S)
        except queue.Empty:
            return replace(waiting, eta_s=max(0.0, waiting.eta_s - HEARTBEAT_S))


class Engine(Protocol):
    """The interface of everything that can answer a prompt."""

    info: ModelInfo
    chat_template: str  # Jinja source; "" for an engine that takes messages instead of tokens
    bos: str
    eos: str

    def submit(self, prompt: Prompt, options: Options = ...) -> Generation:
        """Queue a generation; raises QueueFull when too many wait."""

    def prewarm(self, prompts: list[Prompt]) -> None:
        """Compute prompts worth having in the cache while nobody waits; the most valuable come first."""

    def load(self) -> Load:
        """Return how busy the engine is; cheap, from any thread."""

    def close(self) -> None:
        """Stop at once and free everything; end running generations as cancelled."""
