"""Reads files of rows: one JSON object a line, as judged questions and cases are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rag.errors import RowsUnreadable


def read_rows(path: Path, *fields: str) -> list[dict[str, Any]]:
    """Return the objects of a file in order, without its empty lines; each must have these fields.

    Raises RowsUnreadable, which names the line, and OSError.
    """
    rows: list[dict[str, Any]] = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise RowsUnreadable(
            f"{path} is not UTF-8 (byte {error.start}); give a file of JSON objects, one a line"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise RowsUnreadable(f"line {number} of {path} is no JSON object; give a file of such objects, one a line")
        if lacking := [field for field in fields if field not in row]:
            raise RowsUnreadable(f"line {number} of {path} has no {lacking[0]!r}; each line needs {', '.join(fields)}")
        rows.append(row)
    return rows
