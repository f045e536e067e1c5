"""Cut configuration files and reStructuredText into blocks: YAML by key, env samples by banner, rst by underline."""

import re
from collections.abc import Iterator

from rag.types import Block

_YAML_KEY = re.compile(r"^( {0,4})(?:- )?([A-Za-z_][\w.\-/ ]*):(?:\s|$)")
_BANNER = re.compile(r"^#\s*[=\-#*]{5,}\s*$")
_RST_UNDER = re.compile(r"^([=\-~^\"'#*+.])\1{2,}\s*$")


def yaml_blocks(text: str) -> Iterator[Block]:
    """Yield a heading per key down to the third level and the lines under it; a comment stays with the key below it."""
    start, pending = 0, 0  # pending: first comment line above the next key
    lines = text.split("\n")
    for at, line in enumerate(lines):
        key = _YAML_KEY.match(line)
        opens = key is not None and not line.split(":", 1)[1].strip().startswith(("|", ">"))
        if opens and key and _has_children(lines, at, len(key[1])):
            cut = max(start, pending)
            yield from _body(lines, start, cut)
            yield Block("heading", "", (at + 1, at + 1), len(key[1]) // 2 + 1, key[2].strip())
            start = cut
        if not line.lstrip().startswith("#"):
            pending = at + 1
    yield from _body(lines, start, len(lines))


def env_blocks(text: str) -> Iterator[Block]:
    """Yield the titled groups of an env sample; a title stands between two lines of `# =====`."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if _BANNER.match(lines[at]) and at + 2 < len(lines) and _BANNER.match(lines[at + 2]):
            yield Block("heading", lines[at + 1].strip(), (at + 1, at + 3), 1, lines[at + 1].lstrip("# ").strip())
            at += 3
        elif not lines[at].strip("# \t"):
            at += 1
        else:
            end = at
            while end < len(lines) and lines[end].strip() and not _BANNER.match(lines[end]):
                end += 1
            yield from _body(lines, at, max(end, at + 1))
            at = max(end, at + 1)


def rst_blocks(text: str) -> Iterator[Block]:
    """Yield headings (in the order their underlines first occur) and the paragraphs between them."""
    lines = text.split("\n")
    marks: list[str] = []
    start = 0
    for at in range(1, len(lines)):
        under = _RST_UNDER.match(lines[at])
        title = lines[at - 1].strip()
        if not under or not title or _RST_UNDER.match(lines[at - 1]) or len(lines[at].strip()) < len(title):
            continue
        if under[1] not in marks:
            marks.append(under[1])
        yield from _paragraphs(lines, start, at - 1)
        level = min(marks.index(under[1]) + 1, 6)
        yield Block("heading", f"{'#' * level} {title}", (at, at + 1), level, title)
        start = at + 1
    yield from _paragraphs(lines, start, len(lines))


def plain_blocks(text: str) -> Iterator[Block]:
    """Yield the paragraphs of plain text."""
    lines = text.split("\n")
    yield from _paragraphs(lines, 0, len(lines))


def _paragraphs(lines: list[str], start: int, end: int) -> Iterator[Block]:
    """Yield the paragraphs of lines[start:end] without rst overlines and other rules."""
    at = start
    while at < end:
        if not lines[at].strip() or _RST_UNDER.match(lines[at]):
            at += 1
            continue
        stop = at
        while stop < end and lines[stop].strip():
            stop += 1
        yield Block("text", "\n".join(line.rstrip() for line in lines[at:stop]), (at + 1, stop))
        at = stop


def _has_children(lines: list[str], at: int, indent: int) -> bool:
    """Return True when the key at index `at` opens a mapping or list of at least three lines."""
    below = [line for line in lines[at + 1 : at + 12] if line.strip() and not line.lstrip().startswith("#")]
    deeper = 0
    for line in below:
        depth = len(line) - len(line.lstrip())
        if depth < indent or (depth == indent and not line.lstrip().startswith("-")):
            break
        deeper += 1
    return deeper >= 3


def _body(lines: list[str], start: int, end: int) -> Iterator[Block]:
    """Yield lines[start:end] as one block of configuration, without blank edges."""
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    if start < end:
        yield Block("config", "\n".join(line.rstrip() for line in lines[start:end]), (start + 1, end))
