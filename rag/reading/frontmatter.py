"""Read and remove front matter, also in the form that mdformat leaves when it damages it."""

import re
from typing import Any

import yaml

_RULE = re.compile(r"^(-{3,}|_{3,}|\*{3,})\s*$")
_CLOSING = re.compile(r"^(---|\.\.\.)\s*$")
# mdformat turns a front matter block into a rule and one heading: "## layout: default title: Home nav_order: 1"
_DAMAGED = re.compile(r"^#{1,6}\s+(?=(?:layout|title|parent|permalink|nav_order|description|has_children):\s)")
_ENTRY = re.compile(r"^([A-Za-z_][\w-]*):(?:\s+(.*))?$")
_BELOW_ENTRY = re.compile(r"^(?:\s+\S|-\s|#)")  # a line that goes on with the entry above it, or a comment
_PAIR = re.compile(
    r"(?:^|\s)(layout|title|parent|grand_parent|nav_order|permalink|description|has_children|nav_exclude):(?=\s|$)"
)


def split(text: str) -> tuple[dict[str, Any], str]:
    """Return (fields, text with the front matter blanked out line by line).

    Fields are {} without front matter and for front matter that is no mapping. Other text stays. An entry that is no
    YAML, as a title with a colon in it, counts as it is written.
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
    """Return the fields of a block, {} for no mapping."""
    fields = _yaml(block)
    return _entry_by_entry(block) if fields is None else _keyed(fields)


def _yaml(block: str) -> Any:
    """Return what a block holds, None for no YAML. A scalar stays text: 1.10 is no number, 2024-99-99 no error."""
    try:
        return yaml.load(block, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but text, lists and mappings
    except (yaml.YAMLError, RecursionError):
        return None


def _keyed(fields: object) -> dict[str, Any]:
    return {str(key): value for key, value in fields.items()} if isinstance(fields, dict) else {}


def _entry_by_entry(block: str) -> dict[str, Any]:
    """Return the fields of a block that is no YAML as a whole; {} where a line belongs to no entry, as in prose."""
    entries: list[list[str]] = []
    for line in block.split("\n"):
        if _ENTRY.match(line):
            entries.append([line])
        elif entries and _BELOW_ENTRY.match(line):
            entries[-1].append(line)
        elif not line.startswith("#"):
            return {}
    fields: dict[str, Any] = {}
    for lines in entries:
        fields |= _keyed(_yaml("\n".join(lines))) or _as_written(lines)
    return fields


def _as_written(lines: list[str]) -> dict[str, Any]:
    """Return the field of one entry with its text, or its list items, as they stand there."""
    first = _ENTRY.match(lines[0])
    items = [line.strip()[2:].strip() for line in lines[1:] if line.lstrip().startswith("- ")]
    return {first[1]: items or (first[2] or "").strip()} if first else {}


def _damaged_fields(line: str) -> dict[str, Any]:
    body = line.lstrip("#").strip()
    marks = list(_PAIR.finditer(body))
    ends = [mark.start() for mark in marks[1:]] + [len(body)]
    return {mark[1]: body[mark.end() : end].strip().strip('"') for mark, end in zip(marks, ends, strict=True)}


def _blank(lines: list[str], count: int) -> str:
    return "\n".join([""] * count + lines[count:])
