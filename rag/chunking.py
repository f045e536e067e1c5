"""Documents into units: sections by heading, packed to the size that is shown, split into the size that is embedded."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import PurePosixPath

from rag import markdown, structured
from rag.types import Block, Document, Section, Unit

UNIT_CHARS = 1000  # ~250 tokens, the lead passage's share of the prompt budget
CHUNK_CHARS = 260  # ~65 tokens: short enough that one fact is not averaged away
SMALL_CHARS = 220  # a section below this is shown together with its neighbours

_PARSERS: dict[str, Callable[[str], Iterator[Block]]] = {
    ".md": markdown.blocks,
    ".markdown": markdown.blocks,
    ".rst": structured.rst_blocks,
    ".yml": structured.yaml_blocks,
    ".yaml": structured.yaml_blocks,
    ".env": structured.env_blocks,
    ".txt": structured.plain_blocks,
}
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z0-9`*\[(\"'])")


def parser_for(path: str) -> Callable[[str], Iterator[Block]] | None:
    """Return the block parser for a file name, or None when the kind of file is not indexed."""
    name = PurePosixPath(path).name
    if name.startswith(".env") or name.endswith((".env.example", ".env.sample")):
        return structured.env_blocks
    return _PARSERS.get(PurePosixPath(path).suffix.lower())


def chunk(document: Document, link: Callable[[Document, tuple[int, int]], str]) -> list[Unit]:
    """Cut one document into units; `link` gives the address of a line range.

    Code and tables stay whole where they fit. Questions of the front matter become keys of the unit under whose
    heading they fit best at index time; here every unit starts with none.
    """
    parse = parser_for(document.path)
    if parse is None:
        return []
    sections = list(_sections(parse(document.text)))
    return [_unit(document, headings, blocks, link) for headings, blocks in _pack(sections)]


def _sections(blocks: Iterable[Block]) -> Iterator[Section]:
    path: list[Block] = []
    body: list[Block] = []
    for block in blocks:
        if block.kind != "heading":
            body.append(block)
            continue
        if body:
            yield Section(tuple(above.text for above in path), tuple(body))
        path = [above for above in path if above.level < block.level] + [block]
        body = []
    if body:
        yield Section(tuple(above.text for above in path), tuple(body))


def _pack(sections: list[Section]) -> Iterator[tuple[tuple[str, ...], list[Block]]]:
    """Yield (heading path, blocks) of about UNIT_CHARS; small neighbours under one parent share a unit."""
    held: list[Section] = []
    for section in sections:
        pieces = [piece for block in section.blocks for piece in _split(block, UNIT_CHARS)]
        small = _size(pieces) < SMALL_CHARS
        if held and not (small and _parent(held[0]) == _parent(section) and _joint(held) < SMALL_CHARS * 2):
            yield _merge(held)
            held = []
        if small:
            held.append(Section(section.headings, tuple(pieces)))
            continue
        for group in _groups(pieces, UNIT_CHARS):
            yield section.headings, group
    if held:
        yield _merge(held)


def _parent(section: Section) -> tuple[str, ...]:
    return section.headings[:-1]


def _joint(sections: list[Section]) -> int:
    return sum(_size(section.blocks) for section in sections)


def _merge(sections: list[Section]) -> tuple[tuple[str, ...], list[Block]]:
    """Join small sections; the headings of all but a single one become lines of the text."""
    if len(sections) == 1:
        return sections[0].headings, list(sections[0].blocks)
    blocks: list[Block] = []
    for section in sections:
        first = section.blocks[0].lines[0]
        if section.headings:
            depth = min(len(section.headings) + 1, 6)
            blocks.append(Block("text", f"{'#' * depth} {section.headings[-1]}", (first, first)))
        blocks.extend(section.blocks)
    return _parent(sections[0]) or sections[0].headings, blocks


def _groups(blocks: list[Block], limit: int) -> list[list[Block]]:
    """Group blocks in order to at most `limit` characters, in groups of about equal size.

    A lead-in such as "Run:" goes with what it introduces.
    """
    total = _size(blocks)
    target = total / max(1, -(-total // limit))
    groups: list[list[Block]] = []
    for block in blocks:
        fits = groups and _size([*groups[-1], block]) <= limit
        full = groups and _size(groups[-1]) >= target and not groups[-1][-1].text.endswith(":")
        if fits and not full:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _size(blocks: Iterable[Block]) -> int:
    return sum(len(block.text) + 1 for block in blocks)


def _split(block: Block, limit: int) -> list[Block]:
    """Cut a block that is larger than `limit` at line ends, or at sentence ends when it is one line."""
    if len(block.text) <= limit:
        return [block]
    lines = block.text.split("\n")
    if len(lines) == 1:
        return [Block(block.kind, piece, block.lines) for piece in _by_sentence(block.text, limit)]
    head = lines[:2] if block.kind == "table" else []  # a table's later parts repeat its header
    fence = (lines[0], lines[-1]) if block.kind == "code" else None
    inner, first = (lines[1:-1], block.lines[0] + 1) if fence else (lines[len(head) :], block.lines[0] + len(head))
    parts: list[Block] = []
    for start, end in _line_runs(inner, limit - sum(map(len, head)) - 20):
        body = [*head, *inner[start:end]]
        if fence:
            body = [fence[0], *body, fence[1]]
        parts.append(Block(block.kind, "\n".join(body), (first + start, first + end - 1)))
    return parts


def _line_runs(lines: list[str], limit: int) -> Iterator[tuple[int, int]]:
    """Yield index ranges of lines whose text stays within `limit` (one longer line is a range of its own)."""
    start, size = 0, 0
    for at, line in enumerate(lines):
        if size and size + len(line) + 1 > limit:
            yield start, at
            start, size = at, 0
        size += len(line) + 1
    if start < len(lines):
        yield start, len(lines)


def _by_sentence(text: str, limit: int) -> list[str]:
    pieces: list[str] = []
    for sentence in _SENTENCE.split(text):
        if pieces and len(pieces[-1]) + len(sentence) < limit:
            pieces[-1] += " " + sentence
        else:
            pieces.append(sentence)
    return [piece[at : at + limit] for piece in pieces for at in range(0, len(piece), limit)]


def _chunks(blocks: list[Block]) -> tuple[str, ...]:
    """Cut the blocks of a unit into the pieces that are embedded."""
    pieces = [piece for block in blocks for piece in _split(block, CHUNK_CHARS)]
    joined: list[str] = []
    for piece in pieces:
        if joined and len(joined[-1]) + len(piece.text) < CHUNK_CHARS:
            joined[-1] += "\n" + piece.text
        else:
            joined.append(piece.text)
    return tuple(joined)


def _unit(
    document: Document,
    headings: tuple[str, ...],
    blocks: list[Block],
    link: Callable[[Document, tuple[int, int]], str],
) -> Unit:
    text = _join(blocks)
    lines = (min(block.lines[0] for block in blocks), max(block.lines[1] for block in blocks))
    key = "\x1f".join((document.path, *headings, text))
    # usedforsecurity: an identifier, not a signature
    digest = hashlib.blake2b(key.encode(), digest_size=8, usedforsecurity=False).hexdigest()
    trail = headings[1:] if headings[:1] == (document.title,) else headings
    return Unit(
        digest, text, document.title, trail, document.path, lines, link(document, lines), _chunks(blocks),
        sources=document.sources,
    )  # fmt: skip


def _join(blocks: list[Block]) -> str:
    """Join blocks as Markdown: items of one list by a line end, everything else by a blank line."""
    text = blocks[0].text
    for before, block in pairwise(blocks):
        tight = before.kind == block.kind == "item" or (before.kind == block.kind == "config")
        text += ("\n" if tight else "\n\n") + block.text
    return text
