"""Reads a message once: its spelling, language, gloss, vector and features, for everything that decides about it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from onboarding.routing.features import Features, features
from onboarding.routing.language.lexicon import ENGLISH, Gloss, Lexicon
from onboarding.routing.language.text import clip, fold, words
from rag.index.store import Encoder
from rag.types import Embedded

MAX_WORDS = 7  # a longer message says itself what it is about
LEANING = 0.75  # share of the joint reading when the message opens like a follow-up
BARE = 0.5  # when it is merely very short
_OPENING = re.compile(
    r"^(?:and|or|but|also|then|so|what about|how about|what if|same|why|how so|how come|which one|when|where|who|"
    r"the other|another|more|only|not|for|on|in|with|without|at|about|if|is that|is it|does it|does that|can it|"
    r"will it|do they|are they|it|that|this|those|these|them|how much|how many|since when|until when|elaborate|"
    r"in detail|details?|example|an example|show (?:me|it|an?|another))\b"
)
_POINTING = re.compile(r"\b(?:it|that|those|them|they|the same|ones?|there|too|instead|again|else|as well)\b")
_COMPLETE = frozenset("hi hello hey thanks thank bye ok okay yes no lol haha great cool good nice help".split())


@dataclass(frozen=True, slots=True)
class Reading:
    """A message as the router, the tool choice, the replies and the search read it. Made by `Reader.read`."""

    text: str  # as typed, its middle cut out where it is longer than `text.MAX_CHARS`
    folded: str  # `text` in one spelling: see `text.fold`
    language: str  # code of one of the lexicon's languages; English when nothing tells more
    gloss: str  # `folded` in English words as far as the lexicon knows them
    embedded: Embedded  # English as typed, any other language as glossed
    features: Features
    joint: "Reading | None" = None  # the message read together with the earlier one that it leans on
    share: float = 0.0  # weight of `joint`, 0..1; 0 for a message that stands alone

    @property
    def is_english(self) -> bool:
        """True where the message is taken for English."""
        return self.language == ENGLISH


class Reader:
    """Makes readings. Safe to share between threads."""

    def __init__(self, encoder: Encoder, lexicon: Lexicon) -> None:
        """Take the encoder whose vectors the classifiers were trained on."""
        self.lexicon = lexicon
        self.encoder = encoder

    def read(self, text: str, history: Sequence[str] = ()) -> Reading:
        """Return the reading of `text`; `history` is what the visitor wrote before, oldest first.

        A short message that leans on the one before it ("and on rocky?") is also read together with that one. Both
        are embedded in one call of the encoder.
        """
        clipped = clip(text)
        alone = self.lexicon.read(fold(clipped))
        share = leaning(alone.text) if history else 0.0
        if not share:
            return self._readings([(clipped, alone)])[0]
        both = clip(f"{self._anchor(history)} {text}")
        reading, joint = self._readings([(clipped, alone), (both, self.lexicon.read(fold(both)))])
        return replace(reading, joint=joint, share=share)

    def read_many(self, texts: Sequence[str]) -> list[Reading]:
        """Return the readings of several messages without history, in order, embedded in one batch."""
        clipped = [clip(text) for text in texts]
        return self._readings([(text, self.lexicon.read(fold(text))) for text in clipped])

    def _readings(self, glossed: Sequence[tuple[str, Gloss]]) -> list[Reading]:
        embedded = [text if gloss.language == ENGLISH else gloss.text for text, gloss in glossed]
        vectors = self.encoder.encode(embedded)
        return [_reading(*row) for row in zip(glossed, embedded, vectors, strict=True)]

    def _anchor(self, history: Sequence[str]) -> str:
        """Return the latest earlier message that is no follow-up itself; the latest one when all are."""
        for earlier in reversed(history):
            if len(words(self.lexicon.read(fold(earlier)).text)) > 3:
                return earlier
        return history[-1]


def leaning(gloss: str) -> float:
    """Return the share, 0..1, that a reading together with the message before deserves; 0 for one that stands alone."""
    found = words(gloss)
    if not found or len(found) > MAX_WORDS or found[0] in _COMPLETE:
        return 0.0
    if _OPENING.search(gloss) or _POINTING.search(gloss):
        return LEANING
    return BARE if len(found) <= 3 else 0.0


def _reading(glossed: tuple[str, Gloss], embedded: str, vector: np.ndarray) -> Reading:
    text, gloss = glossed
    found = features(gloss.folded, gloss.text, vector)
    return Reading(text, gloss.folded, gloss.language, gloss.text, Embedded(embedded, vector), found)
