"""Hold the evidence of an answer as pieces to compare a sentence with: sentences, items, cells, lines of code.

A piece knows the headings, the lead-in and the header cells it stands under, because a row or a command says little
without them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cached_property, lru_cache

from model.statements.words import Clause, Word, clauses, plain_figure, plain_words, words
from rag.chunking.markdown import blocks
from rag.search.segments import sentences

CONTEXT = 0.7  # worth of a word that stands only in the headings, lead-in or header of a piece
BESIDE = 0.6  # worth of a word that stands in another clause of the sentence
NEIGHBOUR = 0.5  # worth of a word that stands only in the sentence before
WINDOW = 0.85  # worth of a word that stands above a piece or in one beside it, where they are read together
_ANY_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")  # of the evidence, where they also stand in el10 or 2026-11-02T08
_ROW_RULE = re.compile(r"^[\s|:-]+$")


@dataclass(frozen=True, slots=True)
class Spot:
    """A clause, a cell or a line: the smallest place that figures and names hang together in."""

    own: frozenset[str]
    beside: frozenset[str]  # keys in the other clauses of its sentence, of a cell in the header and lead-in
    above: frozenset[str]  # keys of the headings
    apart: frozenset[str] = frozenset()  # of a cell: keys that head the other columns

    @property
    def worth(self) -> Mapping[str, float]:
        """The worth, 0..1, of each word that stands here, beside or above."""
        return {
            **dict.fromkeys(self.beside, BESIDE), **dict.fromkeys(self.above, CONTEXT), **dict.fromkeys(self.own, 1.0)
        }  # fmt: skip


@dataclass(frozen=True)  # no slots: what is derived is kept
class Piece:
    """A piece of the evidence that says one thing. source: the number of its passage, 0 for a text without one."""

    text: str  # as a reader finds it
    source: int
    kind: str  # "heading" | "sentence" | "item" | "row" | "code" | "other"
    said: tuple[Clause, ...]
    headings: frozenset[str] = frozenset()  # keys of the headings above
    lead: frozenset[str] = frozenset()  # keys of the sentence that introduces it, and of a table's header
    neighbour: frozenset[str] = frozenset()  # keys of the sentence before
    group: int = 0  # of pieces that stand together: a paragraph, a list, a table, a block of code
    cells: tuple[Spot, ...] = ()  # of a row: each cell with its column's header and the row's first cell

    @cached_property
    def context(self) -> frozenset[str]:
        """The keys of all that stands above it."""
        return self.headings | self.lead

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of its own words, and of the parts of its names in code."""
        return frozenset().union(*(clause.keys for clause in self.said))

    @cached_property
    def beside(self) -> frozenset[str]:
        """The keys of the piece, of all above it and of the sentence before."""
        return self.keys | self.context | self.neighbour

    @cached_property
    def conditional(self) -> bool:
        """True for what holds under a condition only."""
        return any(clause.conditional or clause.hedged for clause in self.said)

    @cached_property
    def worth(self) -> Mapping[str, float]:
        """The worth, 0..1, of each word that stands here, above here or in the sentence before."""
        return {
            **dict.fromkeys(self.neighbour, NEIGHBOUR),
            **dict.fromkeys(self.context, CONTEXT),
            **dict.fromkeys(self.keys, 1.0),
        }

    @property
    def states(self) -> bool:
        """True for what states something, unlike a command or a question."""
        return self.kind != "code" and not self.text.endswith("?")


class Postings:
    """An index of places by the words in them."""

    def __init__(self, worths: Iterable[Mapping[str, float]]) -> None:
        """worths: of each place the worth of its words."""
        self._of: dict[str, list[tuple[int, float]]] = {}
        self.size = 0
        for number, worth in enumerate(worths):
            self.size += 1
            for key, value in worth.items():
                self._of.setdefault(key, []).append((number, value))

    def of(self, word: Word) -> list[tuple[int, float]]:
        """Return the places of a word, each with the word's worth there."""
        return self._of.get(word.key, [])

    def held(self, asked: Iterable[Word]) -> list[float]:
        """Return for each place the weight of the words asked for that it holds."""
        found = [0.0] * self.size
        for word in asked:
            for number, worth in self._of.get(word.key, ()):
                found[number] += worth * word.weight
        return found


@dataclass(frozen=True)  # no slots: what is derived is kept
class Evidence:
    """The pieces against which sentences are checked, and the words that the question lends."""

    pieces: tuple[Piece, ...]
    text: str  # all of it, the question included
    lent: frozenset[str] = frozenset()  # keys of the question: it may name things, but it states nothing
    answers: bool = True  # False where the passages are only the nearest

    @cached_property
    def keys(self) -> frozenset[str]:
        """All keys that any piece holds, or stands under."""
        return frozenset().union(*(piece.keys | piece.context for piece in self.pieces))

    @cached_property
    def places(self) -> Postings:
        """The index of the pieces."""
        return Postings(piece.worth for piece in self.pieces)

    @cached_property
    def windows(self) -> Postings:
        """The index of the pieces with the pieces before and after them, which a sentence may sum up together."""
        return Postings(map(_window, self.pieces, (None, *self.pieces), (*self.pieces[1:], None)))

    @cached_property
    def spots(self) -> list[Spot]:
        """The spots of all pieces; what a document is only said to say is none."""
        return [spot for piece in self.pieces for spot in _spots(piece)]

    @cached_property
    def spot_places(self) -> Postings:
        """The index of the spots."""
        return Postings(spot.worth for spot in self.spots)

    @cached_property
    def statements(self) -> Mapping[str, list[tuple[Clause, Piece]]]:
        """The clauses that state something, by their words."""
        found: dict[str, list[tuple[Clause, Piece]]] = {}
        for piece in self.pieces:
            for clause in piece.said if piece.states else ():
                if not (clause.reported or clause.conditional or clause.hedged):
                    for key in clause.keys:
                        found.setdefault(key, []).append((clause, piece))
        return found

    @cached_property
    def told(self) -> frozenset[str]:
        """The keys of tools' results, in which no words stand beside a figure."""
        return frozenset[str]().union(*(piece.keys for piece in self.pieces if piece.kind == "other"))

    @cached_property
    def plain(self) -> list[str]:
        """The words of each piece as they follow one another."""
        return [f" {plain_words(piece.text)} " for piece in self.pieces]

    def verbatim(self, sentence: str) -> Piece | None:
        """Return the piece that holds a sentence word for word, None where no piece does."""
        own = f" {plain_words(sentence)} "
        return next((piece for piece, text in zip(self.pieces, self.plain, strict=True) if own in text), None)

    @cached_property
    def low(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    @cached_property
    def figures(self) -> frozenset[str]:
        """Every figure of the text, those written as words included."""
        spelt = {key for key in self.keys | self.lent if key.isdigit()}
        return frozenset(spelt | {plain_figure(figure) for figure in _ANY_FIGURE.findall(self.text)})

    @cached_property
    def groups(self) -> list[frozenset[str]]:
        """The keys of all that stands together: neighbours, a list, a table, a block of code."""
        beside = [one.keys | two.keys | two.context for one, two in _neighbours(self.pieces)]
        return beside + self._together({"item", "row", "code", "other"})

    @cached_property
    def lists(self) -> list[frozenset[str]]:
        """The keys of each list and table, whose entries may be summed up in a sentence."""
        return self._together({"item", "row"})

    def _together(self, kinds: Set[str]) -> list[frozenset[str]]:
        """Return the keys of each group of pieces of these kinds."""
        found: dict[tuple[int, int], frozenset[str]] = {}
        for piece in self.pieces:
            if piece.kind in kinds:
                held = found.get((piece.source, piece.group), frozenset())
                found[piece.source, piece.group] = held | piece.keys | piece.context
        return list(found.values())

    def has_figure(self, figure: str) -> bool:
        """Return True if the evidence holds the figure itself, or one that rounds to it."""
        if figure in self.figures:
            return True
        try:
            value = Decimal(figure)
        except InvalidOperation:
            return False  # an address, a time, a version of three parts: there is nothing to round
        return any(_rounds_to(other, value) for other in self.figures)


@dataclass(frozen=True)  # no slots: what is derived is kept
class Given:
    """The passages, other texts and question on which an answer may draw."""

    passages: tuple[str, ...] = ()  # what [1], [2], ... stand for; the first line is the place it comes from
    others: tuple[str, ...] = ()  # tools' results and addresses, which have no number
    question: str = ""
    answers: bool = True  # False where the passages are only the nearest, and may well not say it

    def texts(self) -> list[str]:
        """Return every text, the question included."""
        return [*self.passages, *self.others, self.question]

    def everything(self) -> Evidence:
        """Return all of it as one evidence."""
        return self._of(range(1, len(self.passages) + 1))

    def behind(self, numbers: Collection[int]) -> Evidence:
        """Return the passages of these numbers with all that has no number, or everything if no such passage exists."""
        cited = [number for number in range(1, len(self.passages) + 1) if number in numbers]
        return self._of(cited) if cited else self.everything()

    def _of(self, numbers: Collection[int]) -> Evidence:
        passages = [(self.passages[number - 1], number) for number in numbers]
        pieces = [piece for text, number in passages for piece in _pieces(text, number)]
        pieces += [piece for text in self.others for piece in _lines(text)]
        text = "\n".join([*(text for text, _ in passages), *self.others, self.question])
        return Evidence(tuple(pieces), text, frozenset(words(self.question)), self.answers)


@dataclass(slots=True)
class _Place:
    """The place in a passage that has been read up to."""

    headings: frozenset[str] = frozenset()
    lead: str = ""
    group: int = 0
    before: frozenset[str] = field(default_factory=frozenset)


@lru_cache(maxsize=500)
def _pieces(text: str, source: int) -> tuple[Piece, ...]:
    """Return the pieces of a passage in order."""
    found: list[Piece] = []
    here = _Place()
    first, _, rest = text.partition("\n")
    if rest and not first.startswith(("#", "|", "-", "`")) and " > " in first:
        here.headings = _keys(first)
        found.append(
            Piece(first.rsplit(" > ", 1)[-1], source, "heading", clauses(first.rsplit(" > ", 1)[-1]), here.headings)
        )
        text = rest
    for number, block in enumerate(blocks(text), start=1):
        if block.kind == "heading":
            here.headings |= _keys(block.title)
            here.lead = ""
            here.before = frozenset()
            found.append(Piece(block.title, source, "heading", clauses(block.title), here.headings, group=number))
            continue
        here.group = here.group if block.kind == "item" and found and found[-1].kind == "item" else number
        found.extend(_of_block(block.kind, block.text, source, here))
        if block.kind == "text":
            here.lead = block.text
        elif block.kind != "item":
            here.lead = ""
    return tuple(found)


def _of_block(kind: str, text: str, source: int, here: _Place) -> Iterator[Piece]:
    lead = _keys(sentences(here.lead)[-1]) if here.lead else frozenset()
    if kind == "table":
        yield from _rows(text, source, here, lead)
    elif kind in {"code", "config"}:
        for line in text.split("\n"):
            if line.strip() and not line.startswith(("```", "~~~")):
                said = clauses(f"`{line.strip().replace('`', ' ')}`")
                yield Piece(line.strip(), source, "code", said, here.headings, lead, group=here.group)
    else:
        for sentence in sentences(text):
            said = clauses(sentence.lstrip("-*+ ") if kind == "item" else sentence)
            led = (kind, lead) if kind == "item" else ("sentence", frozenset())
            piece = Piece(sentence, source, led[0], said, here.headings, led[1], here.before, here.group)
            yield piece
            here.before = piece.keys


def _rows(text: str, source: int, here: _Place, lead: frozenset[str]) -> Iterator[Piece]:
    lines = [line for line in text.split("\n") if not _ROW_RULE.match(line)]
    header = [_keys(cell) for cell in _cells(lines[0])]
    heads = frozenset[str]().union(*header)
    for line in lines[1:]:
        cells = _cells(line)
        keyed = [_keys(cell) | (header[at] if at < len(header) else frozenset()) for at, cell in enumerate(cells)]
        said = tuple(clause for cell in cells for clause in clauses(cell))
        others = [heads - keys - keyed[0] for keys in keyed]  # what heads another column is said of that column
        of_cells = tuple(
            Spot(keyed[0] | keys, lead - other, here.headings, other)
            for keys, other in zip(keyed[1:], others[1:], strict=True)
        )
        row = Piece(
            line.strip("| "), source, "row", said, here.headings, lead | heads, group=here.group, cells=of_cells
        )
        yield row


def _spots(piece: Piece) -> Iterator[Spot]:
    if piece.cells:
        yield from piece.cells
    else:
        beside = piece.keys | piece.lead
        yield from (Spot(clause.keys, beside, piece.headings) for clause in piece.said if not clause.reported)


def _window(piece: Piece, before: Piece | None, after: Piece | None) -> Mapping[str, float]:
    beside = [other.keys for other in (before, after) if other and other.source == piece.source]
    return {**dict.fromkeys(piece.context.union(*beside), WINDOW), **dict.fromkeys(piece.keys, 1.0)}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _lines(text: str) -> Iterator[Piece]:
    for number, line in enumerate(text.split("\n")):
        if line.strip():
            yield Piece(line, 0, "other", clauses(line), group=number)


def _neighbours(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Piece]]:
    for at, piece in enumerate(pieces):
        before = pieces[at - 1] if at and pieces[at - 1].source == piece.source else piece
        yield before, piece


@lru_cache(maxsize=20_000)
def _keys(text: str) -> frozenset[str]:
    return frozenset().union(*(clause.keys for clause in clauses(text)))


def _rounds_to(figure: str, value: Decimal) -> bool:
    try:
        return bool(Decimal(figure).quantize(value, ROUND_HALF_UP) == value)
    except InvalidOperation:
        return False
