"""A conversation as it is remembered on the server, and as the next prompt repeats it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class MessagePart:
    """A stretch of one message's text; `boundary` marks where the KV state is worth keeping for others."""

    text: str = ""
    boundary: bool = False
    private: bool = False  # the visitor's own words, or an answer to them
    limit: int = 0  # most tokens, 0 for any


@dataclass(frozen=True, slots=True)
class PastTurn:
    """One question and its answer."""

    question: str  # as the visitor typed it
    answer: str  # as the visitor saw it
    route: str
    asked: tuple[MessagePart, ...] = ()  # what the model read as the user's message, passages included
    tokens: tuple[int, ...] = ()  # what the model wrote, as they lie in the KV cache
    engine: str = ""  # name of the model that `tokens` belong to


@dataclass(frozen=True, slots=True)
class Conversation:
    """Immutable: a turn that is stopped or retried leaves the one before it untouched."""

    id: str
    turns: tuple[PastTurn, ...] = ()
    system_prompt: str = ""  # the first route's; it stays, so that the cached state behind it does
    forgotten: int = field(default=0)  # oldest turns that the model no longer sees

    @classmethod
    def new(cls) -> Conversation:
        """An empty conversation with an id that nobody can guess."""
        return cls(secrets.token_urlsafe(12))

    def with_turn(self, turn: PastTurn, *, system_prompt: str, dropped: int = 0) -> Conversation:
        """This conversation and one more turn; `dropped` more of the oldest are no longer shown to the model."""
        first = self.system_prompt or system_prompt
        return replace(self, turns=(*self.turns, turn), system_prompt=first, forgotten=self.forgotten + dropped)

    @property
    def visible(self) -> tuple[PastTurn, ...]:
        """The turns the model still sees: those with something it read or wrote."""
        return tuple(turn for turn in self.turns[self.forgotten :] if turn.asked)

    @property
    def questions(self) -> tuple[str, ...]:
        """What was asked so far, oldest first, for the router."""
        return tuple(turn.question for turn in self.turns)
