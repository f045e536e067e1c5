"""What an engine is to its callers: submit a prompt, iterate the events, cancel at will."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from model.engine.events import EngineEvent, Finished, Prefill, Queued
from model.engine.prompt import Prompt

HEARTBEAT_S = 0.5  # the page's Stop reaches a generation when its iterator next hands over an event


class ModelUnusable(ValueError):
    """A model file cannot answer; the message says what is wrong with it and what to do."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; temperature 0 takes the likeliest."""

    temperature: float = 0.0
    top_p: float = 0.95
    repeat_penalty: float = 1.0
    seed: int = 0
    grammar: str = ""  # GBNF; the answer then is a sentence of its rule `root`
    schema: str = ""  # JSON Schema as JSON text; binds where `grammar` is ""


class QueueFull(RuntimeError):
    """More generations wait than the engine keeps; whoever lets people in should have stopped before."""

    def __init__(self) -> None:
        super().__init__("Every seat is taken; try again in a minute. Tours and search are open.")


@dataclass(frozen=True, slots=True)
class Options:
    """How one generation runs."""

    max_tokens: int = 320
    sampling: Sampling = field(default_factory=Sampling)
    deadline_s: float = 180.0  # from its start in a slot; then it ends with what it has
    ignore_end: bool = False  # benchmarks: always write max_tokens
    tools: tuple[Mapping[str, Any], ...] = ()  # schemas; a server that calls tools by itself is held to these or none


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Which model answers, for the page."""

    name: str  # catalogue name or file stem
    label: str  # e.g. "SmolLM2-135M-Instruct Q4_1"
    bytes: int
    stand_in: bool = False  # the embedded model, whose answers are weak


@dataclass(frozen=True, slots=True)
class Load:
    """How busy an engine is."""

    running: int
    waiting: int
    silent_s: float = 0.0  # since it last showed life while it had work; infinite once it has ended


class Generation:
    """A submitted generation. Iterate it once; leaving the loop early or `cancel()` stops the computing."""

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        self._events: queue.SimpleQueue[EngineEvent] = queue.SimpleQueue()
        self._on_cancel = on_cancel
        self.cancelled = False

    def put(self, event: EngineEvent) -> None:
        """For the engine: never blocks, so a caller that does not read holds nobody up."""
        self._events.put(event)

    def cancel(self) -> None:
        """Stop; the last event is then Finished("cancelled"). Idempotent, from any thread."""
        if not self.cancelled:
            self.cancelled = True
            self._on_cancel()

    def __iter__(self) -> Iterator[EngineEvent]:
        """Its events; what is waited for is repeated every HEARTBEAT_S, so that who leaves is noticed by then."""
        event: EngineEvent | None = None
        try:
            while not isinstance(event, Finished):
                event = self._next(event)
                yield event
        finally:
            if not isinstance(event, Finished):  # stopping what has ended would abort a step of others
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
    """Anything that can answer a prompt."""

    info: ModelInfo
    chat_template: str  # Jinja source; "" for an engine that takes messages instead of tokens
    bos: str
    eos: str

    def submit(self, prompt: Prompt, options: Options = ...) -> Generation:
        """Queue a generation; raises QueueFull when too many wait."""

    def prewarm(self, prompts: list[Prompt]) -> None:
        """Prompts worth having in the cache, most valuable first; computed only while nobody waits."""

    def load(self) -> Load:
        """How busy the engine is; cheap, from any thread."""

    def close(self) -> None:
        """Stop at once and free everything; running generations end as cancelled."""
