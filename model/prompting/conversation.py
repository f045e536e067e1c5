"""Keep a conversation on the server as the next prompt repeats it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class MessagePart:
    """The text of one part of a message; `boundary` marks where the KV state is worth keeping for others."""

    text: str = ""
    boundary: bool = False
    private: bool = False  # the visitor's own words, or an answer to them
    limit: int = 0  # most tokens, 0 for any


@dataclass(frozen=True, slots=True)
class PastTurn:
    """The record of one question and its answer."""

    question: str  # as the visitor typed it
    answer: str  # as the visitor saw it
    route: str
    asked: tuple[MessagePart, ...] = ()  # what the model read as the user's message, passages included
    tokens: tuple[int, ...] = ()  # what the model wrote, as they lie in the KV cache
    engine: str = ""  # name of the model that `tokens` belong to


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one visitor; immutable, so a stopped or retried turn leaves the conversation before it untouched."""

    id: str
    turns: tuple[PastTurn, ...] = ()
    system_prompt: str = ""  # the first route's; it stays, so that the cached state behind it does
    forgotten: int = field(default=0)  # oldest turns that the model no longer sees

    @classmethod
    def new(cls) -> Conversation:
        """Return an empty conversation with an id that nobody can guess."""
        return cls(secrets.token_urlsafe(12))

    def with_turn(self, turn: PastTurn, *, system_prompt: str, dropped: int = 0) -> Conversation:
        """Return this conversation with one more turn; the model no longer sees `dropped` more of the oldest."""
        first = self.system_prompt or system_prompt
        return replace(self, turns=(*self.turns, turn), system_prompt=first, forgotten=self.forgotten + dropped)

    @property
    def visible(self) -> tuple[PastTurn, ...]:
        """The turns that the model still sees: those in which it read something."""
        return tuple(turn for turn in self.turns[self.forgotten :] if turn.asked)

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions so far, oldest first, for the router."""
        return tuple(turn.question for turn in self.turns)
