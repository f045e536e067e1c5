"""Cut Markdown into blocks with a line scanner that knows fences, tables and headings and keeps line numbers.

A full Markdown parser would tell more than a chunker needs, which is the places where it may cut.
"""

import re

from rag.types import Block

_FENCE = re.compile(r"^\s*(?:[-*+]\s+)?(`{3,}|~{3,})(.*)$")
_ATX = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_SETEXT = re.compile(r"^ {0,3}(=+|-{3,})\s*$")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+\S")
_RULE = re.compile(r"^\s*([-_*])(?:\s*\1){2,}\s*$")
_JEKYLL = re.compile(r"^\s*(\{:.*\}|\{%.*%\}|<!--.*-->)\s*$")  # layout marks, no content
_TOP_SETEXT = {"=": 1, "-": 2}


def blocks(text: str) -> list[Block]:
    """Return the blocks of `text` in order; line numbers count from 1.

    A `#` inside a fence opens no heading. A fence that never closes counts as plain text, so that one damaged fence
    does not swallow the rest of a page.
    """
    lines = text.splitlines()
    found: list[Block] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip() or _RULE.match(line) or _JEKYLL.match(line):
            at += 1
            continue
        block, at = _next_block(lines, at)
        found.append(block)
    return found


def _next_block(lines: list[str], at: int) -> tuple[Block, int]:
    """Return the block that starts at index `at`, and the index behind it."""
    end = _fence_end(lines, at)
    if end is not None:
        return _block("code", lines, at, end), end
    if heading := _ATX.match(lines[at]):
        return Block("heading", lines[at].strip(), (at + 1, at + 1), len(heading[1]), _plain(heading[2])), at + 1
    if at + 1 < len(lines) and (under := _SETEXT.match(lines[at + 1])) and not _ITEM.match(lines[at]):
        level = _TOP_SETEXT[under[1][0]]
        title = lines[at].strip()
        return Block("heading", f"{'#' * level} {title}", (at + 1, at + 2), level, _plain(title)), at + 2
    if lines[at].lstrip().startswith("|"):
        end = next((n for n in range(at, len(lines)) if not lines[n].lstrip().startswith("|")), len(lines))
        return _block("table", lines, at, end), end
    kind = "item" if _ITEM.match(lines[at]) else "text"
    end = at + 1
    while end < len(lines) and not _starts_block(lines, end):
        end += 1
    return _block(kind, lines, at, end), end


def _fence_end(lines: list[str], at: int) -> int | None:
    """Return the index behind the fence that opens at `at`, or None when none opens or it never closes."""
    opening = _FENCE.match(lines[at])
    if not opening or ("`" in opening[2] and opening[1][0] == "`"):
        return None  # "```word```" on one line is inline code
    closing = re.compile(rf"^\s*{re.escape(opening[1][0])}{{{len(opening[1])},}}\s*$")
    end = next((n for n in range(at + 1, len(lines)) if closing.match(lines[n])), None)
    return None if end is None else end + 1


def _starts_block(lines: list[str], at: int) -> bool:
    line = lines[at]
    return (
        not line.strip()
        or bool(_ATX.match(line) or _ITEM.match(line) or _RULE.match(line) or _JEKYLL.match(line))
        or line.lstrip().startswith("|")
        or _fence_end(lines, at) is not None
    )


def _block(kind: str, lines: list[str], at: int, end: int) -> Block:
    return Block(kind, "\n".join(line.rstrip() for line in lines[at:end]), (at + 1, end))


def _plain(heading: str) -> str:
    """Return a heading without emphasis marks, links and attribute lists."""
    heading = re.sub(r"\{[:#][^}]*\}|<[^>]+>", "", heading)
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"(\*\*|__|`)", "", heading).strip()
