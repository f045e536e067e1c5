"""Let the embedded model say only what its sources bear out and the extract does not say already.

A model of 135 million parameters writes commands that exist nowhere and repeats what it reads. The extract answers; so
of the model's text only whole sentences come out that the checker finds borne out, whose every longer word the passage
holds, and that add to the extract. Where there are none, nothing comes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from model.checking.gate import FEWEST_WORDS, Gate, Judge
from model.checking.sentences import AnswerUnit
from model.engine.events import EngineEvent, Finished, TextDelta
from model.engine.protocol import Generation

MAX_TOKENS = 120  # it rambles; what it adds stays short
FENCE = "```"
_WHOLE = re.compile(r"[^\W_a-z][^>]*[.!](?:\s*\[\d+\])*$")  # a sentence from its capital to its full stop, no heading
_WORD = re.compile(r"[^\W_]{4,}|\d+")
NEW = 0.4  # share of a sentence's content words that the extract lacks, from which it adds something


class OnlyWhatAdds(Gate):
    """The gate of the embedded model: it tells nothing about what it keeps back."""

    def __init__(self, judge: Judge, passages: Sequence[str], extract: str) -> None:
        super().__init__(judge)
        self._known = _stems(" ".join(passages))
        self._said = _stems(extract)

    def take(self, unit: AnswerUnit) -> str:
        """Return the sentence with its citation where it adds something, else ""."""
        words = unit.words
        verdict = self.verdict_on(words) if unit.kind == "sentence" and self._adds(words) else None
        if verdict is None or verdict.kind != "holds" or not verdict.source:
            self.left_out += unit.kind != "blank"
            return ""
        self.standing += 1
        self._said |= _stems(words)
        return self.cite(words, verdict) + " "

    def flush(self) -> str:
        """Return ""; nothing is held back from one unit to the next."""
        return ""

    def _adds(self, words: str) -> bool:
        own = _stems(words)
        if not _WHOLE.match(words) or len(own) < FEWEST_WORDS or not own <= self._known:
            return False
        return len(own - self._said) >= NEW * len(own)


def _stems(text: str) -> frozenset[str]:
    """Return the longer words and the figures of a text, cut so that endings do not matter."""
    return frozenset(word[:6] for word in _WORD.findall(text.lower()))


def without_code(generation: Generation) -> Iterator[EngineEvent]:
    """Yield the events of a generation up to its first code block; stop the computing there."""
    held, cut = "", False
    for event in generation:
        if isinstance(event, Finished):
            yield TextDelta("" if cut else held)
            yield replace(event, reason="stop") if cut and event.reason == "cancelled" else event
        elif not isinstance(event, TextDelta):
            yield event
        elif not cut:
            before, fence, _ = (held + event.text).partition(FENCE)
            cut = bool(fence)
            shown = before if cut else before.rstrip("`")
            held = before[len(shown) :]
            yield TextDelta(shown)
            if cut:
                generation.cancel()
