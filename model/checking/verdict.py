"""Judge one sentence of an answer, or one command line, by the passages it may draw on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from model.checking.commands import unknown_commands
from model.checking.grounding import Given, SentenceEvidence, unsupported

SURE = 0.55  # share of a sentence's content words that stand together in the passage that bears it out


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one sentence. source: number of the passage that decides, from 1; 0 for none."""

    kind: Literal["holds", "not_found", "against"]
    source: int = 0
    evidence: str = ""  # the passage's sentence that decides


HOLDS = Verdict("holds")


class SentenceChecker:
    """The checker of one turn's sentences, one by one."""

    def __init__(self, given: Given, *, foreign: bool = False, before: str = "") -> None:
        """foreign: answer and evidence differ in language. before: the last sentence of the app's own words."""
        self._given = given
        self._foreign = foreign
        self._before = before
        self._passages = [SentenceEvidence.of([passage], given.question) for passage in given.passages]

    def judge(self, sentence: str, before: str = "") -> Verdict:  # noqa: ARG002  the interface's
        """Return the verdict on prose, a list item or a table row. before: the sentence before it."""
        if unsupported(sentence, self._given, foreign=self._foreign):
            return Verdict("not_found")
        near = [
            (passage.nearness(sentence), -number)
            for number, passage in enumerate(self._passages, start=1)
            if passage.holds(sentence)
        ]
        nearness, number = max(near, default=(0.0, 0))
        return Verdict("holds", -number) if nearness >= SURE else HOLDS

    def judge_command(self, line: str) -> Verdict:
        """Return the verdict on a line of a shell block."""
        return Verdict("not_found") if unknown_commands(f"```\n{line}\n```\n", self._given.texts()) else HOLDS
