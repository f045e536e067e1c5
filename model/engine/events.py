"""The events that an engine reports of a generation: small frozen values, in the order they happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FinishReason = Literal["stop", "length", "cancelled", "deadline", "error"]


@dataclass(frozen=True, slots=True)
class Queued:
    """The place of a generation that waits for a slot; the engine repeats it when the place changes."""

    ahead: int  # generations that will start before this one
    eta_s: float = 0.0  # expected seconds until it starts, where somebody estimates them


@dataclass(frozen=True, slots=True)
class Prefill:
    """The progress of the prefill."""

    done: int  # tokens of the prompt in the KV cache, those restored from the prefix cache included
    total: int  # tokens of the whole prompt
    eta_s: float  # expected seconds until the first token


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer, valid UTF-8, never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Counts:
    """The tokens of one generation."""

    prompt: int = 0  # tokens of the whole prompt
    read: int = 0  # prompt tokens that were computed; prompt - read came from the prefix cache
    generated: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """The seconds of one generation, counted from its submission."""

    queued_s: float = 0.0
    first_token_s: float | None = None  # None when no token was written
    total_s: float = 0.0

    def tokens_per_s(self, generated: int) -> float:
        """Return the decode rate: tokens after the first one over the seconds after it, 0.0 where there are none."""
        if self.first_token_s is None or generated < 2 or self.total_s <= self.first_token_s:
            return 0.0
        return (generated - 1) / (self.total_s - self.first_token_s)


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every generation, however it ends."""

    reason: FinishReason
    counts: Counts = field(default_factory=Counts)
    timings: Timings = field(default_factory=Timings)
    tokens: tuple[int, ...] = ()  # as generated; the history keeps them, so that the next prompt matches the KV cache
    dropped_turns: int = 0  # oldest turns that the engine left out because the context had no room
    error: str = ""  # one sentence for the visitor when reason is "error"


EngineEvent = Queued | Prefill | TextDelta | Finished
