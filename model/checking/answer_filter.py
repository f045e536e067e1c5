"""Filter all that a turn says while it streams: citations, attribution, the check of each sentence, terminal escapes.

Guarantees what `model.checking.citations`, `model.checking.gate` and `model.checking.terminal_escapes` guarantee,
however the stream is cut. Does not know whether a sentence is true; it knows what `model.checking.verdict` finds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from model.checking.citations import CitationFilter
from model.checking.gate import PLACE, Gate, Judged
from model.checking.sentences import AnswerUnit, Splitter
from model.checking.terminal_escapes import TerminalEscapes
from model.statements.evidence import Given

Piece = str | Judged

_NUMBER = re.compile(r"(?<![A-Za-z0-9_=])\[(\d{1,3})\]")


class AnswerFilter:
    """The filter of one turn. Pass the app's own words to `say`; after `expect`, pass the model's to `feed`."""

    def __init__(self) -> None:
        self.answer = ""  # all that came out
        self.generated = ""  # the part of it that a model wrote
        self.evidence = Given()  # what the generated part may draw on
        self.gate: Gate | None = None  # of the generated part
        self._opening = ""
        self._citations = CitationFilter(0, ())
        self._splitter = Splitter()
        self._escapes = TerminalEscapes()

    def lend(self, texts: Iterable[str]) -> None:
        """Let `texts` lend terminal escapes to whatever is said from now on."""
        self._escapes.evidence += texts

    def say(self, text: str) -> str:
        """Return a stretch of the app's own words as it may be shown; only terminal escapes are judged."""
        said = self._escapes.feed(text.replace(PLACE, "")) + self._escapes.flush()
        self.answer += said
        return said

    def expect(self, evidence: Given, headings: Sequence[str], gate: Gate, opening: str = "") -> None:
        """Begin the generated part of the answer.

        evidence: what the model was given to read. headings: the line that stood above each passage. gate: decides what
        comes out. opening: the app's words before the first words that do.
        """
        self.evidence, self.gate, self._opening = evidence, gate, opening
        self._citations = CitationFilter(len(evidence.passages), evidence.texts())
        self._splitter = Splitter([f"{line}\n" for line in headings])

    def feed(self, text: str) -> list[Piece]:
        """Take in a piece of what the model writes; return what is now judged and safe to show."""
        gate = self._expected
        units = map(self._cited, self._splitter.feed(self._citations.feed(text.replace(PLACE, ""))))
        return self._out(self._escapes.feed("".join(map(gate.take, units))), gate)

    def flush(self) -> list[Piece]:
        """Return what is left at the end of the generated part."""
        gate = self._expected
        units = map(self._cited, self._splitter.feed(self._citations.flush()) + self._splitter.flush())
        text = "".join(map(gate.take, units)) + gate.flush()
        return self._out(self._escapes.feed(text) + self._escapes.flush(), gate)

    @property
    def removed(self) -> int:
        """The number of citations and addresses that were taken out."""
        return self._citations.removed

    @property
    def uncited(self) -> bool:
        """True where the model had passages to cite, something of it stands and cites none."""
        written = self.gate and self.evidence.passages and self.generated.strip()
        return bool(written and self.gate and not self.gate.cited)

    def _cited(self, unit: AnswerUnit) -> AnswerUnit:
        """Return a unit without numbers of no passage, where the citation filter took it for code and it is none."""
        if unit.kind in ("open", "code", "close"):
            return unit
        most = len(self.evidence.passages)
        return replace(unit, text=_NUMBER.sub(lambda one: one[0] if 1 <= int(one[1]) <= most else "", unit.text))

    @property
    def _expected(self) -> Gate:
        if self.gate is None:
            raise RuntimeError("expect() comes before feed() and flush()")
        return self.gate

    def _out(self, text: str, gate: Gate) -> list[Piece]:
        pieces: list[Piece] = []
        for number, words in enumerate(text.split(PLACE)):
            if number:
                pieces.append(gate.places.popleft())
            if words.strip() and self._opening:
                pieces.append(self._opening)
                self.answer += self._opening
                self._opening = ""
            if words:
                pieces.append(words)
                self.answer += words
                self.generated += words
        return pieces
