"""Hold a command line against the commands of its evidence: a made-up command is a mistake that a reader may run.

Finds: programs, subcommands, options and paths that no evidence holds, lines that are mostly foreign to it, and options
whose value the evidence gives to another option, or names only as refused. Does not find: a wrong value of a known
option, or known commands in a harmful order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from model.statements.evidence import Evidence, Piece

MOSTLY = 0.5  # share of a line's words that may be the writer's own: names of machines, files, domains

PROMPT = re.compile(r"^\s*(?:[\w@~:-]*[$#>]\s+)?")
_PREFIXES = frozenset({"sudo", "export", "time", "then", "do", "env", "\\", "-E"})
_BETWEEN = re.compile(r"\s(?:&&|\|\|?|;)\s|;\s")
_COMMENT = re.compile(r"\s#\s.*$")
_WORD = re.compile(r"[A-Za-z][\w.-]*")
_SUBCOMMAND = re.compile(r"[a-z]+(?:-[a-z]+)*$")
_SPAN = re.compile(r"`([^`\n]+)`")
_SPACED = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_REFUSED = re.compile(
    r"\b(?:reject\w*|refus\w+|unrecognized|no such option|does not have|do not have|not have)\b", re.IGNORECASE
)


@dataclass(frozen=True)  # no slots: what is derived is kept
class Commands:
    """The commands that the evidence holds."""

    evidence: Evidence

    def unknown(self, line: str) -> bool:
        """Return True for a line that the evidence does not bear out. A comment bears itself out."""
        if line.lstrip().startswith("#"):
            return False
        line = PROMPT.sub("", line, count=1).strip()
        if not line or line in self.evidence.text:
            return False
        return any(self._is_unknown(part) for part in _parts(line))

    def against(self, line: str) -> Piece | None:
        """Return the evidence that a line goes against: an option that is refused, or given another's value."""
        for part in _parts(PROMPT.sub("", line, count=1).strip()):
            words = _words(part)
            for option, value in pairwise(words):
                if not option.startswith("-"):
                    continue
                if option in self._refused and option not in self._options:
                    return self._refused[option]
                name = value.partition("=")[0].strip("'\"")
                others = self._values.get(name, {})
                if "=" in value and others and option not in others:
                    return next(iter(others.values()))
        return None

    def _is_unknown(self, line: str) -> bool:
        known = self.evidence.text
        words = _words(line)
        if not words:
            return False
        # An assignment's name must be known, its value is the reader's own.
        heads = [word.strip("\"'(),;").partition("=")[0] for word in words]
        telling = [heads[0], *(head for head in heads[1:] if head.startswith("-") or "/" in head)]
        if any(head not in known for head in telling if _WORD.search(head)):
            return True
        named = [head for head in heads if _WORD.search(head)]
        if sum(head not in known for head in named) > MOSTLY * len(named):
            return True
        first = next((head for head in heads[1:] if not head.startswith("-")), "")
        follow = self._subcommands.get(heads[0], frozenset())
        return bool(follow and _SUBCOMMAND.match(first) and first not in follow)

    @cached_property
    def _lines(self) -> list[tuple[list[str], Piece]]:
        found = []
        for piece in self.evidence.pieces:
            spans = [piece.text] if piece.kind == "code" else _SPAN.findall(piece.text)
            found += [(words, piece) for span in spans for part in _parts(span) if (words := _words(part))]
        return found

    @cached_property
    def _options(self) -> frozenset[str]:
        return frozenset(
            word for words, piece in self._lines if piece.kind == "code" for word in words if word[0] == "-"
        )

    @cached_property
    def _subcommands(self) -> dict[str, frozenset[str]]:
        """The words that follow each program, where all of them look like subcommands."""
        found: dict[str, set[str]] = {}
        for words, _ in self._lines:
            first = next((word for word in words[1:] if not word.startswith("-")), "")
            if first:
                found.setdefault(words[0], set()).add(first)
        return {program: frozenset(firsts) for program, firsts in found.items() if all(map(_SUBCOMMAND.match, firsts))}

    @cached_property
    def _values(self) -> dict[str, dict[str, Piece]]:
        """The options that each name of a NAME=VALUE is given to."""
        found: dict[str, dict[str, Piece]] = {}
        for words, piece in self._lines:
            for option, value in pairwise(words):
                if option.startswith("-") and "=" in value and not _REFUSED.search(piece.text):
                    found.setdefault(value.partition("=")[0].strip("'\""), {})[option] = piece
        return found

    @cached_property
    def _refused(self) -> dict[str, Piece]:
        return {
            option: piece
            for piece in self.evidence.pieces
            if _REFUSED.search(piece.text)
            for option in re.findall(r"(?<!\S)`?(--?[a-z][\w-]*)", piece.text)
        }


def _parts(line: str) -> Iterator[str]:
    """Yield the commands of a line one by one."""
    yield from (part for part in _BETWEEN.split(_COMMENT.sub("", line)) if part.strip())


def _words(command: str) -> list[str]:
    return [word for word in _SPACED.findall(command) if word not in _PREFIXES]
