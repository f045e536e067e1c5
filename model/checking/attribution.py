"""Put the number of the passage that says it behind a generated sentence, where Markdown and a reader expect it."""

from __future__ import annotations

import re

from model.checking.sentences import CITES, CLOSERS
from model.statements.words import CITATION

_END = re.compile(rf"(?P<cites>{CITES})(?P<stop>(?:[.!?:;。！？]{CLOSERS})?(?P<late>{CITES}))(?P<gap>\s*)$")


def citations(text: str) -> list[int]:
    """Return the numbers that a text cites, in order."""
    return [int(number) for number in CITATION.findall(text)]


def uncited(text: str) -> str:
    """Return a text without its citations."""
    return CITATION.sub("", text)


def numbered(sentence: str, number: int) -> str:
    """Return a sentence, with the white space behind it, that cites this passage and no other.

    A sentence that ends in a colon only leads to what follows and stays as it is.
    """
    end = _END.search(sentence)
    if end is None or end["stop"].startswith(":"):
        return sentence
    stop = end["stop"].removesuffix(end["late"])
    body = sentence[: end.start()]
    bare = uncited(body) if body[:1] != "[" else uncited(body).lstrip()
    return f"{bare} [{number}]{stop}{end['gap']}"
