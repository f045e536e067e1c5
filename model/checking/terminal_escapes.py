r"""Replace terminal escapes that an answer spells out in printable characters, as in \x1b[2J, and no source holds.

In a page they do nothing, but a reader who pastes one into `printf` or `echo -e` runs it. The filter replaces the ESC
of one that no source holds by its symbol, U+241B, which a reader can read and no terminal runs. It replaces or drops
real control characters whatever the evidence holds.

What counts, after ECMA-48 (5.2 to 5.6) and ECMA-35 (13.2):
- A spelling that means nothing but ESC (\x1b, \033, \u001b, \N{ESC}), whatever follows: the rest may come from
  elsewhere, as in printf '\x1b'; printf '[2J'.
- A spelling that may mean something else (\e and \E, also a path, a macro, the end of \Q; \c[ ; \33 and \27, also
  references of a pattern; %1b) only before what begins a control function, or where a quoted string ends, but not
  after C: .
- A C1 control that introduces one (\x9b is ESC [), but not as a later byte of a spelt-out UTF-8 character.
Not found: ESC that is computed (chr(27), tput, base64); \e before a letter, but for those that reset a terminal or open
a string; the ^[ that terminals show for ESC, which nothing turns back and half of all patterns begin with.
We found no library that knows them: all that strip escapes look for the control characters themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rag.types import Passage
from tools.types import ToolCall, ToolResult

ESC = "\N{SYMBOL FOR ESCAPE}"
REACH = 24  # characters from the first of a spelling within which it is decided whether it is one
LONGEST = 400  # of a control string (a title, an address, a clipboard) that evidence is compared with

_BEGINS = (  # a control function: CSI, OSC, DCS, SOS, APC, PM, RIS, cursor, character sets, alignment
    r"(?=[\[\]]|\\[\[\]]|[PXc](?![A-Za-z])|_(?![a-z])|\^(?!\{)|[78](?!\w)|\([0-9A-Z%\"]|#[0-9]|%[@Gs8]"
    r"|['\"](?=[\['\"$;&|])|\$[A-Za-z_({]"  # a string that ends and goes on in another, or with a variable
    r"|\\(?:x[2-7]|0?[01][0-7]{2}|u(?:\{|00)))"  # its next character is spelt out too
)
_ESCAPE = re.compile(
    r"(?P<sure>\\(?:[xX](?:1[bB]|\{0{0,6}1[bB]\})|0{1,2}33|[uU](?:\{0{0,6}1[bB]\}|00(?:0000)?1[bB]"
    r"|0{0,5}1[bB](?![0-9A-Fa-f]))|N\{ESC(?:APE)?\}))"
    rf"|(?P<unsure>\\(?:[eE]|c\[|33){_BEGINS}|(?<![A-Za-z]:)\\(?:[eE]|c\[)(?=['\"])|\\27(?=[\[\]])|%1[bB](?=[\[\]]|%5[bBdD]))"
    r"|(?P<c1>(?:(?<!\\x[d-f][0-9a-f])(?<!\\xc[3-9a-f])(?<!\\x[ef][0-9a-f]\\x[89ab][0-9a-f])\\[xX]"
    r"|\\[uU]00(?:0000)?)(?P<hex>9[08bBdDeEfF])|\\[uUxX]\{0{0,6}(?P<braced>9[08bBdDeEfF])\}"
    r"|\\0?302\\0?(?P<octal>2(?:[23]0|3[3567])))"
)
_MAY_BEGIN = re.compile(r"\\(?:$|[xXuUeEcN023])|%(?:$|1)")
_FUNCTION = re.compile(rf"\[[0-?]{{0,40}}[ -/]{{0,4}}[@-~]?|[\]PX^_][^\n'\"`]{{0,{LONGEST}}}|(?s:.)|$")
_BEFORE = 8  # characters that the last look-behind reads
_INTRODUCERS = {code: f"{ESC}{chr(code - 0x40)}" for code in (0x90, 0x98, 0x9B, 0x9D, 0x9E, 0x9F)}
_CONTROLS: dict[int, str | None] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]), **_INTRODUCERS, 0x1B: ESC, 0x09: "\t", 0x0A: "\n",
}  # fmt: skip


class TerminalEscapes:
    """The filter of terminal escapes in a stream; it holds a spelling back until what it controls is known.

    evidence: the sources of the answer; they may come after its first words. The question is no evidence.
    """

    def __init__(self, evidence: Iterable[str] = ()) -> None:
        self.evidence = list(evidence)
        self._held = ""
        self._before = ""  # the last characters that went out

    def feed(self, text: str) -> str:
        """Take in a piece of the answer; return what is now safe to show, "" when nothing is."""
        self._held += text.translate(_CONTROLS)
        return self._take(final=False)

    def flush(self) -> str:
        """Return the rest at the end of the answer."""
        return self._take(final=True)

    def _take(self, *, final: bool) -> str:
        text, at = self._before + self._held, len(self._before)
        out = self._before
        while begin := _MAY_BEGIN.search(text, at):
            out += text[at : begin.start()]
            at = begin.start()
            if not final and len(text) - at < REACH:
                break
            # Look at what stands before as it went out, so that a second pass finds the same.
            seen = out[-_BEFORE:]
            escape = _ESCAPE.match(seen + text[at : at + REACH], len(seen))
            if escape is None:
                out, at = out + text[at], at + 1
                continue
            end = at + escape.end() - escape.start()
            whole = _end(escape, text, end)
            if not any(text[at:whole] in one for one in self.evidence):
                out, at = out + _shown(escape), end
            elif whole < len(text) or final:
                out, at = out + text[at:whole], whole
            else:
                break
        else:
            out, at = out + text[at:], len(text)
        shown, self._held = out[len(self._before) :], text[at:]
        self._before = out[-_BEFORE:]
        return shown


def harmless(text: str) -> str:
    """Return the text without any escape, spelt out or real; for text whose evidence is lost."""
    escapes = TerminalEscapes()
    return escapes.feed(text) + escapes.flush()


def _end(escape: re.Match[str], text: str, at: int) -> int:
    """Return where the control function ends whose first spelling ends at `at`, or the end of the text."""
    opened = _shown(escape).removeprefix(ESC)  # by a C1 control itself
    function = _FUNCTION.match(opened + text[at : at + LONGEST + 1])
    return at + (function.end() if function else 0) - len(opened)


def _shown(escape: re.Match[str]) -> str:
    if not escape["c1"]:
        return ESC
    code = int(escape["octal"], 8) if escape["octal"] else int(escape["hex"] or escape["braced"], 16)
    return _INTRODUCERS[code]


def lenders(passages: Sequence[Passage], calls: Sequence[ToolCall], results: Sequence[ToolResult]) -> list[str]:
    """Return the texts that may lend a terminal escape: passages, and tools' words that do not repeat their arguments.

    A tool names what it was asked about, and that may come from the visitor or from a model.
    """
    told = [text for result in results for text in _texts([result.data, result.error])]
    asked = {text for call in calls for text in _texts(call.arguments) if text}
    found = [text for one in passages for text in (one.title, *one.headings, one.text, one.excerpt)]
    return found + [text for text in told if not any(words in text for words in asked)]


def _texts(value: object) -> Iterator[str]:
    """Yield every text within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
