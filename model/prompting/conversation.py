"""Keep a conversation on the server as the next prompt repeats it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field, replace

from rag.types import Passage

MAX_STEPS, MAX_STEP = 12, 160  # entries of a list that a visitor may name by number, and characters of one
MAX_READ = 6  # passages that a follow-up asks to go beyond
_ENTRY = re.compile(r"^ {0,3}(?:\d{1,2}[.)]|[-*])[ \t]+(\S.*)$", re.MULTILINE)
CITATION = re.compile(r" ?\[\d{1,2}\]")


@dataclass(frozen=True, slots=True)
class MessagePart:
    """The text of one part of a message; `boundary` marks where the KV state is worth keeping for others."""

    text: str = ""
    boundary: bool = False
    passage: bool = False  # one whose state may be laid wherever it stands
    private: bool = False  # the visitor's own words, or an answer to them
    limit: int = 0  # most tokens, 0 for any


@dataclass(frozen=True, slots=True)
class Topic:
    """The topic of a turn, for the turns after it that lean on it."""

    question: str = ""  # as it stood in the talk, in English words; "" before the first
    language: str = "en"  # code of the language it was typed in
    title: str = ""  # of the page that led the answer
    page: str = ""  # its path
    read: tuple[str, ...] = ()  # ids of the passages that led in this talk, the latest last
    steps: tuple[str, ...] = ()  # entries of the list that the visitor saw last

    def answered(self, lead: Passage | None, *shown: str) -> Topic:
        """Return the topic after an answer that `lead` led; `shown` is what the visitor read, the answer first."""
        if lead is None:
            return self
        steps = self.steps or next(filter(None, map(steps_of, shown)), ())
        return replace(self, title=lead.title, page=lead.path, read=(*self.read, lead.id)[-MAX_READ:], steps=steps)


def steps_of(markdown: str) -> tuple[str, ...]:
    """Return the entries of the lists in a text, in order, each cut to MAX_STEP characters."""
    entries = (CITATION.sub("", entry).strip()[:MAX_STEP] for entry in _ENTRY.findall(markdown))
    return tuple(entries)[:MAX_STEPS]


@dataclass(frozen=True, slots=True)
class PastTurn:
    """The record of one question and its answer."""

    question: str  # as the visitor typed it
    answer: str  # as the visitor saw it
    route: str
    asked: tuple[MessagePart, ...] = ()  # what the model read as the user's message, passages included
    tokens: tuple[int, ...] = ()  # what the model wrote, as they lie in the KV cache
    engine: str = ""  # name of the model that `tokens` belong to
    topic: Topic | None = None  # None where nobody has read the question


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one visitor; immutable, so a stopped or retried turn leaves the conversation before it untouched."""

    id: str
    turns: tuple[PastTurn, ...] = ()
    forgotten: int = field(default=0)  # oldest turns that the model no longer sees

    @classmethod
    def new(cls) -> Conversation:
        """Return an empty conversation with an id that nobody can guess."""
        return cls(secrets.token_urlsafe(12))

    def with_turn(self, turn: PastTurn, *, dropped: int = 0) -> Conversation:
        """Return this conversation with one more turn; the model no longer sees `dropped` more of the oldest."""
        return replace(self, turns=(*self.turns, turn), forgotten=self.forgotten + dropped)

    @property
    def visible(self) -> tuple[PastTurn, ...]:
        """The turns that the model still sees: those in which it read something."""
        return tuple(turn for turn in self.turns[self.forgotten :] if turn.asked)

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions so far, oldest first."""
        return tuple(turn.question for turn in self.turns)

    @property
    def topic(self) -> Topic | None:
        """The topic of the latest turn; None where nobody has read its question."""
        return self.turns[-1].topic if self.turns else None
