"""What a model writes about its sources, checked while it streams.

Guarantees: a citation number that was not given, a link or an address that no passage holds, an image and a
reference definition never come out. Does not check: whether a cited passage says what the sentence says; that is
`model.support`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

REMOVED = "(address not in the sources)"
LONGEST_HELD = 400  # characters an open bracket may wait for its end before it counts as plain text

_ADDRESS = r"(?:(?:[A-Za-z][A-Za-z0-9+.-]*://|mailto:|www\.)[!-~]+)"
_NUMBERS = r"\[(?:(?:doc(?:ument)?|source|passage)\s*)?\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]"
_TOKEN = re.compile(
    r"(?P<fence>^[ ]{0,3}`{3,})"
    r"|(?P<image>!\[[^\]\n]*\](?:\([^)\n]*\)|\[[^\]\n]*\])?)"
    r"|(?P<definition>^[ ]{0,3}\[[^\]\n]+\]:[ \t]*\S+.*$)"
    r"|(?P<link>\[(?P<label>[^\[\]\n]*)\]\((?P<target>[^)\n]*)\))"
    rf"|(?P<cite>(?<![\w=\]])(?P<numbers>{_NUMBERS}(?:[ ]?{_NUMBERS})*))"
    r"|(?P<markup></?(?:documents?|tool_response|tool_call|tools)>)"
    rf"|(?P<angle><{_ADDRESS}>)"
    rf"|(?P<address>{_ADDRESS})",
    re.IGNORECASE | re.MULTILINE,
)
_TRAILING = ".,;:!?)]}'\"`*_>"


class CitationFilter:
    """Feed it the model's text as it comes; it gives back what may be shown, at most a word late.

    count: how many passages were given, so [1] to [count] are valid. allowed: the texts whose addresses may appear.
    """

    def __init__(self, count: int, allowed: Iterable[str]) -> None:
        self._count = count
        self._addresses = frozenset(a for text in allowed for a in addresses(text))
        self._pending = ""
        self._in_block = False  # within a fenced code block, where [1] is code; inline code gets no such trust
        self._line_start = True
        self.cited: set[int] = set()
        self.removed = 0  # citations and addresses that did not come through

    def feed(self, text: str) -> str:
        """Take in a piece of the answer; returns what is now safe to show, "" when nothing is."""
        self._pending += text
        cut = _safe_cut(self._pending)
        ready, self._pending = self._pending[:cut], self._pending[cut:]
        return self._clean(ready)

    def flush(self) -> str:
        """The rest, at the end of the answer."""
        rest, self._pending = self._pending, ""
        return self._clean(rest)

    def _clean(self, text: str) -> str:
        shown = _TOKEN.sub(self._replace, text)
        self._line_start = text.endswith("\n") if text else self._line_start
        return shown

    def _replace(self, match: re.Match[str]) -> str:
        kind = match.lastgroup if match.lastgroup not in ("label", "target", "numbers") else None
        kind = kind or ("link" if match["link"] else "cite")
        if kind == "fence":
            if match.start() or self._line_start:
                self._in_block = not self._in_block
            return match[0]
        if kind == "markup":
            return ""
        if kind in ("address", "angle"):
            return self._address(match[0])
        if self._in_block:
            return match[0] if kind == "cite" else self._addresses_in(match[0])
        if kind == "cite":
            return self._cite(match["numbers"])
        if kind == "link" and self._known(match["target"].strip().strip("<>").split(" ")[0]):
            return match[0]
        self.removed += 1
        if kind == "link":
            return self._cite(match["label"]) if match["label"].isdigit() else match["label"]
        return ""

    def _cite(self, numbers: str) -> str:
        wanted = [int(number) for number in re.findall(r"\d+", numbers)]
        valid = [number for number in wanted if 1 <= number <= self._count]
        self.cited.update(valid)
        self.removed += len(wanted) - len(valid)
        return "".join(f"[{number}]" for number in valid)

    def _addresses_in(self, text: str) -> str:
        return re.sub(_ADDRESS, lambda match: self._address(match[0]), text, flags=re.IGNORECASE)

    def _address(self, text: str) -> str:
        if self._known(text.strip("<>")):
            return text
        self.removed += 1
        return REMOVED

    def _known(self, address: str) -> bool:
        return _bare(address) in self._addresses


def addresses(text: str) -> set[str]:
    """The addresses in a text, without the punctuation around them."""
    return {_bare(match) for match in re.findall(_ADDRESS, text, flags=re.IGNORECASE)}


def invalid_citations(answer: str, count: int) -> Collection[int]:
    """Citation numbers in an answer that were not given; for evals, the filter leaves none."""
    found = {int(number) for number in re.findall(r"(?<![\w=\]])\[(\d{1,3})\]", answer)}
    return {number for number in found if not 1 <= number <= count}


def _bare(address: str) -> str:
    return address.rstrip(_TRAILING).rstrip("/")


def _safe_cut(text: str) -> int:
    """How much of the text can be judged: nothing that a following character could still change.

    Cuts fall behind white space or a non-ASCII character (no address goes on there), outside brackets.
    """
    cut = max((i + 1 for i in range(len(text) - 1, -1, -1) if text[i].isspace() or ord(text[i]) > 127), default=0)
    while cut:
        opening = _open_bracket(text, cut)
        if opening is None or len(text) - opening > LONGEST_HELD:
            return cut
        cut = opening
        while cut and text[cut - 1] == "!":
            cut -= 1
    return 0


def _open_bracket(text: str, end: int) -> int | None:
    """Where the bracket or link target opens that text[:end] would cut in two, None where it cuts none."""
    opening = text.rfind("[", 0, end)
    if opening < 0 or "\n" in text[opening:end]:
        return None
    closing = text.find("]", opening)
    if closing < 0 or closing >= end:
        return opening
    if text[closing + 1 : closing + 2] == "(" and not 0 <= text.find(")", closing) < end:
        return opening
    return None
