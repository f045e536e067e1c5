"""Put the number of the passage that says it behind each generated sentence, while the answer streams.

Small models forget to cite, and cite the wrong passage. If the words and figures of a sentence stand close together in
one passage, the filter sets that passage's number, or corrects the number that the model wrote. It leaves a sentence
that no passage says as it is: `model.checking.grounding` marks it. It also drops lines in which a model only repeats
the heading it read above a passage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from model.checking.grounding import Given, SentenceEvidence

SURE = 0.55  # share of a sentence's content words that stand together in the passage

_CITES = r"(?:\s*\[\d+\])*"
_STOP = r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)[.!?][)\"'*_`]*"
_NEXT = r"(?=[^\sa-z\[]|\[(?:[^\d\]]|\d+[^\d\]]))"  # what begins a new sentence; "[1]" still belongs to the last one
_END = re.compile(rf"(?P<cites>{_CITES})(?P<stop>{_STOP}(?P<late>{_CITES}))(?P<gap>[^\S\n]+){_NEXT}")
_LINE_END = re.compile(rf"(?P<cites>{_CITES})(?P<stop>(?:[.!?:;][)\"'*_`]*)?(?P<late>{_CITES}))(?P<gap>[^\S\n]*\n)")
_TAIL = re.compile(rf"{_CITES}(?:\s*\[\d*)?(?:[.!?:;][)\"'*_`]*(?:\s*\[\d*\]?)*)?\s*$")  # may become one of the two
_NO_PROSE = re.compile(r"\s*(?:#|\||$)")  # headings and tables carry no citations
_FENCE = re.compile(r"\s{0,3}`{3,}")


class Attribution:
    """The filter that numbers sentences as they stream; it holds the end of each back for a few characters."""

    def __init__(self, given: Given, places: Sequence[str] = ()) -> None:
        """places: the line that stands above each passage where the model reads it."""
        self._passages = [SentenceEvidence.of([passage], given.question) for passage in given.passages]
        self._echoes = [f"[{number}] {place}\n" for number, place in enumerate(places, start=1)]
        self._text = ""  # of the sentence that is being written
        self._shown = 0  # how much of it is out
        self._line = ""  # what is out of its line before it
        self._fenced = False
        self.cited: set[int] = set()

    def feed(self, text: str) -> str:
        """Take in a piece of the answer; return what is now safe to show, "" when nothing is."""
        self._text += text
        out = ""
        while (end := self._end()) is not None:
            out += self._finish(end)
        return out + self._show(self._safe())

    def flush(self) -> str:
        """Return the rest at the end of the answer."""
        self._text += "\n"
        out = self.feed("")
        return (out + self._show(len(self._text))).removesuffix("\n")

    def _end(self) -> re.Match[str] | None:
        line = _LINE_END.search(self._text)
        sentence = None if self._fenced or self._is_echo() else _END.search(self._text)
        return sentence if sentence and (line is None or sentence.start() < line.start()) else line

    def _is_echo(self) -> bool:
        """Return True while the line may still turn out to be a passage's heading."""
        return not self._line and any(echo.startswith(self._text) for echo in self._echoes)

    def _safe(self) -> int:
        if self._is_echo():
            return 0
        tail = _TAIL.search(self._text)
        return tail.start() if tail and not self._fenced else len(self._text)

    def _show(self, upto: int) -> str:
        out = self._text[self._shown : max(upto, self._shown)]
        self._shown += len(out)
        return out

    def _finish(self, end: re.Match[str]) -> str:
        """Return the rest of the sentence that ends here, with its numbers; `_text` begins anew behind it."""
        sentence, whole = self._text[: end.start()], self._text[: end.end()]
        if not self._line and whole in self._echoes:
            self._text, self._shown = self._text[end.end() :], 0
            return ""
        line = self._line + sentence
        fence = bool(_FENCE.match(line)) and whole.endswith("\n")
        is_prose = not (self._fenced or fence or _NO_PROSE.match(line) or end["stop"].startswith(":"))
        marked = self._numbered(sentence, end) if is_prose else whole
        out = marked[self._shown :]
        self._fenced ^= fence
        self._line = "" if whole.endswith("\n") else self._line + whole
        self._text, self._shown = self._text[end.end() :], 0
        return out

    def _numbered(self, sentence: str, end: re.Match[str]) -> str:
        said = [int(number) for number in re.findall(r"\[(\d+)\]", sentence + end["cites"] + end["late"])]
        bare = re.sub(r"\s*\[\d+\]", "", sentence)
        best = self._best(bare)
        if best is None or (said and self._any_says(said, bare)):
            self.cited.update(said)
            return sentence + end["cites"] + end["stop"] + end["gap"]
        self.cited.add(best)
        stop = end["stop"].removesuffix(end["late"])
        return f"{sentence} [{best}]{stop}{end['gap']}"

    def _best(self, sentence: str) -> int | None:
        """Return the number of the passage that surely says the sentence, or None."""
        near = [
            (passage.nearness(sentence), -number)
            for number, passage in enumerate(self._passages, start=1)
            if passage.holds(sentence)
        ]
        nearness, number = max(near, default=(0.0, 0))
        return -number if nearness >= SURE else None

    def _any_says(self, numbers: Sequence[int], sentence: str) -> bool:
        return any(self._passages[n - 1].holds(sentence) for n in numbers if n <= len(self._passages))
