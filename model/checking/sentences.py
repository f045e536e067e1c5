"""Split streamed Markdown into the units that are judged one by one: sentences, table rows, lines of code.

The units put together are the text, whatever the pieces in which it came, but for two things: a line in which a model
only repeats the heading that it read above a passage is dropped, and a citation that Markdown would swallow moves to
where Markdown keeps it (behind a closing fence onto a line of its own, behind a table row into its last cell).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markdown_it import MarkdownIt

Kind = Literal["sentence", "heading", "head", "row", "blank", "open", "code", "close"]

CITES = r"(?:\s*\[\d+\])*"
CLOSERS = r"[)\"'*_`\u201d\u00bb]*"
_SHORT = "".join(
    rf"(?<!\b{short})" for short in (r"e\.g", r"i\.e", "etc", "vs", "approx", "min", "max", r"z\.B", r"d\.h")
)
_STOP = rf"(?:{_SHORT}[.!?]{CLOSERS}(?:{CITES})[^\S\n]+|[。！？][」』）]*(?:{CITES})[^\S\n]*)"
_NEXT = r"(?=[^\sa-z\[]|\[(?:[^\d\]]|\d+[^\d\]]))"  # what begins a new sentence; "[1]" still belongs to the last one
_END = re.compile(_STOP + _NEXT)
PREFIX = r"[^\S\n]*(?:>[^\S\n]*|[-*+][^\S\n]+|\d{1,3}[.)][^\S\n]+)*"  # of a line: quotes and list markers
_MARKERS = re.compile(PREFIX)
_ONLY_MARKERS = re.compile(PREFIX.replace(r"[^\S\n]+", r"[^\S\n]*") + r"$")
FENCE = re.compile(rf"(?P<before>{PREFIX})(?P<fence>`{{3,}}|~{{3,}})(?P<rest>[^`\n]*)$")
_CITED_ROW = re.compile(r"(?P<cells>\s*\|.*?)\s*\|(?P<cites>(?:\s*\[\d+\])+)(?P<gap>\s*)$")
_ONLY_CITES = re.compile(r"\s*(?:\[\d+\]\s*)+$")
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")  # blocks as the page reads them
_MARKDOWN.core.ruler.enableOnly(["normalize", "block"])
_INDENTED = re.compile(r"[ >\t]*(?: {4}|\t)|.*(?: {5}|\t)")  # a line that may be an indented block of code


@dataclass(frozen=True, slots=True)
class AnswerUnit:
    """The smallest piece of an answer that stands or falls as a whole.

    kind: "head" is a table's first row, "blank" whatever states nothing; "open" and "close" are the lines of a fence.
    text: with its list marker before and the white space behind it.
    """

    kind: Kind
    text: str
    language: str = ""  # of a fence and the lines in it, in lower case

    @property
    def markers(self) -> str:
        """The quote and list markers before the words."""
        found = _MARKERS.match(self.text)
        return found[0] if found else ""

    @property
    def words(self) -> str:
        """The text without list markers before it and white space around it."""
        return self.text[len(self.markers) :].strip()

    @property
    def gap(self) -> str:
        """The white space at the end."""
        return self.text[len(self.text.rstrip()) :]


def closes(fence: re.Match[str], opened: str) -> bool:
    """Return True where a line of FENCE ends the block that `opened` began; a citation behind it changes nothing."""
    rest = fence["rest"].strip()
    return (
        fence["fence"].startswith(opened)
        and not re.search(r"[-*+\d]", fence["before"])
        and (not rest or bool(_ONLY_CITES.match(rest)))
    )


class Splitter:
    """The splitter of one stream; a unit comes out as soon as nothing that follows can change it."""

    def __init__(self, echoes: Sequence[str] = ()) -> None:
        """echoes: the lines, with their line ends, that are dropped where they stand alone."""
        self._echoes = echoes
        self._text = ""  # of the unit that is being written
        self._line = ""  # what came out of its line before it
        self._fence = ""  # the characters that opened the code block
        self._language = ""
        self._in_table = False
        self._lines = ""  # all whole lines that came out
        self._shown = ""  # what came out of the line behind them

    def feed(self, text: str) -> list[AnswerUnit]:
        """Take in a piece of the text; return the units that ended in it."""
        self._text += text
        units: list[AnswerUnit] = []
        while (end := self._end()) > 0:
            whole, self._text = self._text[:end], self._text[end:]
            units += self._units(whole)
        return units

    def flush(self) -> list[AnswerUnit]:
        """Return the last units; the text ends here."""
        units = self.feed("")
        rest, self._text = self._text, ""
        return units + (list(self._units(rest)) if rest else [])

    def _end(self) -> int:
        """Return the length of the first unit, 0 while it may go on."""
        line = self._text.find("\n") + 1
        if self._fence or self._may_echo() or (not self._line and re.match(r"\s*(?:\||#|`{3}|~{3})", self._text)):
            return line
        for found in _END.finditer(self._text, 0, line or len(self._text)):
            before = self._text[: found.start() + 1]
            if not _ONLY_MARKERS.match(self._line + before) and (self._line + before).count("`") % 2 == 0:
                return found.end()
        return line

    def _may_echo(self) -> bool:
        return not self._line and any(
            echo.startswith(self._text) or self._text.startswith(echo) for echo in self._echoes
        )

    def _units(self, text: str) -> Iterator[AnswerUnit]:
        if not self._line and (text in self._echoes or text + "\n" in self._echoes):
            return
        whole = self._line + text
        for unit in self._read(text, whole):
            self._shown += unit.text
            yield unit
        self._line = "" if whole.endswith("\n") else whole
        if not self._line:
            self._lines, self._shown = self._lines + self._shown, ""

    def _read(self, text: str, line: str) -> Iterator[AnswerUnit]:
        fence = FENCE.match(line.rstrip("\n"))
        if self._fence and self._block(line) != "fence":  # its quote or list item has ended
            yield AnswerUnit("close", "", self._language)
            self._fence = self._language = ""
        if self._fence:
            if not fence or not closes(fence, self._fence):
                yield AnswerUnit("code", text, self._language)
                return
            cites, end = fence["rest"].strip(), line[len(line.rstrip("\n")) :]
            yield AnswerUnit("close", f"{fence['before']}{fence['fence']}{end}", self._language)
            self._fence = self._language = ""
            if cites:
                yield AnswerUnit("blank", f"{'' if end else chr(10)}\n{fence['before']}{cites}{end}")
        elif fence and text == line and self._block(line) == "fence":
            self._fence, self._language = fence["fence"], (fence["rest"].split() or [""])[0].lower()
            yield AnswerUnit("open", text, self._language)
        else:
            yield from self._prose(text, line)

    def _block(self, line: str) -> str:
        """Return "fence" or "code_block" for a line that Markdown counts to such a block, else ""."""
        number = self._lines.count("\n")
        blocks = (token for token in _MARKDOWN.parse(self._lines + line) if token.type in ("fence", "code_block"))
        return next((one.type for one in blocks if one.map and one.map[0] <= number < one.map[1]), "")

    def _prose(self, text: str, line: str) -> Iterator[AnswerUnit]:
        bare = line.strip()
        if _INDENTED.match(line) and self._block(line) == "code_block":
            yield AnswerUnit("code", text)
            return
        if bare.startswith("|"):
            cited = _CITED_ROW.match(text)
            row = f"{cited['cells']}{cited['cites']} |{cited['gap']}" if cited else text
            is_rule = not bare.strip("|:- \t")
            yield AnswerUnit("blank" if is_rule else "row" if self._in_table else "head", row)
            self._in_table = True
            return
        if self._in_table and _ONLY_CITES.match(line):
            yield AnswerUnit("blank", "\n" + text)
        elif re.match(r"\s*#{1,6}\s", line):
            yield AnswerUnit("heading", text)
        elif not re.search(r"\w", text) or _ONLY_CITES.match(text):
            yield AnswerUnit("blank", text)
        else:
            yield AnswerUnit("sentence", text)
        self._in_table = False
