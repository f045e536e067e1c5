"""Put a question into a page's front matter, or take one out, and leave every other line as it is.

Reads the lists of questions that stand under headings, one a line, as our pages have them. Pure; nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile

import yaml

from rag.errors import RagError
from rag.reading import frontmatter

FIELD = "questions"
INDENT = 2  # columns


def with_question(text: str, heading: str, question: str) -> str:
    """Return a page's text with one more question under a heading. Raises RagError where the page cannot take it."""
    lines, listed = text.split("\n"), _listed(text)
    if listed is None:
        raise RagError("the page lists no questions under headings; add the field by hand first")
    found = next((items for key, items in reversed(listed.value) if key.value == heading), None)  # the one that counts
    if isinstance(found, yaml.SequenceNode) and found.value and not found.flow_style:
        at, column = found.value[-1].start_mark.line + 2, found.start_mark.column
        added = [f"{' ' * column}- {_scalar(question)}"]
    elif found is None:
        key, items = listed.value[-1]
        last = items.value[-1] if isinstance(items, yaml.SequenceNode) else items
        at, indent = last.start_mark.line + 2, " " * key.start_mark.column
        added = [f"{indent}{_scalar(heading)}:", f"{indent}{' ' * INDENT}- {_scalar(question)}"]
    else:
        raise RagError(f"the questions under {heading!r} are no list with one a line; add it by hand")
    end = "\r" if lines[0].endswith("\r") else ""
    made = "\n".join([*lines[:at], *(line + end for line in added), *lines[at:]])
    wanted = questions_of(text)
    wanted.setdefault(heading, []).append(question)
    return _checked(text, made, wanted)


def without_question(text: str, question: str) -> str:
    """Return a page's text without a question, under whichever heading it stands; a heading left bare goes too."""
    listed, lines = _listed(text), text.split("\n")
    for key, items in reversed(listed.value) if listed else ():
        for item in items.value if isinstance(items, yaml.SequenceNode) else ():
            if item.value == question:
                first = key if len(items.value) == 1 else item
                del lines[first.start_mark.line + 1 : item.start_mark.line + 2]
                wanted = {head: [one for one in asked if one != question] for head, asked in questions_of(text).items()}
                return _checked(text, "\n".join(lines), {head: asked for head, asked in wanted.items() if asked})
    return text


def questions_of(text: str) -> dict[str, list[str]]:
    """Return heading -> questions as the page's front matter lists them; {} without any."""
    listed = frontmatter.split(text)[0].get(FIELD)
    return {head: list(asked) for head, asked in listed.items()} if isinstance(listed, dict) else {}


def _listed(text: str) -> yaml.MappingNode | None:
    """Return the field of questions, whose lines count from the one below the first rule."""
    try:
        tree = yaml.compose("\n".join(_block(text)), Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    pairs = tree.value if isinstance(tree, yaml.MappingNode) else []
    found = next((value for key, value in pairs if key.value == FIELD), None)
    return found if isinstance(found, yaml.MappingNode) and found.value and not found.flow_style else None


def _block(text: str) -> Iterator[str]:
    first, *lines = text.split("\n")
    return takewhile(lambda line: line.rstrip() != "---", lines if first.rstrip() == "---" else [])


def _scalar(text: str) -> str:
    """Return a text as YAML in one line: plain where it stays that text, else in double quotes."""
    try:
        is_plain = yaml.safe_load(f"- {text}\n") == [text] == [next(iter(yaml.safe_load(f"{text}: 1")))]
    except (yaml.YAMLError, TypeError, StopIteration):
        is_plain = False
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _checked(before: str, after: str, wanted: dict[str, list[str]]) -> str:
    """Return the new text; RagError unless it reads as the old one but for the questions that are wanted."""
    (old, body), (new, same) = frontmatter.split(before), frontmatter.split(after)
    rest = [{name: value for name, value in fields.items() if name != FIELD} for fields in (old, new)]
    if questions_of(after) != wanted or rest[0] != rest[1] or body.lstrip("\n\r") != same.lstrip("\n\r"):
        raise RagError("the page's front matter is written in a way that this cannot change; change it by hand")
    return after
