"""Find sentences of an answer that its evidence does not bear out, by words and figures, without a second model.

Finds: figures, versions and identifiers that no evidence holds; sentences whose words mostly do not stand together in
the evidence; sentences that affirm what the nearest sentence of the evidence denies, or the reverse, or that say of one
release what it says of another. Does not find: other false statements made of the evidence's own words. Works on
languages written with spaces.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cached_property
from itertools import pairwise

from model.checking.polarity import Stance, goes_against, stances

LEAST_OVERLAP = 0.45  # share of a sentence's content words that must stand together in the evidence
SAME_TOPIC = 0.6  # overlap from which two sentences are about the same thing, so that their polarity can be compared
FEWEST_WORDS = 2  # that can be found together
LEAST_WORDS = 4  # shorter sentences ("Yes.", "Here is how:") say nothing that could be checked by words

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"[^\W\d_]{3,}")
_IDENTIFIER = re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b")
_FIGURE = re.compile(r"(?<![\w.])\d+(?:[.,:]\d+)*(?!\w)")
_ANY_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")  # of the evidence, where they also stand in el10 or 2026-11-02T08
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_NUMBERING = re.compile(r"^\s*(?:[-*]\s+)?\d+[.)]\s", re.MULTILINE)  # of a list: its figure states nothing
_ENTRY = re.compile(r"^\s*(?:[-*|]|\d+[.)]|`{3})", re.MULTILINE)
_CITATION = re.compile(r"\[(\d+)\]")
_COUNTED = "zero one two three four five six seven eight nine ten eleven twelve".split()
_DENIAL = re.compile(
    r"\b(?:not?|never|cannot|can't|isn't|aren't|doesn't|don't|won't|without|refus\w+|reject\w+|unsupported|"
    r"unavailable|stops?|fail\w*|dropp?ed|missing|absent|lacks?|neither|nor)\b",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"^\W*(?:yes|no)\b", re.IGNORECASE)  # "No, it is not" denies once
_STOP = re.compile(
    r"\b(?:the|and|for|are|was|were|with|that|this|from|into|your|you|can|will|has|have|had|not|its|their|they|them|"
    r"then|which|when|what|where|how|who|why|also|such|than|there|these|those|been|being|but|use|used|using|may|must|"
    r"should|would|could|one|two|any|all|each|both|more|most|other|some|only|over|under|about|after|before)\b"
)


@dataclass(frozen=True)  # no slots: stances are read when they are first needed
class SentenceEvidence:
    """The text against which sentences are checked, with its figures, statements and content words."""

    text: str
    figures: frozenset[str]
    statements: tuple[str, ...]
    places: tuple[frozenset[str], ...]  # content words of all that stands together: neighbours, a list, a table

    @classmethod
    def of(cls, parts: Sequence[str], question: str = "") -> SentenceEvidence:
        """Return what the parts say together. The question may lend figures and names, but it states nothing."""
        text = "\n".join([*parts, question])
        said = tuple(sentence for part in parts for sentence in _sentences(part))
        return cls(text, frozenset(_figures(text)), said, tuple(_places(parts, said)))

    @cached_property
    def stances(self) -> list[Stance]:
        """The things that the statements affirm and deny."""
        return stances(*self.statements)

    def holds(self, sentence: str, *, foreign: bool = False) -> bool:
        """Return True if nothing in a sentence is foreign to the evidence or against it.

        foreign: the sentence is in another language; then only figures and identifiers are compared.
        """
        return self._holds_exact(sentence) and (foreign or self._holds_words(sentence))

    def nearness(self, sentence: str) -> float:
        """Return the share, 0..1, of a sentence's content words that stand together in the evidence.

        A short sentence gets 1 or 0, a single word gets 0.
        """
        own = stems(sentence)
        if len(own) < FEWEST_WORDS:
            return 0.0
        share = max((len(own & words) / len(own) for words in self.places), default=0.0)
        return share if len(own) >= LEAST_WORDS or share == 1.0 else 0.0

    def _holds_exact(self, sentence: str) -> bool:
        """Return True if the evidence holds every identifier and figure of a sentence."""
        if any(name not in self.text for name in _IDENTIFIER.findall(sentence)):
            return False
        return all(_is_given(_plain(figure), self.figures) for figure in _FIGURE.findall(sentence))

    def _holds_words(self, sentence: str) -> bool:
        if goes_against(sentence, self.stances):
            return False
        own = stems(sentence)
        if len(own) < LEAST_WORDS:
            return True
        if self.nearness(sentence) < LEAST_OVERLAP:
            return False
        return not _contradicted(sentence, own, self.statements)


@dataclass(frozen=True, slots=True)
class Given:
    """The passages, other texts and question on which an answer may draw."""

    passages: tuple[str, ...] = ()  # what [1], [2], ... stand for
    others: tuple[str, ...] = ()  # tools' results and addresses, which have no number
    question: str = ""

    def texts(self) -> list[str]:
        """Return every text, the question included."""
        return [*self.passages, *self.others, self.question]

    def everything(self) -> SentenceEvidence:
        """Return all of it as one evidence."""
        return SentenceEvidence.of([*self.passages, *self.others], self.question)

    def behind(self, numbers: Collection[int]) -> SentenceEvidence:
        """Return the passages of these numbers with all that has no number, or everything if no such passage exists."""
        cited = [passage for number, passage in enumerate(self.passages, start=1) if number in numbers]
        return SentenceEvidence.of([*cited, *self.others], self.question) if cited else self.everything()


def unsupported(answer: str, given: Given, most: int = 3, *, foreign: bool = False) -> list[str]:
    """Return at most `most` sentences of `answer` that its evidence does not bear out, without code and citations.

    A sentence with citations is checked against those passages. foreign: answer and evidence differ in language.
    """
    everything = given.everything()
    found = []
    for sentence in _sentences(_prose(answer)):
        cited = {int(number) for number in _CITATION.findall(sentence)}
        known = given.behind(cited) if cited else everything
        if not known.holds(_uncited(sentence), foreign=foreign):
            found.append(_uncited(sentence).strip(" -*#|"))
    return found[:most]


def statements(answer: str) -> list[str]:
    """Return the sentences of an answer that `unsupported` checks: without code blocks and citations."""
    return [_uncited(sentence) for sentence in _sentences(_prose(answer))]


def _prose(answer: str) -> str:
    """Return an answer without code blocks and list numbers, each citation inside the sentence it belongs to."""
    text = re.sub(r"```.*?(?:```|$)", "\n", answer, flags=re.DOTALL)
    return re.sub(r"([.!?])((?:\s*\[\d+\])+)", r"\2\1", _NUMBERING.sub("", text))


def _uncited(sentence: str) -> str:
    return re.sub(r"\s*\[\d+\]", "", sentence)


def _figures(text: str) -> set[str]:
    """Return every figure of a text, those written as words included."""
    spelt = {str(value) for value, word in enumerate(_COUNTED) if re.search(rf"\b{word}\b", text, re.IGNORECASE)}
    return spelt | {_plain(figure) for figure in _ANY_FIGURE.findall(text)}


def _plain(figure: str) -> str:
    """Return a figure without the commas that group thousands."""
    return figure.replace(",", "") if _GROUPED.fullmatch(figure) else figure


def _is_given(figure: str, known: frozenset[str]) -> bool:
    """Return True if the evidence holds the figure itself, or one that rounds to it."""
    if figure in known:
        return True
    try:
        value = Decimal(figure)
    except InvalidOperation:
        return False  # an address, a time, a version of three parts: there is nothing to round
    return any(_rounds_to(other, value) for other in known)


def _rounds_to(figure: str, value: Decimal) -> bool:
    try:
        return bool(Decimal(figure).quantize(value, ROUND_HALF_UP) == value)
    except InvalidOperation:
        return False


def _contradicted(sentence: str, own: frozenset[str], statements: Sequence[str]) -> bool:
    """Return True if the nearest statement is about the same, and one of the two denies what the other affirms."""
    denial_words = stems(" ".join(_DENIAL.findall(sentence)))
    topic = own - denial_words
    if not topic:
        return False
    overlap, nearest = max(
        ((len(topic & stems(statement)) / len(topic), statement) for statement in statements), default=(0.0, "")
    )
    return overlap >= SAME_TOPIC and _denies(sentence) != _denies(nearest)


def _denies(sentence: str) -> bool:
    """Return True for an odd number of denials; two of them ("cannot run without") cancel each other."""
    return len(_DENIAL.findall(_ANSWER.sub("", sentence))) % 2 == 1


def _places(parts: Sequence[str], said: Sequence[str]) -> Iterator[frozenset[str]]:
    """Yield the content words of each statement with its neighbour, and of each list, table or code paragraph."""
    words = [stems(statement) for statement in said]
    yield from words[:1]
    yield from (one | other for one, other in pairwise(words))
    for part in parts:
        yield from (stems(paragraph) for paragraph in part.split("\n\n") if len(_ENTRY.findall(paragraph)) > 1)


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.split(text) if part.strip()]


def stems(text: str) -> frozenset[str]:
    """Return the content words in lower case, cut to six letters so that endings do not matter."""
    return frozenset(word[:6] for word in _WORD.findall(_STOP.sub(" ", text.lower())))
