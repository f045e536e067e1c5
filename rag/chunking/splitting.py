"""Cut blocks that are too long, and group short ones."""

import re
from collections.abc import Callable, Iterable, Iterator

from rag.types import Block

LONGEST_LINE = 1_000  # characters; about what the encoder reads
LONGEST_OPENING = 80  # characters of a fence's first line, which every part repeats
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z0-9`*\[(\"'])")


def size(blocks: Iterable[Block]) -> int:
    """Return the characters that blocks take when joined by line ends."""
    return sum(len(block.text) + 1 for block in blocks)


def by_size(blocks: list[Block], limit: int) -> list[list[Block]]:
    """Group blocks in order to at most `limit` characters, in groups of about equal size.

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
    if len(block.text) <= limit:
        return [block]
    lines = block.text.split("\n")
    if len(lines) == 1:
        return [Block(block.kind, piece, block.lines) for piece in _by_sentence(block.text, limit)]
    if block.kind == "code":
        opening, inner, closing = lines[0], lines[1:-1], lines[-1]
        opening = opening if len(opening) <= LONGEST_OPENING else closing
        is_fenced = block.lines[1] - block.lines[0] + 1 >= len(lines)  # indented code has no lines for its fence
        return list(_parts(block, inner, int(is_fenced), limit, lambda body: [opening, *body, closing]))
    head = lines[:2]  # of a table; its later parts repeat it
    if block.kind == "table" and sum(map(len, head)) <= limit // 2:
        return list(_parts(block, lines[2:], 2, limit, lambda body: [*head, *body], sum(map(len, head))))
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
    return [line] if len(line) <= max(room, LONGEST_LINE) else _by_sentence(line, room)


def _line_runs(lines: list[str], limit: int) -> Iterator[tuple[int, int]]:
    """Yield index ranges of lines whose text stays within `limit`; a longer line is a range of its own."""
    start, held = 0, 0
    for at, line in enumerate(lines):
        if held and held + len(line) + 1 > limit:
            yield start, at
            start, held = at, 0
        held += len(line) + 1
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
