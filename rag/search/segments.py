"""Cut passages into sentences, list items, table rows and command blocks, and score each for a query."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rag.chunking import markdown
from rag.index.lexical import term_sets
from rag.search.query import Query
from rag.types import Block, Span, Unit

LEADING = 0.12  # the first sentence of a section states its point more often than not
EXPANSION = 0.4  # a synonym says less than the visitor's own word
CONFIG_LINES = 10  # of a configuration file that are shown together
PROBE_CHARS = 40  # characters of a segment that identify the chunk around it

# a sentence ends at . ! ? before a capital, a digit, a quote or a mark; not after an initial or a usual abbreviation
_END = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\betc\.)(?<!\bvs\.)[)\"'*`]*\s+(?=[A-Z0-9`*\[(\"'¿])")
_ASKS_COMMAND = re.compile(
    r"\b(command|commands|cmd|cli|syntax|shell|run|type|trigger|install|enable|disable|start|stop|restart|create|set"
    r"|export|list|check|deploy|build|delete|remove|add|configure|how (?:do|can|to)|example|snippet|curl)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a passage; `text` occurs verbatim in it, but for the fence around configuration."""

    kind: str  # "sentence" | "item" | "row" | "code"
    text: str
    paragraph: int  # number of the block it stands in
    head: str = ""  # header rows of its table
    lead: str = ""  # the sentence before a code block; before a list or table when it ends with a colon


@dataclass(frozen=True, slots=True)
class Scored:
    """A segment with its relevance to the question, 0..~2."""

    segment: Segment
    score: float


def score_segments(
    units: Sequence[Unit], cosines: Sequence[np.ndarray], query: Query, idf: Mapping[str, float]
) -> list[list[Scored]]:
    """Return the scored segments of each unit; `cosines` holds one array per unit, of shape (chunks,).

    A score adds the share of the query's terms in a segment, by `idf`, to the cosine of the chunk that holds it.
    """
    own = {term: idf.get(term, 0.0) for term in query.terms}
    weights = own | {term: EXPANSION * idf.get(term, 0.0) for term in query.expansions}
    total = sum(own.values()) or 1.0
    command = 0.15 if asks_command(query.text) else -0.15
    every = [segments(unit.text, unit.spans) for unit in units]
    texts = list(dict.fromkeys(text for row in every for segment in row for text in (segment.text, segment.lead)))
    terms = dict(zip(texts, term_sets(texts), strict=True))
    scored: list[list[Scored]] = []
    for unit, row, cosine in zip(units, every, cosines, strict=True):
        scores: list[Scored] = []
        for at, segment in enumerate(row):
            held, led = terms[segment.text], terms[segment.lead] - terms[segment.text]
            overlap = sum(weights.get(term, 0.0) for term in held) + 0.5 * sum(weights.get(term, 0.0) for term in led)
            score = overlap / total + _chunk_cosine(segment, unit, cosine) + (LEADING if at == 0 else 0.0)
            scores.append(Scored(segment, score + command if segment.kind == "code" else score))
        scored.append(scores)
    return scored


def read_ahead(units: Sequence[Unit]) -> None:
    """Cut `units` into segments and find the terms of each, as the first search that looks at one has to."""
    for unit in units:
        term_sets([text for segment in segments(unit.text, unit.spans) for text in (segment.text, segment.lead)])


def asks_command(question: str) -> bool:
    """Return True when a question wants a command rather than a sentence."""
    return bool(_ASKS_COMMAND.search(question))


def _chunk_cosine(segment: Segment, unit: Unit, cosines: np.ndarray) -> float:
    """Return the best cosine among the chunks that hold a segment, the lowest of the unit when none does."""
    probe = segment.text.strip("`\n ")[:PROBE_CHARS]
    hits = [value for chunk, value in zip(unit.chunks, cosines, strict=True) if probe in chunk.text]
    return float(max(hits, default=min(cosines, default=0.0)))


@lru_cache(maxsize=5_000)
def segments(text: str, spans: tuple[Span, ...] = ()) -> tuple[Segment, ...]:
    """Return the segments of a passage in order, without its headings; without `spans` the text is parsed."""
    found: list[Segment] = []
    lead = ""
    blocks = [Block(kind, text[start:end], (1, 1)) for kind, start, end in spans] or markdown.blocks(text)
    for number, block in enumerate(blocks):
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
    elif block.kind == "config":  # shown as it stands: its comments are no headings, its lists no sentences
        lines = block.text.split("\n")
        for at in range(0, len(lines), CONFIG_LINES):
            yield Segment("code", "\n".join(["```", *lines[at : at + CONFIG_LINES], "```"]), number)
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
    """Return the sentences of a paragraph, each verbatim."""
    pieces: list[str] = []
    start = 0
    for end in _END.finditer(text):
        pieces.append(text[start : end.end()].strip())
        start = end.end()
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece]
