"""Remove what nobody can see from text: control codes, terminal sequences, direction overrides, hidden characters.

Removes: C0 and C1 controls but tab and newline, ANSI sequences, lone surrogates, bidirectional overrides and
isolates, zero-width and filler characters, tag characters, variation selectors that select nothing, and combining
marks past MAX_MARKS on one letter. Joiners stay between letters that are not ASCII, where scripts and emoji need them.
Keeps: look-alike letters of other scripts; they are visible, and a person who writes Cyrillic means it.
"""

from __future__ import annotations

import re
import unicodedata

MAX_MARKS = 8  # combining marks in a row; no living script needs more than four or five

_NEWLINES = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_HIDDEN = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # ANSI control sequences: colours, cursor
    "|\x1b[\\]PX^_][^\n\x07\x1b]{0,400}(?:\x07|\x1b\\\\)"  # ANSI strings: titles, addresses
    "|\x1b[ -/]*[0-~]?"  # other escapes
    "|[\x00-\x08\x0e-\x1f\x7f-\x9f]"
    "|[\ud800-\udfff]"
    "|[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164]"
    "|[\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS, _SELECTOR = "\u200c\u200d", "\ufe0f"  # the selector asks for a coloured emoji


def plain(text: str) -> str:
    """Return the text as a reader sees it; linear in its length."""
    text = _HIDDEN.sub("", _NEWLINES.sub("\n", text))
    return text if text.isascii() else _scanned(text)


def _scanned(text: str) -> str:
    """Return the text without surplus marks, and without joiners and selectors that have no visible neighbour."""
    kept: list[str] = []
    marks = 0
    for character in text:
        before = kept[-1] if kept else ""
        if character in _JOINERS and (before.isascii() or before in _JOINERS):
            continue
        if character == _SELECTOR and (before.isascii() or before in _JOINERS or before == _SELECTOR):
            continue
        if character.isascii() and before and before in _JOINERS:
            kept.pop()
        marks = marks + 1 if unicodedata.category(character)[0] == "M" else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept).rstrip(_JOINERS)
