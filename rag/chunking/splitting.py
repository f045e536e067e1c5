"""Cut blocks that are too long, and group short ones.

A text's length is what a model reads: its `width`. Four Latin letters are about one token, other scripts take more
tokens a character, and signs that no vocabulary knows are read byte by byte.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from rag.types import Block

LONGEST_LINE = 1_000  # characters; about what the encoder reads
LONGEST_OPENING = 80  # characters of a fence's first line, which every part repeats
_DENSE = (  # characters of each class, and how many Latin letters each reads like
    (re.compile(r"[\u0250-\u1fff]"), 2),  # Greek, Cyrillic, Arabic, Indic and other alphabets
    (re.compile(r"[\u2c00-\uffff]"), 4),  # Chinese, Japanese, Korean: a token a character, or more
    (
        re.compile(r"[\U00010000-\U0001efff\U0001fb00-\U0010ffff]"),
        16,
    ),  # cuneiform and the like: a token a byte; no emoji
)
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z0-9`*\[(\"'])")


def width(text: str) -> int:
    """Return the length of a text in Latin letters that take a model as many tokens."""
    if text.isascii():
        return len(text)
    return len(text) + sum((times - 1) * len(dense.findall(text)) for dense, times in _DENSE)


def clipped(text: str, limit: int) -> str:
    """Return the beginning of a text whose width is at most `limit`."""
    if width(text) <= limit:
        return text
    text = text[:limit]
    while width(text) > limit:  # each round takes off what is surely too much
        text = text[: max(0, len(text) - max(1, (width(text) - limit) // 16))]
    return text


def size(blocks: Iterable[Block]) -> int:
    """Return the width that blocks take when joined by line ends."""
    return sum(width(block.text) + 1 for block in blocks)


def by_size(blocks: list[Block], limit: int) -> list[list[Block]]:
    """Group blocks in order to a width of at most `limit`, in groups of about equal size.

    A heading or a lead-in such as "Run:" stays with the block behind it.
    """
    total = size(blocks)
    target = total / max(1, -(-total // limit))
    groups: list[list[Block]] = []
    for block in blocks:
        fits = groups and size([*groups[-1], block]) <= limit
        open_ended = groups and (groups[-1][-1].kind == "heading" or groups[-1][-1].text.endswith(":"))
        full = groups and size(groups[-1]) >= target and not open_ended
        if fits and not full:
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def split(block: Block, limit: int) -> list[Block]:
    """Cut a block that is larger than `limit` at line ends, or at sentence ends when it is one line."""
    if width(block.text) <= limit:
        return [block]
    lines = block.text.split("\n")
    if len(lines) == 1:
        return [Block(block.kind, piece, block.lines) for piece in _by_sentence(block.text, limit)]
    if block.kind == "code":
        opening, inner, closing = lines[0], lines[1:-1], lines[-1]
        opening = opening if width(opening) <= LONGEST_OPENING else closing
        is_fenced = block.lines[1] - block.lines[0] + 1 >= len(lines)  # indented code has no lines for its fence
        return list(_parts(block, inner, int(is_fenced), limit, lambda body: [opening, *body, closing]))
    head = lines[:2]  # of a table; its later parts repeat it
    if block.kind == "table" and sum(map(width, head)) <= limit // 2:
        return list(_parts(block, lines[2:], 2, limit, lambda body: [*head, *body], sum(map(width, head))))
    return list(_parts(block, lines, 0, limit, list))


def _parts(
    block: Block, lines: list[str], skipped: int, limit: int, wrap: Callable[[list[str]], list[str]], used: int = 0
) -> Iterator[Block]:
    first = block.lines[0] + skipped
    room = max(limit - used - 20, limit // 3)
    for start, end in _line_runs(lines, room):
        bodies = [lines[start:end]] if end - start > 1 else [[piece] for piece in _cut(lines[start], room)]
        for body in bodies:
            yield Block(block.kind, "\n".join(wrap(body)), (first + start, first + end - 1))


def _cut(line: str, room: int) -> list[str]:
    """Cut a line only where it is longer than a model should read in one piece: a part of a row means less."""
    return [line] if width(line) <= max(room, LONGEST_LINE) else _by_sentence(line, room)


def _line_runs(lines: list[str], limit: int) -> Iterator[tuple[int, int]]:
    """Yield index ranges of lines whose text stays within `limit`; a longer line is a range of its own."""
    start, held = 0, 0
    for at, line in enumerate(lines):
        if held and held + width(line) + 1 > limit:
            yield start, at
            start, held = at, 0
        held += width(line) + 1
    if start < len(lines):
        yield start, len(lines)


def _by_sentence(text: str, limit: int) -> list[str]:
    pieces: list[str] = []
    for sentence in _SENTENCE.split(text):
        if pieces and width(pieces[-1]) + width(sentence) < limit:
            pieces[-1] += " " + sentence
        else:
            pieces.append(sentence)
    return [part for piece in pieces for part in _sliced(piece, limit)]


def _sliced(text: str, limit: int) -> Iterator[str]:
    while text:
        part = clipped(text, limit) or text[0]
        yield part
        text = text[len(part) :]
