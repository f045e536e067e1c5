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

from model.checking.commands import Commands
from model.checking.grounding import Evidence, Given, Piece
from model.checking.signals import NAMES, Signals, holds_exactly, signals
from model.statements.words import is_foreign

SURE = 0.55  # share of a sentence's words that stand in the piece that bears it out, for that piece to be named
SURELY_TURNED = 0.5  # margin from which what a sentence says is against the evidence, whatever else speaks for it
NEAR = 0.7  # share of a sentence's words in one piece from which the rest of it is taken for another thing's
LOOSE = 0.5  # share of the words beside a figure or name that stand together elsewhere, without it
REPLACED = 1.0  # weight of figures and names in whose place the piece has others
TURNED = 0.25  # margin from which a bare yes or no goes against the evidence

FEWEST_VERBATIM = 4  # words that stand in the evidence as they are

_CITATION = re.compile(r"\[(\d+)\]")
_MARKS = re.compile(r"^\s*(?:[-*+>]\s+|\d{1,3}[.)]\s+|#+\s+|\|)+")
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
    """The fitted weights of the signals, for `holds` against the rest and for `against` against the rest."""

    bad: Mapping[str, float]  # by signal, with the constant as ""
    against: Mapping[str, float]
    bad_above: float  # probability from which a sentence does not hold
    against_above: float  # probability from which such a sentence goes against its evidence

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> VerdictWeights:
        """Return the weights that `model.training.train` writes."""
        return cls(data["bad"], data["against"], data["bad_above"], data["against_above"])


class SentenceChecker:
    """The checker of one turn's sentences, one by one."""

    def __init__(self, given: Given, *, foreign: bool = False, before: str = "") -> None:
        """foreign: answer and evidence differ in language. before: the last sentence of the app's own words."""
        self._given = given
        self._foreign = foreign
        self._before = before
        self._evidence: dict[frozenset[int], Evidence] = {}

    def judge(self, sentence: str, before: str = "") -> Verdict:
        """Return the verdict on prose, a list item or a table row. before: the text before it."""
        words = plain(sentence)
        if _STATES_NOTHING.match(words):
            return Verdict("holds")
        evidence = self._behind(frozenset(map(int, _CITATION.findall(sentence))))
        if self._foreign or is_foreign(words):
            return Verdict("holds" if holds_exactly(words, evidence) else "not_found")
        if piece := settled(words, evidence):
            return Verdict("holds", piece.source, piece.text)
        return _verdict(signals(words, evidence, self._given.question, before or self._before), load_weights())

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
    return _MARKS.sub("", _CITATION.sub("", sentence)).strip()


def settled(sentence: str, evidence: Evidence) -> Piece | None:
    """Return the piece that says a plain sentence word for word, None where nothing but weights can decide."""
    return evidence.verbatim(sentence) if len(sentence.split()) >= FEWEST_VERBATIM else None


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
    against = probability(measured, weights.against) >= weights.against_above
    return Verdict("against" if against else "not_found", *found)


def by_rule(measured: Signals) -> Kind | None:
    """Return the verdict on a sentence that needs no weights, None for all others."""
    if measured["silence"]:  # "the documentation does not say": it does, these passages were found for the question
        return "against" if measured["silence"] == 1.0 else "holds"
    if measured["bare"]:  # "Yes.", "Here is how:"
        return "against" if measured["answer"] >= TURNED else "holds"
    exchanged = measured["loose"] >= LOOSE or measured["replaced"] >= REPLACED
    if measured["turned"] >= SURELY_TURNED or (exchanged and measured["near"] >= NEAR):
        return "against"
    return None


def probability(measured: Signals, weights: Mapping[str, float]) -> float:
    """Return the logistic of the weighted sum of what was measured."""
    total = weights[""] + sum(
        weights.get(name, 0.0) * value for name, value in zip(NAMES, measured.values, strict=True)
    )
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, total))))
