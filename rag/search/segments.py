"""A passage as segments that can stand alone: sentences, list items, table rows and command blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from rag.chunking import markdown
from rag.types import Block

# a sentence ends at . ! ? before a capital, a digit, a quote or a mark; not after an initial or a usual abbreviation
_END = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\betc\.)(?<!\bvs\.)[)\"'*`]*\s+(?=[A-Z0-9`*\[(\"'¿])")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a passage; `text` occurs verbatim in it."""

    kind: str  # "sentence" | "item" | "row" | "code"
    text: str
    paragraph: int  # number of the block it stands in
    head: str = ""  # header rows of its table
    lead: str = ""  # the sentence before a code block; before a list or table when it ends with a colon


@lru_cache(maxsize=5_000)
def segments(text: str) -> tuple[Segment, ...]:
    """Return the segments of a passage in order; headings are left out."""
    found: list[Segment] = []
    lead = ""
    for number, block in enumerate(markdown.blocks(text)):
        if block.kind == "heading":
            lead = ""
            continue
        found.extend(_pieces(block, number, lead if block.kind == "code" or lead.endswith(":") else ""))
        if block.kind == "text":
            lead = sentences(block.text)[-1]
        elif block.kind != "item":
            lead = ""  # it introduced this block and no later one
    return tuple(found)


def _pieces(block: Block, number: int, lead: str) -> Iterator[Segment]:
    if block.kind == "code":
        yield Segment("code", block.text, number, lead=lead)
    elif block.kind == "table":
        rows = block.text.split("\n")
        for row in rows[2:]:
            yield Segment("row", row, number, "\n".join(rows[:2]), lead)
    elif block.kind == "item":
        yield Segment("item", block.text, number, lead=lead)
    else:
        for sentence in sentences(block.text):
            yield Segment("sentence", sentence, number)


def sentences(text: str) -> list[str]:
    """Split a paragraph into sentences, each verbatim."""
    pieces: list[str] = []
    start = 0
    for end in _END.finditer(text):
        pieces.append(text[start : end.end()].strip())
        start = end.end()
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece]
