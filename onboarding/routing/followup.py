"""Tells whether a message leans on the one before it, and what the two say together."""

import re
from collections.abc import Sequence

from onboarding.routing.classifier import Classifier
from onboarding.routing.features import Reader
from onboarding.routing.lexicon import Lexicon
from onboarding.routing.text import words

MAX_WORDS = 7  # a longer message says itself what it is about
LEANING = 0.75  # share of the joint reading when the message opens like a follow-up
BARE = 0.5  # when it is merely very short
CLEAR = 0.85  # likelihood from which a merely short message ("is sshd up") is taken to say all by itself
_OPENING = re.compile(
    r"^(?:and|or|but|also|then|so|what about|how about|what if|same|why|how so|how come|which one|when|where|who|"
    r"the other|another|more|only|not|for|on|in|with|without|at|about|if|is that|is it|does it|does that|can it|"
    r"will it|do they|are they|it|that|this|those|these|them|how much|how many|since when|until when|elaborate|"
    r"in detail|details?|example|an example|show (?:me|it|an?|another))\b"
)
_POINTING = re.compile(r"\b(?:it|that|those|them|they|the same|ones?|there|too|instead|again|else|as well)\b")
_COMPLETE = frozenset("hi hello hey thanks thank bye ok okay yes no lol haha great cool good nice help".split())


def probabilities(classifier: Classifier, reader: Reader, text: str, history: Sequence[str]) -> dict[str, float]:
    """Return how likely each label is, read together with the earlier message where `text` leans on it."""
    alone = classifier.probabilities(reader.read(text))
    context, share = in_context(text, history, reader.lexicon)
    if not share or (share == BARE and max(alone.values()) >= CLEAR):
        return alone
    together = classifier.probabilities(reader.read(context))
    return {label: (1 - share) * alone[label] + share * together[label] for label in alone}


def in_context(text: str, history: Sequence[str], lexicon: Lexicon) -> tuple[str, float]:
    """Return the text joined with the message it leans on, and the share (0..1) the joint reading deserves.

    The share is 0 when there is no earlier message or `text` stands alone; the joint text is then `text` itself.
    """
    gloss = lexicon.gloss(text)
    found = words(gloss)
    if not history or not found or len(found) > MAX_WORDS or found[0] in _COMPLETE:
        return text, 0.0
    share = LEANING if _OPENING.search(gloss) or _POINTING.search(gloss) else BARE if len(found) <= 3 else 0.0
    return (f"{_anchor(history, lexicon)} {text}", share) if share else (text, 0.0)


def _anchor(history: Sequence[str], lexicon: Lexicon) -> str:
    """Return the latest earlier message that is no follow-up itself; the latest one when all are."""
    for earlier in reversed(history):
        if len(words(lexicon.gloss(earlier))) > 3:
            return earlier
    return history[-1]
