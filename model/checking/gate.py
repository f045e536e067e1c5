"""Hold each sentence, table row and command of a model's answer back until it is judged.

A sentence that a passage bears out gets the number of that passage: small models forget to cite, and cite the wrong
one. What its evidence bears out stands. What no evidence holds stands with a `Judged` behind it. What goes against its
evidence is taken out, and a `Judged` says so in its place: behind the table or the block of code where it stood in one.
Does not judge better than its judge, and no block of code in another language than the shell's.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

from model.checking.attribution import citations, numbered, uncited
from model.checking.commands import PROMPT
from model.checking.sentences import AnswerUnit
from model.checking.terminal_escapes import harmless
from model.checking.verdict import Verdict
from model.statements.words import answer_of

PLACE = "\ue000"  # stands for a Judged in the text; a private character, which `AnswerFilter` takes out of all else
SHELLS = frozenset({"", "bash", "sh", "shell", "console", "zsh"})  # a fence's language
FEWEST_WORDS = 3  # of a sentence that states enough to cite a passage for it
LONGEST_TOLD = 400  # characters of what is told about a sentence

_WORD = re.compile(r"[^\W\d_]{3,}")
_ONE_WORD = re.compile(r"\W*\w+\W*$")  # "Yes." says what the next sentence says
_NO_COMMAND = re.compile(r"\s*(?:#|$)")
_LAST_CELL = re.compile(r"\s*\|?\s*$")


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgement on what stands before this place ("not_found") or stood here ("left_out")."""

    kind: Literal["not_found", "left_out"]
    words: str  # the sentence, table row or command as the model wrote it; untrusted
    source: int = 0  # number of the passage that decides, 0 for none
    evidence: str = ""  # the passage's sentence that decides
    command: bool = False


class Judge(Protocol):
    """The interface of `model.checking.verdict.SentenceChecker` that a gate needs."""

    def judge(self, sentence: str, before: str = "", after: str = "") -> Verdict:
        """Return the verdict on a sentence, list item or table row; before, after: the sentences beside it."""
        ...

    def judge_command(self, line: str) -> Verdict:
        """Return the verdict on a line of a shell block."""
        ...

    def repeats(self, sentence: str) -> bool:
        """Return True for a sentence that only says the visitor's message again."""
        ...


class Gate:
    """The gate of one answer. It returns text with a PLACE for each of `places`, in their order."""

    def __init__(self, judge: Judge) -> None:
        self.places: deque[Judged] = deque()
        self.cited: set[int] = set()  # the passages that what was let through cites
        self.standing = 0  # sentences, rows and commands that were let through
        self.left_out = 0
        self._judge = judge
        self._waiting = ""  # a sentence of one word, which stands or falls with the next
        self._claim = ""  # an answer's first sentence with yes or no, which the next sentence may refute
        self._before = ""  # the last sentence that was let through
        self._behind: list[Judged] = []  # told behind the table or block under way
        self._indent = ""  # of that block
        self._opening = ""  # the first line of a block until something in it stands
        self._closing = ""  # the last line that the block needs
        self._command = ""  # the lines of a command that goes on

    def take(self, unit: AnswerUnit) -> str:
        """Return what may be shown after one more unit."""
        if unit.kind in ("open", "code", "close"):
            return self._release() + self._code(unit)
        if unit.kind == "row":
            return self._release() + self._row(unit)
        if unit.kind == "sentence":
            return self._told() + self._sentence(unit)
        if unit.kind == "blank" and not unit.text.strip() and (self._waiting or self._claim):
            if self._waiting:
                self._waiting += unit.text
            else:
                self._claim += unit.text
            return ""
        self.cited.update(citations(unit.text))
        is_rule = unit.kind == "blank" and "|" in unit.text
        text = self._heading(unit) if unit.kind == "heading" else unit.text
        return self._release() + ("" if is_rule else self._told()) + text

    def flush(self) -> str:
        """Return what is left at the end of the answer."""
        rest = self._release() + self._run("")
        unshown, closing = self._opening, self._closing
        self._opening = self._closing = ""
        if not self._behind:
            return rest + unshown
        return rest + (f"\n{closing}" if closing and not unshown else "") + self._told(line_end=False)

    def _sentence(self, unit: AnswerUnit) -> str:
        if unit.markers:
            return self._release() + self._decide(unit.text, unit.markers)
        opens = not (self.standing or self.left_out or self._waiting or self._claim)
        claim = self._claimed(unit.text)
        if _ONE_WORD.match(uncited(unit.text)) and not self._waiting:
            self._waiting = unit.text
            return claim
        if opens and answer_of(unit.text) is not None:
            self._claim = unit.text
            return claim
        first, self._waiting = self._waiting, ""
        return claim + self._decide(unit.text, "", first)

    def _claimed(self, after: str = "") -> str:
        """Return the first sentence, which waited for the one behind it."""
        claim, self._claim = self._claim, ""
        return self._decide(claim, "", after=after) if claim else ""

    def _release(self) -> str:
        """Return the sentence that waited, which nothing follows that it could join."""
        claim = self._claimed()
        alone, self._waiting = self._waiting, ""
        return claim + (self._decide(alone, "") if alone else "")

    def _decide(self, text: str, markers: str, first: str = "", after: str = "") -> str:
        """Return a sentence as it may be shown. first: the one-word sentence that stands or falls with it."""
        gap = text[len(text.rstrip()) :]
        words = f"{first}{text[len(markers) :]}".strip()
        if self._judge.repeats(words):
            return ""
        verdict = self.verdict_on(words, after)
        if verdict.kind == "against":
            return markers + self._leave_out(words, verdict) + gap
        self.standing += not words.endswith(":")
        self._before = words
        shown = self.cite(text, verdict)
        return first + shown if verdict.kind == "holds" else first + shown.rstrip() + self._mark(words, verdict) + gap

    def verdict_on(self, sentence: str, after: str = "") -> Verdict:
        """Return the verdict on a sentence by the passages that it cites, or by all where those do not bear it out."""
        verdict = self._judge.judge(sentence, self._before, after)
        if verdict.kind == "holds" or not citations(sentence):
            return verdict
        return self._judge.judge(uncited(sentence), self._before, after)

    def cite(self, sentence: str, verdict: Verdict) -> str:
        """Return a sentence that was let through with the number of the passage that bears it out."""
        said = citations(sentence)
        says_enough = len(_WORD.findall(sentence)) >= FEWEST_WORDS
        if verdict.kind == "holds" and verdict.source and verdict.source not in said and says_enough:
            sentence = numbered(sentence, verdict.source)
        self.cited.update(citations(sentence))
        return sentence

    def _heading(self, unit: AnswerUnit) -> str:
        verdict = self.verdict_on(unit.words.strip("# "))
        return self._leave_out(unit.words, verdict) + unit.gap if verdict.kind == "against" else unit.text

    def _row(self, unit: AnswerUnit) -> str:
        verdict = self.verdict_on(unit.words)
        if verdict.kind == "against":
            self.left_out += 1
            self._behind.append(_judged("left_out", unit.words, verdict))
            return ""
        self.standing += 1
        self.cited.update(citations(unit.text))
        if verdict.kind == "holds":
            return unit.text
        cells = _LAST_CELL.sub("", unit.text)
        return cells + self._mark(unit.words, verdict) + unit.text[len(cells) :]

    def _code(self, unit: AnswerUnit) -> str:
        if unit.kind == "open":
            told = self._told()
            self._opening, self._indent = unit.text, re.sub(r"[^>\s]", " ", unit.markers)
            self._closing = self._indent + re.sub(r"[^`~].*", "", unit.words)
            return told
        if unit.kind == "close":
            rest = self._run("")
            unshown, self._opening, self._closing = self._opening, "", ""
            if unshown and self._behind:
                return rest + self._told()  # nothing of the block stands
            return rest + unshown + unit.text + self._told(line_end=unit.text.endswith("\n"))
        if unit.language not in SHELLS or _NO_COMMAND.match(unit.text):
            return self._run("") + self._opened(unit.text)
        if unit.text.rstrip().endswith("\\"):
            self._command += unit.text
            return ""
        return self._run(unit.text)

    def _run(self, line: str) -> str:
        """Return the command that ends with `line`, unless it goes against the evidence."""
        command, self._command = self._command + line, ""
        lines = [PROMPT.sub("", one, count=1).strip() for one in command.splitlines() if one.strip()]
        if not lines:
            return ""
        verdicts = [self._judge.judge_command(one) for one in lines]
        told = " ".join(one.removesuffix("\\").strip() for one in lines)
        for kind, name in (("against", "left_out"), ("not_found", "not_found")):
            verdict = next((one for one in verdicts if one.kind == kind), None)
            if verdict:
                self._behind.append(_judged(name, told, verdict, command=True))
                break
        if any(verdict.kind == "against" for verdict in verdicts):
            self.left_out += 1
            return ""
        self.standing += 1
        return self._opened(command)

    def _opened(self, text: str) -> str:
        opening, self._opening = self._opening, ""
        return opening + text

    def _leave_out(self, words: str, verdict: Verdict) -> str:
        self.left_out += 1
        self.places.append(_judged("left_out", words, verdict))
        return PLACE

    def _mark(self, words: str, verdict: Verdict) -> str:
        self.places.append(_judged("not_found", words, verdict))
        return PLACE

    def _told(self, *, line_end: bool = True) -> str:
        """Return the places of what is told behind a table or block that has ended, on a line of their own."""
        if not self._behind:
            return ""
        self.places += self._behind
        marks, indent = PLACE * len(self._behind), self._indent
        self._behind, self._indent = [], ""
        return ("" if line_end else "\n") + f"\n{indent}{marks}\n\n"


def _judged(kind: str, words: str, verdict: Verdict, *, command: bool = False) -> Judged:
    bare = harmless(uncited(words)).strip()
    told = bare if len(bare) <= LONGEST_TOLD else bare[: LONGEST_TOLD - 1].rstrip() + "\u2026"
    return Judged("left_out" if kind == "left_out" else "not_found", told, verdict.source, verdict.evidence, command)
