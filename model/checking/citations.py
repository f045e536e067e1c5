"""Check what a model writes about its sources while it streams.

Guarantees: no citation number that was not given, no link or address that no passage holds, no image and no reference
definition comes out. Does not check: whether a cited passage says what the sentence says; that is
`model.checking.verdict`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from model.checking.sentences import FENCE, PREFIX, closes

REMOVED = "(address not in the sources)"
LONGEST_HELD = 400  # characters an open bracket may wait for its end before it counts as plain text

_ADDRESS = r"(?:(?:[A-Za-z][A-Za-z0-9+.-]*://|mailto:|www\.)(?:[!-~]+|\S+))"  # \S+: a host that is not ASCII
_NUMBERS = r"\[(?:(?:doc(?:ument)?|source|passage)\s*)?\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]"
INDEX = (
    rf"(?<=[A-Za-z0-9_=])(?:{_NUMBERS})+"  # as in a[3] or disks=[20]; another script's letter may precede a citation
)
_TOKEN = re.compile(
    rf"(?P<fence>^{PREFIX}(?:`{{3,}}|~{{3,}})[^`\n]*$)"
    r"|(?P<image>!\[[^\]\n]*\](?:\([^)\n]*\)|\[[^\]\n]*\])?)"
    r"|(?P<definition>^[ ]{0,3}\[[^\]\n]+\]:.*$)"
    r"|(?P<link>\[(?P<label>[^\[\]\n]*)\]\((?P<target>[^)\n]*)\))"
    r"|(?P<tail>\]\()"  # of a link whose label is nested or spans lines
    rf"|(?P<index>{INDEX})"
    rf"|(?P<cite>(?:{_NUMBERS})+)"
    r"|(?P<markup></?(?:documents?|tool_response|tool_call|tools)>)"
    rf"|(?P<angle><{_ADDRESS}>)"
    rf"|(?P<address>{_ADDRESS})",
    re.IGNORECASE | re.MULTILINE,
)
_LINE_HEAD = re.compile(rf"{PREFIX}(?:$|`{{3}}|~{{3}}|\[[^\]\n]+\]:)")  # a line that may become a fence or a definition
_TRAILING = ".,;:!?)]}'\"`*_>"


class CitationFilter:
    """The filter of citations and addresses in a streamed answer; it holds text back for at most a word.

    count: number of given passages, so [1] to [count] are valid. allowed: texts whose addresses may appear.
    """

    def __init__(self, count: int, allowed: Iterable[str]) -> None:
        self._count = count
        self._addresses = frozenset(a for text in allowed for a in addresses(text))
        self._line = ""  # what was shown of the line that `_pending` continues
        self._pending = ""
        self._fence = ""  # what opened the code block, where [1] is code; inline code gets no such trust
        self.removed = 0  # citations and addresses that did not come through

    def feed(self, text: str) -> str:
        """Take in a piece of the answer; return what is now safe to show, "" when nothing is."""
        return "".join(map(self._take, text))  # by character, so that it makes no difference how the text is cut

    def flush(self) -> str:
        """Return the rest at the end of the answer."""
        rest, self._pending = self._pending, ""
        return self._clean(rest)

    def _take(self, character: str) -> str:
        self._pending += character
        if not _may_cut(character):
            return ""
        cut = _safe_cut(self._pending, at_line_start=not self._line)
        ready, self._pending = self._pending[:cut], self._pending[cut:]
        return self._clean(ready)

    def _clean(self, text: str) -> str:
        whole, at = self._line + text, len(self._line)
        shown = ""
        for match in _TOKEN.finditer(whole, at):
            shown += whole[at : match.start()] + self._replace(match)
            at = match.end()
        shown += whole[at:]
        line = self._line + shown
        self._line = line[line.rfind("\n") + 1 :]
        return shown

    def _replace(self, match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind == "fence":
            return self._turn_block(match[0])
        if kind in ("address", "angle"):
            return self._address(match[0])
        if kind in ("markup", "index"):
            return match[0] if kind == "index" else ""
        if self._fence:
            return match[0] if kind in ("cite", "tail") else self._addresses_in(match[0])
        if kind == "cite":
            return self._cite(match[0])
        if kind == "link":
            return self._link(match["label"], match["target"].strip().strip("<>").split(" ")[0])
        if kind == "tail":
            return "] ("
        self.removed += 1
        return ""

    def _turn_block(self, line: str) -> str:
        found = FENCE.match(line)
        if found and not self._fence:
            self._fence = found["fence"]
        elif found and closes(found, self._fence):
            self._fence = ""
            return line[: found.start("rest")] + re.sub(
                rf"(?:{_NUMBERS})+", lambda one: self._cite(one[0]), found["rest"]
            )
        return self._addresses_in(line)

    def _link(self, label: str, target: str) -> str:
        shown = self._addresses_in(label)
        if self._known(target):
            return f"[{shown}]({target})"
        self.removed += 1
        return self._cite(label) if label.isdigit() else shown

    def _cite(self, numbers: str) -> str:
        wanted = [int(number) for number in re.findall(r"\d+", numbers)]
        valid = [number for number in wanted if 1 <= number <= self._count]
        self.removed += len(wanted) - len(valid)
        return "".join(f"[{number}]" for number in valid)

    def _addresses_in(self, text: str) -> str:
        return re.sub(_ADDRESS, lambda match: self._address(match[0]), text, flags=re.IGNORECASE)

    def _address(self, text: str) -> str:
        if self._known(text.strip("<>")):
            return text
        self.removed += 1
        return REMOVED + text[len(text.rstrip(_TRAILING)) :].lstrip(">")

    def _known(self, address: str) -> bool:
        return _bare(address) in self._addresses


def addresses(text: str) -> set[str]:
    """Return the addresses in a text, without the punctuation around them."""
    return {_bare(match) for match in re.findall(_ADDRESS, text, flags=re.IGNORECASE)}


def _bare(address: str) -> str:
    return address.rstrip(_TRAILING).rstrip("/")


def _may_cut(character: str) -> bool:
    return character.isspace() or ord(character) > 127


def _safe_cut(text: str, *, at_line_start: bool) -> int:
    """Return the length of the text that no following character can change.

    Cuts fall behind white space or a non-ASCII character (no address goes on there), outside brackets, and not in
    a line that may become a code fence or a reference definition.
    """
    cut = max((i + 1 for i in range(len(text) - 1, -1, -1) if _may_cut(text[i])), default=0)
    while cut:
        opening = _open_bracket(text, cut)
        if opening is None or len(text) - opening > LONGEST_HELD:
            break
        cut = opening
        while cut and text[cut - 1] == "!":
            cut -= 1
    start = text.rfind("\n", 0, cut) + 1
    fresh = start or at_line_start
    held = fresh and start < cut and len(text) - start <= LONGEST_HELD and _LINE_HEAD.match(text[start:cut])
    return start if held else cut


def _open_bracket(text: str, end: int) -> int | None:
    """Return where the bracket or link target opens that text[:end] would cut in two, or None."""
    opening = text.rfind("[", 0, end)
    if opening < 0 or "\n" in text[opening:end]:
        return None
    closing = text.find("]", opening)
    if closing < 0 or closing >= end:
        return opening
    if text[closing + 1 : closing + 2] == "(" and not 0 <= text.find(")", closing) < end:
        return opening
    return None
