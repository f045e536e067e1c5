"""Read and remove front matter, also in the form that mdformat leaves when it damages it."""

import re
from typing import Any

import yaml

_RULE = re.compile(r"^(-{3,}|_{3,}|\*{3,})\s*$")
_CLOSING = re.compile(r"^(---|\.\.\.)\s*$")
# mdformat turns a front matter block into a rule and one heading: "## layout: default title: Home nav_order: 1"
_DAMAGED = re.compile(r"^#{1,6}\s+(?=(?:layout|title|parent|permalink|nav_order|description|has_children):\s)")
_PAIR = re.compile(
    r"(?:^|\s)(layout|title|parent|grand_parent|nav_order|permalink|description|has_children|nav_exclude):\s"
)


def split(text: str) -> tuple[dict[str, Any], str]:
    """Return (fields, text with the front matter blanked out line by line).

    Fields are {} without front matter and for front matter that is no YAML mapping. Other text stays.
    """
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip()), None)
    if first is None or not _RULE.match(lines[first]):
        return {}, text
    if lines[first].strip() == "---":
        end = next((n for n in range(first + 1, len(lines)) if _CLOSING.match(lines[n])), None)
        fields = _mapping("\n".join(lines[first + 1 : end])) if end is not None else {}
        if end is not None and fields:
            return fields, _blank(lines, end + 1)
    heading = next((n for n in range(first + 1, len(lines)) if lines[n].strip()), None)
    if heading is not None and _DAMAGED.match(lines[heading]):
        return _damaged_fields(lines[heading]), _blank(lines, heading + 1)
    return {}, text


def _mapping(block: str) -> dict[str, Any]:
    """Return the fields of a block, {} for no mapping. A scalar stays text: 1.10 is no number, 2024-99-99 no error."""
    try:
        fields = yaml.load(block, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but text, lists and mappings
    except (yaml.YAMLError, RecursionError):
        return {}
    return {str(key): value for key, value in fields.items()} if isinstance(fields, dict) else {}


def _damaged_fields(line: str) -> dict[str, Any]:
    body = line.lstrip("#").strip()
    marks = list(_PAIR.finditer(body))
    ends = [mark.start() for mark in marks[1:]] + [len(body)]
    return {mark[1]: body[mark.end() : end].strip().strip('"') for mark, end in zip(marks, ends, strict=True)}


def _blank(lines: list[str], count: int) -> str:
    return "\n".join([""] * count + lines[count:])
