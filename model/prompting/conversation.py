"""A conversation as it is remembered on the server, and as the next prompt repeats it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Block:
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
    asked: tuple[Block, ...] = ()  # what the model read as the user's message, passages included
    tokens: tuple[int, ...] = ()  # what the model wrote, as they lie in the KV cache
    engine: str = ""  # name of the model that `tokens` belong to


@dataclass(frozen=True, slots=True)
class Conversation:
    """Immutable: a turn that is stopped or retried leaves the one before it untouched."""

    id: str
    turns: tuple[PastTurn, ...] = ()
    brief: str = ""  # the first route's brief; it stays, so that the cached state behind it does
    forgotten: int = field(default=0)  # oldest turns that the model no longer sees

    @classmethod
    def new(cls) -> Conversation:
        """An empty conversation with an id that nobody can guess."""
        return cls(secrets.token_urlsafe(12))

    def with_turn(self, turn: PastTurn, *, brief: str, dropped: int = 0) -> Conversation:
        """This conversation and one more turn; `dropped` more of the oldest are no longer shown to the model."""
        return replace(self, turns=(*self.turns, turn), brief=self.brief or brief, forgotten=self.forgotten + dropped)

    def without_last(self) -> Conversation:
        """This conversation before its last turn, for asking again or editing."""
        turns = self.turns[:-1]
        brief = self.brief if turns else ""
        return replace(self, turns=turns, brief=brief, forgotten=min(self.forgotten, len(turns)))

    @property
    def visible(self) -> tuple[PastTurn, ...]:
        """The turns the model still sees: those with something it read or wrote."""
        return tuple(turn for turn in self.turns[self.forgotten :] if turn.asked)

    @property
    def questions(self) -> tuple[str, ...]:
        """What was asked so far, oldest first, for the router."""
        return tuple(turn.question for turn in self.turns)
