"""Filter all that a turn says while it streams: citations, attribution and terminal escapes.

Guarantees what `model.checking.citations` and `model.checking.terminal_escapes` guarantee. Does not check whether a
sentence is true to its evidence; `model.checking.grounding` marks that once the answer is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from model.checking.attribution import Attribution
from model.checking.citations import CitationFilter
from model.checking.grounding import Given
from model.checking.terminal_escapes import TerminalEscapes


class AnswerFilter:
    """The filter of one turn. Pass the app's own words to `say`; after `expect`, pass the model's to `feed`."""

    def __init__(self) -> None:
        self.answer = ""  # all that came out
        self.evidence = Given()  # what the generated part may draw on
        self._generated_from = 0  # characters of `answer` that were said before the generated part
        self._citations = CitationFilter(0, ())
        self._attribution = Attribution(self.evidence)
        self._escapes = TerminalEscapes()

    def lend(self, texts: Iterable[str]) -> None:
        """Let `texts` lend terminal escapes to whatever is said from now on."""
        self._escapes.evidence += texts

    def say(self, text: str) -> str:
        """Return a stretch of the app's own words as it may be shown; only terminal escapes are judged."""
        return self._out(self._escapes.feed(text) + self._escapes.flush())

    def expect(self, evidence: Given, headings: Sequence[str]) -> None:
        """Begin the generated part of the answer.

        evidence: what the model was given to read. headings: the line that stood above each passage.
        """
        self.evidence = evidence
        self._generated_from = len(self.answer)
        self._citations = CitationFilter(len(evidence.passages), evidence.texts())
        self._attribution = Attribution(evidence, headings)

    def feed(self, text: str) -> str:
        """Take in a piece of what the model writes; return what is now safe to show, "" when nothing is."""
        return self._out(self._escapes.feed(self._attribution.feed(self._citations.feed(text))))

    def flush(self) -> str:
        """Return what is left at the end of the generated part."""
        rest = self._attribution.feed(self._citations.flush()) + self._attribution.flush()
        return self._out(self._escapes.feed(rest) + self._escapes.flush())

    @property
    def generated(self) -> str:
        """The generated part of `answer`."""
        return self.answer[self._generated_from :]

    @property
    def removed(self) -> int:
        """The number of citations and addresses that were taken out."""
        return self._citations.removed

    @property
    def uncited(self) -> bool:
        """True where the model had passages to cite, wrote something and cited none."""
        return bool(self.evidence.passages and self.generated.strip()) and not self._attribution.cited

    def _out(self, text: str) -> str:
        self.answer += text
        return text
