"""Cut Markdown into blocks as CommonMark reads it, with GitHub's tables; keeps line numbers.

markdown-it-py parses the block structure. Its inline rules stay off: a chunker needs only the places where it may cut.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from textwrap import dedent

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from rag.types import Block

_PARSER = MarkdownIt("commonmark", {"maxNesting": 100}).enable("table").disable("inline")
_JEKYLL = re.compile(r"^\s*(\{:.*\}|\{%.*%\})\s*$")  # layout marks, no content
# Bounded, so that a page of openings without an end costs no square of its length. Code spans first: they are shown.
_COMMENT = re.compile(r"(`+)(?!`).{0,2000}?(?<!`)\1(?!`)|<!--.{0,9000}?-->", re.DOTALL)
_UNSEEN = re.compile(r"<(script|style)\b.{0,4000}?</\1\s*>|<!--.*?(-->|\Z)", re.DOTALL | re.IGNORECASE)
_CODE_SPAN = re.compile(r"(`+)(.{1,200}?)(?<!`)\1(?!`)")
LONGEST_MARK = 12  # backticks of a fence
LONGEST_HEADING = 500  # characters that are looked at
MOST_REPAIRS = 20  # of fences that never close; each reads the page again
_TAG = re.compile(r"</?[A-Za-z][^>]*>")
_QUOTE_MARK = re.compile(r"^\s{0,3}>[ \t]?")


def blocks(text: str) -> list[Block]:
    """Return the blocks of `text` in order; line numbers count from 1.

    A fence at the top level that never closes counts as plain text, other than in CommonMark, so that one damaged
    fence does not swallow the rest of a page. Code comes out of its list or quote without indentation.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    tree = _parse(lines)
    for _ in range(MOST_REPAIRS):
        opening = _never_closed(tree, lines)
        if opening is None:
            break
        lines[opening] = ""
        tree = _parse(lines)
    return [block for node in tree.children for block in _of(node, lines, top=True)]


def _parse(lines: Sequence[str]) -> SyntaxTreeNode:
    return SyntaxTreeNode(_PARSER.parse("\n".join(lines)))


def _never_closed(tree: SyntaxTreeNode, lines: Sequence[str]) -> int | None:
    """Return the index of the line that opens a fence at the top level which never closes; None without one."""
    last = tree.children[-1] if tree.children else None  # such a fence runs to the end of the text
    if last is None or last.type != "fence":
        return None
    start, end = _range(last)
    closing = re.compile(rf"^ {{0,3}}{re.escape(last.markup[0])}{{{len(last.markup)},}}[ \t]*$")
    return None if end - start > 1 and closing.match(lines[end - 1]) else start


def _range(node: SyntaxTreeNode) -> tuple[int, int]:
    """Return the index of a node's first line and of the line behind its last one."""
    return node.map or (0, 0)


def _of(node: SyntaxTreeNode, lines: Sequence[str], *, top: bool = False) -> Iterator[Block]:
    """Yield the blocks of one node; only a heading at the top level opens a section."""
    start, end = _range(node)
    kind = node.type
    if kind == "heading":
        title = " ".join(node.children[0].content.split())[:LONGEST_HEADING]
        shown = f"{node.markup if node.markup[0] == '#' else '#' * int(node.tag[1])} {title}"
        level = int(node.tag[1])
        yield Block("heading", shown, (start + 1, end), level, _plain(title)) if top else _text(title, start, end)
    elif kind in {"fence", "code_block"}:
        mark = node.markup if 0 < len(node.markup) <= LONGEST_MARK else "```"
        while mark in node.content and len(mark) <= LONGEST_MARK:
            mark += mark[0]
        yield Block("code", f"{mark}{node.info.strip()}\n{node.content.rstrip(chr(10))}\n{mark}", (start + 1, end))
    elif kind == "table":
        rows = (_outer_pipes(line.strip()) for line in lines[start:end])
        yield Block("table", "\n".join(rows), (start + 1, end))
    elif kind == "html_block":
        yield from _shown(_TAG.sub(" ", _UNSEEN.sub(_blank, node.content)), start)
    elif kind == "paragraph":
        yield from _shown(dedent("\n".join(lines[start:end])), start)
    elif kind == "blockquote":
        inside = [*lines[:start], *(_QUOTE_MARK.sub("", line) for line in lines[start:end])]
        yield from (block for child in node.children for block in _of(child, inside))
    elif kind == "list_item":
        yield from _item(node, lines)
    else:
        yield from (block for child in node.children if child.map for block in _of(child, lines))


def _item(node: SyntaxTreeNode, lines: Sequence[str]) -> Iterator[Block]:
    """Yield a list item with its first paragraph as one block, then whatever else it holds."""
    rest = node.children
    if rest and rest[0].type == "paragraph":
        start, end = _range(node)[0], _range(rest[0])[1]
        for number, block in enumerate(_shown("\n".join(lines[start:end]), start)):
            yield block if number else replace(block, kind="item")
        rest = rest[1:]
    yield from (block for child in rest for block in _of(child, lines))


def _shown(text: str, start: int) -> Iterator[Block]:
    """Yield the runs of lines that remain without comments and layout marks; `start` is the index of the first line."""
    held: list[str] = []
    lines = _COMMENT.sub(lambda found: found[0] if found[1] else _blank(found), text).split("\n")
    for at, line in enumerate([*lines, ""], start):
        if line.strip() and not _JEKYLL.match(line):
            held.append(line.rstrip())
        elif held:
            yield _text("\n".join(held), at - len(held), at)
            held = []


def _blank(found: re.Match[str]) -> str:
    """Return as many line ends as there were, so that later lines keep their numbers."""
    return "\n" * found[0].count("\n")


def _text(text: str, start: int, end: int) -> Block:
    return Block("text", text, (start + 1, end))


def _outer_pipes(row: str) -> str:
    """Return a table's row with the pipes at both ends that GitHub lets a writer leave out."""
    first = row if row.startswith("|") else f"| {row}"
    return first if first.endswith("|") and not first.endswith("\\|") else f"{first} |"


def _plain(heading: str) -> str:
    """Return a heading without emphasis marks, links and attribute lists; what stands in code stays."""
    text, at = "", 0
    for code in _CODE_SPAN.finditer(heading):
        text += _unmarked(heading[at : code.start()]) + code[2].strip()
        at = code.end()
    return " ".join((text + _unmarked(heading[at:])).split())


def _unmarked(text: str) -> str:
    text = re.sub(r"\{[:#][^}]*\}|<[^>]+>", "", text)
    text = re.sub(r"!?\[([^\[\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"(\*\*|__|`)", "", text)
