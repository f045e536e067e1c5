"""Tell what a model thinks from what it answers, in text that comes in pieces.

Reasoning models write their thoughts between tags before the answer, e.g. `<think>...</think>`. Where a chat template
writes the opening tag itself, a server passes on the closing one alone; a caller that knows of that says `may_open`.
Tags further on in an answer are text: they are what the answer speaks of.
"""

from __future__ import annotations

import re

NAMES = ("think", "thinking", "thought", "reasoning")
OPENINGS = (*(f"<{name}>" for name in NAMES), "[think]")
CLOSINGS = tuple(opening[0] + "/" + opening[1:] for opening in OPENINGS)
TAGS = frozenset((*OPENINGS, *CLOSINGS))  # in lower case; they are read in any
LONGEST = max(map(len, CLOSINGS))
_OPENING = re.compile("|".join(map(re.escape, OPENINGS)), re.IGNORECASE)
_CLOSING = re.compile("|".join(map(re.escape, CLOSINGS)), re.IGNORECASE)


class Thoughts:
    """Passes on the answer alone; mutable, one for each generation."""

    def __init__(self, *, may_open: bool = False) -> None:
        """may_open: the text may begin within a thought, so nothing is passed on until a closing tag or the end."""
        self.found = False  # something was thought
        self.lacked_opening = False  # a closing tag came without an opening one
        self._may_open = may_open
        self._closing = ""  # the tag that ends the thought under way
        self._answers = False  # the answer has begun
        self._held = ""
        self._pieces: list[str] = []  # what is held back because of `may_open`, as it came
        self._tail: str | None = ""  # of the answer, where a closing tag may still come without an opening one

    @property
    def inside(self) -> bool:
        """True within a thought that an opening tag began."""
        return bool(self._closing)

    def feed(self, text: str) -> str:
        """Take the next piece; return what it adds to the answer."""
        if self._answers:
            self._look_for_closing(text)
            return text
        self._held += text
        if self._may_open:
            self._pieces.append(text)
        while self._step():
            pass
        return self._begin()

    def _begin(self) -> str:
        """Return how the answer begins, "" where it has not begun."""
        if not self._answers:
            return ""
        passed, self._held = self._held, ""
        self._look_for_closing(passed)
        return passed

    def rest(self) -> list[str]:
        """Return what was held back and is answer after all, in the pieces in which it came; the text has ended."""
        held = "" if self.inside else self._held
        pieces = self._pieces if self._may_open else [held]
        self._held, self._pieces = "", []
        return [piece for piece in pieces if piece]

    def _step(self) -> bool:
        """Move on by one tag; return False where more text is needed, or none is held back any longer."""
        if self._closing:
            at = self._held.lower().find(self._closing)
            if at < 0:
                self._held = self._held[-LONGEST:]
                return False
            self._held, self._closing = self._held[at + len(self._closing) :], ""
            return True
        start = self._held.lstrip()
        if opening := _OPENING.match(start):
            self.found, self._may_open = True, False
            self._closing = CLOSINGS[OPENINGS.index(opening.group().lower())]
            self._held = start[opening.end() :]
            return True
        if self.found:
            self._held = start  # the blank lines behind a thought belong to it
        if not start or any(tag.startswith(start.lower()) for tag in OPENINGS):
            return False
        if not self._may_open:
            self._answers = True
            return False
        closing = _CLOSING.search(self._held)
        if closing is None or _OPENING.search(self._held, 0, closing.start()):
            return False
        self.found, self.lacked_opening, self._may_open = True, True, False
        self._held = self._held[closing.end() :]
        return True

    def _look_for_closing(self, text: str) -> None:
        """Note a closing tag behind text that was taken for the answer, though no opening one came before."""
        if self.found or self._tail is None:
            return
        seen = self._tail + text
        opening, closing = _OPENING.search(seen), _CLOSING.search(seen)
        self.lacked_opening = bool(closing and not (opening and opening.start() < closing.start()))
        self._tail = None if opening or closing else seen[-LONGEST:]
