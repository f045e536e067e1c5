"""Hold a model's explanation of tools' results to what the rules read in them."""

from __future__ import annotations

import re

from model.checking.gate import Judge
from model.checking.verdict import Verdict
from tools.diagnosis.reading import ResultReading

_YES_OR_NO = re.compile(r"\W*(?P<answer>yes|no)\b[\s,.:;!-]*", re.IGNORECASE)


class WithRules:
    """The checker of an explanation of tools' results: it may not contradict what the rules read in them."""

    def __init__(self, checker: Judge, reading: ResultReading) -> None:
        """checker: judges what the rules have no verdict on."""
        self._checker, self._reading = checker, reading

    def judge(self, sentence: str, before: str = "", after: str = "") -> Verdict:
        """Return the rules' verdict where they have one, else the checker's."""
        if self._reading.denies(sentence):
            return Verdict("against", 0, self._reading.text or self._reading.seen[0].says)
        answered = _YES_OR_NO.match(sentence)
        if answered and self._reading.text.lower().startswith(answered["answer"].lower()):
            sentence, after = sentence[answered.end() :], ""  # the rules said that much; the checker judges the rest
            if not sentence.strip():
                return Verdict("holds")
        return self._checker.judge(sentence, before, after)

    def judge_command(self, line: str) -> Verdict:
        """Return the checker's verdict."""
        return self._checker.judge_command(line)

    def repeats(self, sentence: str) -> bool:
        """Return True for a sentence that only says the visitor's message again."""
        return self._checker.repeats(sentence)
