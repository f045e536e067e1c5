"""The frozen values that pass between the stages of retrieval."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Lines = tuple[int, int]  # first and last line in the source file, counted from 1, both included
State = Literal["answered", "near", "not here"]
Span = tuple[str, int, int]  # a block in a unit's text: its kind, and where it starts and ends


@dataclass(frozen=True, slots=True)
class Difference:
    """What one of upstream's own files says otherwise than a reviewed page, in a reviewer's words."""

    path: str  # in upstream's repository
    says: str  # such as "names port 8080 for the web page"
    url: str = ""  # of the file at the commit that the page was held against; "" before a search


@dataclass(frozen=True, slots=True)
class Document:
    """A source file without its front matter.

    `text` keeps the line count of the file: a removed line is blank, so that line ranges stay true.
    """

    path: str  # relative to the source, with forward slashes
    text: str
    title: str
    digest: str  # sha256 of the file's bytes, hexadecimal
    topics: tuple[str, ...] = ()
    questions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # heading, "" for the page -> questions
    sources: tuple[str, ...] = ()
    differs: Mapping[str, tuple[Difference, ...]] = field(default_factory=dict)  # heading -> what upstream says there


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that the index leaves out, with the reason in words."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """The lines that belong together: a heading, a paragraph, a list item, a table or a code fence."""

    kind: str  # "heading" | "text" | "item" | "table" | "code" | "config"
    text: str  # as in the source; "" for a heading whose line is part of the block below it (a YAML key)
    lines: Lines
    level: int = 0  # heading depth, 1..6; 0 for other kinds
    title: str = ""  # a heading's words without marks


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the blocks under it, with the path of headings that leads there."""

    headings: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of embedding: a few sentences, rows or lines, and the headings above them."""

    text: str
    headings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of retrieval: the text that a page shows, quotes and cites as one passage.

    A query scores a unit by the best of its chunks (max pooling).
    """

    id: str  # 16 hexadecimal digits, stable while path, headings and text stay the same
    text: str
    title: str
    headings: tuple[str, ...]  # common to all of the text
    path: str
    lines: Lines
    url: str
    chunks: tuple[Chunk, ...]
    questions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    also: tuple[str, ...] = ()  # paths of near-duplicates folded into this unit
    differs: tuple[Difference, ...] = ()
    spans: tuple[Span, ...] = ()  # the blocks of `text`, so that no search has to parse it again


@dataclass(frozen=True, slots=True)
class Passage:
    """A retrieved passage."""

    id: str
    text: str
    title: str
    headings: tuple[str, ...]
    path: str
    lines: Lines
    url: str
    score: float  # logit of the fused relevance; comparable within one result only
    excerpt: str  # the one sentence or command line of text that matters for this query
    sources: tuple[str, ...] = ()  # links to the upstream files the page rests on
    reviewed: bool = True  # False for upstream's own text, which nobody here has held against the code


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A text and its vector, so that nobody embeds it twice."""

    text: str
    vector: np.ndarray  # float32 (dimension,), of length 1


@dataclass(frozen=True, slots=True, eq=False)
class Leaning:
    """The talk that a question leans on: what is new in it counts more, and its page is the likeliest to go on."""

    said: np.ndarray  # float32 (dimension,), of length 1: the vector of the message as typed
    earlier: np.ndarray  # the same of the question before it
    new: str = ""  # the words that the question before lacks
    page: str = ""  # path of the passage that led the answer before
    read: tuple[str, ...] = ()  # ids of the passages that led in this talk, where the message asks for another


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search.

    `passages` is empty when the search abstains; `nearest` then holds the closest pages. `answerable` is the
    probability, 0..1, that the corpus answers the question. `extract` is Markdown from the best passages that answers
    on its own; [n] cites the nth of `passages`. `missing` names, in the question's words, what it turns on and those
    passages do not speak of; they are then only near.
    """

    passages: list[Passage]
    answerable: float
    extract: str
    nearest: list[Passage] = field(default_factory=list)
    ms: float = 0.0
    differs: tuple[Difference, ...] = ()  # where upstream's files say otherwise than the passages that `extract` cites
    missing: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """Return how far the search came: an answer, passages that are only near it, or nothing."""
        if not self.passages:
            return "not here"
        return "near" if self.missing else "answered"
