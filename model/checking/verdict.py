"""Judge one sentence of an answer, or one command line, by the passages it may draw on.

Finds: figures, versions, names and identifiers that no passage holds; sentences whose words do not stand together
there; what is affirmed where the passage denies it, or the reverse, yes and no included; what is attached to another
name, figure, parameter or release than there; commands that no passage holds. Does not find: a false statement that
differs from its passage in none of these ways, such as a wrong order of steps. Compares words only in languages
written with spaces; of a sentence in another language than its passages it compares figures and identifiers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from model.checking.attribution import citations, uncited
from model.checking.commands import Commands
from model.checking.signals import ANSWERED, NAMES, SAID, Signals, holds_exactly, missing_subject, signals
from model.statements.evidence import Evidence, Given, Piece
from model.statements.opposition import refutation
from model.statements.words import answer_of, asked_statement, is_foreign, without_lead_in, words

SURE = 0.55  # share of a sentence's words that stand in the piece that bears it out, for that piece to be named
REPLACED = 1.0  # weight of figures and names in whose place the piece has others
NEARLY_VERBATIM = 0.8  # share of the words that follow a piece, from which such a sentence goes against it
NEAR = 0.7  # share of the words in one piece, from which it is marked
LOOSE = 0.5  # share of the words beside a figure or name that stand together elsewhere, without it
NEAR_LOOSE = 0.9  # share of the words in one piece, from which that figure or name is taken for another thing's
VERBATIM = 0.95  # share of the words that follow a piece, from which it is not
FAR = 0.2  # share of the words in the nearest piece below which nothing is found
TURNED = 0.4  # margin from which a bare yes or no goes against the evidence

REPEATED = 0.9  # share of a sentence's words in the visitor's message, from which it only repeats it
FEWEST_REPEATED = 2
FEWEST_VERBATIM = 4  # words that stand in the evidence as they are

_MARKS = re.compile(r"^\s*(?:[-*+>]\s+|\d{1,3}[.)]\s+|#+\s+|\|)+")
_CHOICE = re.compile(r"\bor\b", re.IGNORECASE)  # "a or b": naming one is an answer
_STATES_NOTHING = re.compile(r"^[\s|:*#_`-]*$")


Kind = Literal["holds", "not_found", "against"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one sentence. source: number of the passage that decides, from 1; 0 for none."""

    kind: Kind
    source: int = 0
    evidence: str = ""  # the passage's sentence that decides


@dataclass(frozen=True, slots=True)
class VerdictWeights:
    """The fitted weights of the signals for what does not hold. They only mark: what is left out, sure rules decide."""

    bad: Mapping[str, float]  # by signal, with the constant as ""
    bad_above: float  # probability from which a sentence does not hold

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> VerdictWeights:
        """Return the weights that `model.training.train` writes."""
        return cls(data["bad"], data["bad_above"])


class SentenceChecker:
    """The checker of one turn's sentences, one by one."""

    def __init__(self, given: Given, *, foreign: bool = False, before: str = "") -> None:
        """foreign: answer and evidence differ in language. before: the last sentence of the app's own words."""
        self._given = given
        self._foreign = foreign
        self._before = before
        self._evidence: dict[frozenset[int], Evidence] = {}

    def judge(self, sentence: str, before: str = "", after: str = "") -> Verdict:
        """Return the verdict on prose, a list item or a table row. before: the text before it.

        after: the sentence behind a yes or no. Small models say yes first and quote what refutes it next.
        """
        own = self._judge(sentence, before)
        if own.kind != "holds" or not after or answer_of(sentence) is None:
            return own
        following = self._judge(after, sentence)
        if following.kind != "holds":
            return own
        said = plain(sentence)
        refuted = refutation(said, plain(after)) or refutation(said, following.evidence)
        return Verdict(refuted, following.source, following.evidence) if refuted else own

    def _judge(self, sentence: str, before: str) -> Verdict:
        said = plain(sentence)
        if _STATES_NOTHING.match(said):
            return Verdict("holds")
        evidence = self._behind(frozenset(citations(sentence)))
        if self._foreign or is_foreign(said):
            return Verdict("holds" if holds_exactly(said, evidence) else "not_found")
        if piece := settled(said, evidence, before or self._before):
            return Verdict("holds", piece.source, piece.text)
        return _verdict(signals(said, evidence, self._given.question, before or self._before), load_weights())

    def repeats(self, sentence: str) -> bool:
        """Return True for a sentence that only says the visitor's message again, which answers nothing.

        The statement that a yes/no question asks about is an answer.
        """
        said, asked = words(plain(sentence)), words(self._given.question)
        if len(said) < FEWEST_REPEATED or answer_of(sentence) is not None or _CHOICE.search(self._given.question):
            return False
        if asked_statement(self._given.question) and not sentence.rstrip().endswith("?"):
            return False
        known = sum(word.weight for word in said.values() if word.key in asked)
        return known >= REPEATED * sum(word.weight for word in said.values())

    def judge_command(self, line: str) -> Verdict:
        """Return the verdict on a line of a shell block."""
        if piece := self._commands.against(line):
            return Verdict("against", piece.source, piece.text)
        return Verdict("not_found" if self._commands.unknown(line) else "holds")

    @cached_property
    def _commands(self) -> Commands:
        return Commands(self._behind(frozenset()))

    def _behind(self, cited: frozenset[int]) -> Evidence:
        if cited not in self._evidence:
            self._evidence[cited] = self._given.behind(cited)
        return self._evidence[cited]


def plain(sentence: str) -> str:
    """Return a sentence, list item or table row without its citations and the marks before it."""
    return _MARKS.sub("", uncited(sentence)).strip()


def settled(sentence: str, evidence: Evidence, before: str) -> Piece | None:
    """Return the piece that says a plain sentence word for word, None where nothing but weights can decide."""
    said = without_lead_in(sentence)
    piece = evidence.verbatim(said) if len(said.split()) >= FEWEST_VERBATIM else None
    return piece if piece and not missing_subject(sentence, before, [piece], evidence) else None


@cache
def load_weights() -> VerdictWeights:
    """Return the weights that stand beside this file."""
    return VerdictWeights.of(json.loads(Path(__file__).with_name("weights.json").read_text("utf-8")))


def _verdict(measured: Signals, weights: VerdictWeights) -> Verdict:
    piece = measured.nearest
    found = (piece.source, piece.text) if piece else (0, "")
    if decided := by_rule(measured):
        return Verdict("holds") if decided == "holds" else Verdict(decided, *found)
    if probability(measured, weights.bad) < weights.bad_above:
        return Verdict("holds", *(found if measured["near"] >= SURE else ()))
    return Verdict("not_found", *found)


def by_rule(measured: Signals) -> Kind | None:
    """Return the verdict on a sentence that needs no weights, None for all others."""
    if measured["silence"]:  # "the documentation does not say"
        if measured["silence"] >= ANSWERED:
            return "against"
        return "not_found" if measured["silence"] >= SAID else "holds"
    if measured["points"]:  # "The documentation gives detailed instructions on this.", "See the page on Vault."
        return "holds"
    if measured["refused"]:  # "Yes, you can run it on X." above "X is refused"
        return "against"
    if measured["bare"]:  # "Yes.", "Here is how:"
        return "against" if measured["answer"] >= TURNED else "holds"
    replaced = measured["replaced"] >= REPLACED
    if measured["surely"] or measured["exchanged"] or (replaced and measured["in_order"] >= NEARLY_VERBATIM):
        return "against"
    elsewhere = measured["loose"] >= LOOSE and measured["near"] >= NEAR_LOOSE and measured["in_order"] < VERBATIM
    if elsewhere or (replaced and measured["near"] >= NEAR):
        return "not_found"
    return "not_found" if measured["near"] < FAR else None


def probability(measured: Signals, weights: Mapping[str, float]) -> float:
    """Return the logistic of the weighted sum of what was measured."""
    total = weights[""] + sum(
        weights.get(name, 0.0) * value for name, value in zip(NAMES, measured.values, strict=True)
    )
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, total))))
