"""Cut documents into units, which a page shows, and units into chunks, which the encoder embeds."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from rag.chunking import markdown, other_formats, programs
from rag.chunking.splitting import by_size, clipped, size, split
from rag.types import Block, Chunk, Document, Lines, Section, Span, Unit

UNIT_CHARS = 1100  # ~280 tokens, the lead passage's share of the prompt budget
CHUNK_CHARS = 260  # ~65 tokens: short enough that one fact is not averaged away
SMALL_CHARS = 300  # a section below this joins its neighbours even when it stands alone under the page title
HEADING_CHARS = 160  # of a heading that stands above every chunk; the longest real ones have 120

Link = Callable[[Document, Lines], str]
Parser = Callable[[str], Iterable[Block]]

_PARSERS: dict[str, Parser] = {
    ".md": markdown.blocks,
    ".markdown": markdown.blocks,
    ".rst": other_formats.rst_blocks,
    ".yml": other_formats.yaml_blocks,
    ".yaml": other_formats.yaml_blocks,
    ".env": other_formats.env_blocks,
    ".txt": other_formats.plain_blocks,
    ".py": programs.python_blocks,
    ".sh": programs.shell_blocks,
}


def parser_for(path: str) -> Parser | None:
    """Return the block parser for a file name, or None when the kind of file is not indexed."""
    name = PurePosixPath(path).name
    if name.startswith(".env") or name.endswith((".env.example", ".env.sample")):
        return other_formats.env_blocks
    return _PARSERS.get(PurePosixPath(path).suffix.lower())


def chunk(document: Document, link: Link) -> list[Unit]:
    """Cut one document into units; `link` gives the address of a line range.

    Code and tables stay whole where they fit. Neighbouring sections under one heading share a unit while it fits;
    their chunks keep their own headings.
    """
    parse = parser_for(document.path)
    if parse is None:
        return []
    pieces = [piece for section in _sections(parse(document.text)) for piece in _fitted(section)]
    units = (_unit(document, group, link) for group in _packed(pieces))
    return [unit for unit in units if unit.text]  # a key without a value at the end of a YAML file has none


def _sections(blocks: Iterable[Block]) -> Iterator[Section]:
    """Group blocks by heading; a heading without a body of its own joins the next section."""
    path: list[Block] = []
    body: list[Block] = []
    for block in blocks:
        if block.kind == "heading":
            if any(held.kind != "heading" for held in body):
                yield Section(_titles(path), tuple(body))
                body = []
            path = [above for above in path if above.level < block.level] + [block]
        body.append(block)
    if any(held.kind != "heading" for held in body):
        yield Section(_titles(path), tuple(body))


def _titles(path: list[Block]) -> tuple[str, ...]:
    return tuple(clipped(heading.title, HEADING_CHARS) for heading in path)


def _fitted(section: Section) -> Iterator[Section]:
    """Yield the section in parts of at most UNIT_CHARS."""
    pieces = [piece for block in section.blocks for piece in split(block, UNIT_CHARS)]
    for group in by_size(pieces, UNIT_CHARS):
        yield Section(section.headings, tuple(group))


def _packed(sections: list[Section]) -> Iterator[list[Section]]:
    """Group neighbours that belong together and fit into one unit."""
    held: list[Section] = []
    for section in sections:
        if held and not (_belongs(held, section) and sum(map(_length, held)) + _length(section) <= UNIT_CHARS):
            yield held
            held = []
        held.append(section)
    if held:
        yield held


def _belongs(held: list[Section], section: Section) -> bool:
    """Return True when a section may share a unit with those before it.

    Sections that share a heading below the page title may; sections right under the title only when both are small.
    """
    shared = len(_common([*held, section]))
    return shared >= 2 or (sum(map(_length, held)) < SMALL_CHARS and _length(section) < SMALL_CHARS)


def _length(section: Section) -> int:
    return size(section.blocks)


def _common(sections: list[Section]) -> tuple[str, ...]:
    """Return the headings that all sections share."""
    first = sections[0].headings
    depth = 0
    while depth < len(first) and all(first[: depth + 1] == other.headings[: depth + 1] for other in sections):
        depth += 1
    return first[:depth]


def _unit(document: Document, sections: list[Section], link: Link) -> Unit:
    blocks = [block for section in sections for block in section.blocks]
    headings = _common(sections) or sections[0].headings
    if headings[:1] == (document.title,):
        headings = headings[1:]
    text, spans = _join([block for block in blocks if block.text])
    lines = (min(block.lines[0] for block in blocks), max(block.lines[1] for block in blocks))
    key = "\x1f".join((document.path, *headings, text))
    return Unit(
        id=hashlib.blake2b(key.encode(), digest_size=8).hexdigest(),
        text=text,
        title=document.title,
        headings=headings,
        path=document.path,
        lines=lines,
        url=link(document, lines),
        chunks=tuple(piece for section in sections for piece in _chunks(section)),
        sources=document.sources,
        spans=spans,
    )


def _chunks(section: Section) -> Iterator[Chunk]:
    """Yield the chunks of a section; each keeps its headings as context, not as text."""
    pieces = [piece for block in section.blocks if block.kind != "heading" for piece in split(block, CHUNK_CHARS)]
    for group in by_size(pieces, CHUNK_CHARS):
        yield Chunk("\n".join(piece.text for piece in group), section.headings)


def _join(blocks: list[Block]) -> tuple[str, tuple[Span, ...]]:
    """Join blocks as Markdown, list items and configuration by a line end, everything else by a blank line.

    Returns the text and where each block lies in it.
    """
    text, kind = "", ""
    spans: list[Span] = []
    for block in _outdented(blocks):
        if text:
            text += "\n" if kind == block.kind and kind in {"item", "config"} else "\n\n"
        spans.append((block.kind, len(text), len(text) + len(block.text)))
        text, kind = text + block.text, block.kind
    return text, tuple(spans)


def _outdented(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the blocks; list items without their parent, which may lie in another unit, start at the margin.

    Four blanks in front of an item would make it code for whoever reads the text of the unit.
    """
    margin = -1
    for block in blocks:
        if block.kind != "item":
            margin = -1
            yield block
            continue
        indent = len(block.text) - len(block.text.lstrip(" "))
        margin = indent if margin < 0 else min(margin, indent)
        if margin:
            lines = (line[min(margin, len(line) - len(line.lstrip(" "))) :] for line in block.text.split("\n"))
            block = replace(block, text="\n".join(lines))
        yield block
