"""Find commands in an answer that its evidence does not hold: a made-up command is a mistake that a reader may run.

Finds: lines of shell blocks whose program, options or paths no evidence holds, or that are mostly foreign to it.
Does not find: a wrong value of a known option, or known words in a harmful order. Does not
look at blocks in another language than the shell's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

SHELLS = frozenset({"", "bash", "sh", "shell", "console", "zsh"})  # a fence's language
MOSTLY = 0.5  # share of a line's words that may be the writer's own: names of machines, files, domains

_BLOCK = re.compile(r"^[ ]{0,3}`{3,}[ ]*(\w*)[^\n]*\n(.*?)(?:^[ ]{0,3}`{3,}|\Z)", re.DOTALL | re.MULTILINE)
_PROMPT = re.compile(r"^\s*(?:[\w@~:-]*[$#>]\s+)?")
_PREFIXES = frozenset({"sudo", "export", "time", "then", "do", "&&", "||", "|", ";", "\\"})
_WORD = re.compile(r"[A-Za-z][\w.-]*")


def unknown_commands(answer: str, evidence: Sequence[str]) -> list[str]:
    """Return the command lines of `answer` that `evidence` does not bear out, in order."""
    known = "\n".join(evidence)
    return [line for line in _lines(answer) if not _is_known(line, known)]


def _lines(answer: str) -> Iterator[str]:
    for language, body in _BLOCK.findall(answer):
        if language.lower() in SHELLS:
            lines = (_PROMPT.sub("", line, count=1).strip() for line in body.splitlines() if line.strip()[:1] != "#")
            yield from filter(None, lines)


def _is_known(line: str, known: str) -> bool:
    if line in known:
        return True
    words = [word.strip("\"'`(),;") for word in line.split() if word not in _PREFIXES]
    if not words:
        return True
    # An assignment's name must be known, its value is the reader's own.
    heads = [word.partition("=")[0] for word in words]
    telling = [heads[0], *(head for head in heads[1:] if head.startswith("-") or "/" in head)]
    if any(head not in known for head in telling if _WORD.search(head)):
        return False
    named = [head for head in heads if _WORD.search(head)]
    foreign = sum(head not in known for head in named)
    return foreign <= MOSTLY * len(named)
