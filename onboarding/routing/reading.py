"""Reads a message once: its spelling, language, gloss, vector and features, for everything that decides about it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.prompting.conversation import Topic
from onboarding.routing.features import Features, features
from onboarding.routing.language.lexicon import ENGLISH, Gloss, Lexicon, load_lexicon
from onboarding.routing.language.text import clip, fold, words
from onboarding.routing.talk.moves import ALONE, Move, move_of, question_after, vocabulary
from rag.index.store import Encoder
from rag.types import Embedded, Leaning

PHRASES = Path(__file__).parent / "talk" / "phrases.txt"
LEANING = 0.75  # share of the joint reading of a message that leans on the talk before it


@dataclass(frozen=True, slots=True)
class Reading:
    """A message as the router, the tool choice, the replies and the search read it. Made by `Reader.read`."""

    text: str  # as typed, its middle cut out where it is longer than `text.MAX_CHARS`
    folded: str  # `text` in one spelling: see `text.fold`
    language: str  # code of one of the lexicon's languages; English when nothing tells more
    gloss: str  # `folded` in English words as far as the lexicon knows them
    embedded: Embedded  # English as typed, any other language as glossed
    features: Features
    joint: "Reading | None" = None  # the question that the message may stand for in its talk, in English words
    share: float = 0.0  # weight of `joint`, 0..1; 0 for a message that stands alone or is not sure to lean
    leaning: Leaning | None = None  # how a search for `joint` leans on the talk
    move: Move = ALONE  # what it does in its talk
    before: "Reading | None" = None  # the question that it leans on

    @property
    def is_english(self) -> bool:
        """True where the message is taken for English."""
        return self.language == ENGLISH

    @property
    def standing(self) -> "Reading":
        """Return the reading of the question that the message stands for, itself where it stands alone."""
        return self.joint if self.joint and self.share else self


class Reader:
    """Makes readings. Safe to share between threads."""

    def __init__(self, encoder: Encoder, lexicon: Lexicon) -> None:
        """Take the encoder whose vectors the classifiers were trained on."""
        self.lexicon = lexicon
        self.encoder = encoder
        self._in_talk = load_lexicon(PHRASES).before(lexicon)

    def read(self, text: str, history: Sequence[str] = (), before: Topic | None = None, asked: str = "") -> Reading:
        """Return the reading of `text` in its talk.

        history: what the visitor wrote before, oldest first; `before` is the topic of that talk, read from it when
        None. asked: what the last answer asked the visitor. A message that leans on the talk ("and on rocky?") is also
        read as the question that it stands for. All vectors come from one call of the encoder.
        """
        before = before or self.topic(history)
        clipped = clip(text)
        alone = self.lexicon.read(fold(clipped), before.language)
        move = self._move(clipped, before, asked)
        if not move.text:
            return replace(self._readings([(clipped, alone)])[0], move=move)
        stands, earlier = Gloss(move.text, ENGLISH, move.text), Gloss(before.question, ENGLISH, before.question)
        reading, joint, last = self._readings(
            [(one.folded if at else clipped, one) for at, one in enumerate((alone, stands, earlier))]
        )
        read = before.read if move.is_new else ()
        if move.kind == "means":  # what answered the wrong question is the last that is wanted
            read += before.read[-1:]
        said, away = reading.embedded.vector, last.embedded.vector
        if move.kind in ("step", "still"):  # its text says all
            said, away = np.zeros_like(said), np.zeros_like(away)
        elif not move.is_new or (move.kind == "points" and move.points):
            # it asks about what was read ("how long does that take"), or says itself what it asks about it
            away = np.zeros_like(away)
        known = words(before.question)
        new = " ".join(word for word in words(move.text) if word not in known)
        leaning = Leaning(said, away, new, before.page, read)
        return replace(
            reading, joint=joint, share=LEANING if move.is_sure else 0.0, leaning=leaning, move=move, before=last
        )

    def topic(self, history: Sequence[str]) -> Topic:
        """Return the topic after a talk of which only the visitor's messages are known, oldest first."""
        before = Topic()
        for text in history:
            folded = fold(clip(text))
            gloss, move = self.lexicon.read(folded, before.language), self._move(folded, before, "")
            question = move.text if move.is_sure else self.in_english(gloss)
            before = Topic(question_after(move, before, question), gloss.language)
        return before

    def in_english(self, typed: Gloss | Reading) -> str:
        """Return a message in English words, without those that no English search knows."""
        if typed.language == ENGLISH:
            return typed.folded
        found = words(self._in_talk.read(typed.folded, typed.language).text.replace("and what about", ""))
        return " ".join(word for word in found if word != "the" and self._is_known(word, Topic()))

    def _is_known(self, word: str, before: Topic) -> bool:
        """Return whether a word of a gloss is English, a name, or a word of the talk so far."""
        if not word.isascii():
            return False
        return self._in_talk.is_english(word) or vocabulary().is_name(word) or word in words(before.question)

    def read_many(self, texts: Sequence[str]) -> list[Reading]:
        """Return the readings of several messages without history, in order, embedded in one batch."""
        clipped = [clip(text) for text in texts]
        return self._readings([(text, self.lexicon.read(fold(text))) for text in clipped])

    def _move(self, text: str, before: Topic, asked: str) -> Move:
        """Return the move of a message, read with the words by which people go on with a talk."""
        question = self.lexicon.read(fold(asked)).text if asked else ""
        said = self._in_talk.read(fold(text), before.language)
        if said.language == ENGLISH:
            return move_of(said.text, before, question)
        found: list[str] = []
        for word in words(said.text):
            if word != "the" and self._is_known(word, before):
                found.append(word)
            elif found[-1:] == ["that"]:
                found.pop()  # it was the article of a word that nobody knows
        asks = " ?" if said.folded.endswith(("?", "\u061f")) else ""
        return move_of(" ".join(found) + asks, before, question)

    def _readings(self, glossed: Sequence[tuple[str, Gloss]]) -> list[Reading]:
        embedded = [text if gloss.language == ENGLISH else gloss.text for text, gloss in glossed]
        vectors = self.encoder.encode(embedded)
        return [_reading(*row) for row in zip(glossed, embedded, vectors, strict=True)]


def _reading(glossed: tuple[str, Gloss], embedded: str, vector: np.ndarray) -> Reading:
    text, gloss = glossed
    found = features(gloss.folded, gloss.text, vector)
    return Reading(text, gloss.folded, gloss.language, gloss.text, Embedded(embedded, vector), found)
