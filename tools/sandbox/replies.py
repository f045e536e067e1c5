"""Read what a worker sends: a hostile check can write anything there."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from tools.types import ToolResult

MAX_DEPTH = 20  # lists and objects within each other; the checks need six
MAX_ERROR = 400  # characters of a failed result's reason
MAX_DESCRIPTION = 1000  # characters
NAME = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)


class WorkerLostError(Exception):
    """Raised when the worker is gone or broke the protocol; the message goes into the call's result."""


def as_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line; WorkerLostError for anything else, and for what JSON's standard lacks."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WorkerLostError("the tool's answer is no JSON; its worker was replaced") from error
    if not isinstance(value, dict):
        raise WorkerLostError("the tool's answer is no JSON object; its worker was replaced")
    if not _is_plain(value, MAX_DEPTH):
        raise WorkerLostError(
            "the tool's answer is no JSON that others can read (a number that is not finite, half a character, more "
            f"than {MAX_DEPTH} levels); its worker was replaced"
        )
    return value


def tools_of(reply: dict[str, Any]) -> dict[str, str]:
    """Return the tools that a worker offers, name -> description; WorkerLostError when they have another form."""
    match reply:
        case {"error": str(error)}:
            raise WorkerLostError(error[:MAX_ERROR])
        case {"tools": dict(tools)} if tools and all(
            NAME.fullmatch(name) and isinstance(says, str) and len(says) <= MAX_DESCRIPTION
            for name, says in tools.items()
        ):
            return tools
    raise WorkerLostError(f"it names no tools, or describes one in more than {MAX_DESCRIPTION} characters")


def result_of(tool: str, raw: object) -> ToolResult:
    """Return a reply's result; WorkerLostError when a field is absent or has another type."""
    match raw:
        case {
            "success": bool(success),
            "data": dict(data),
            "error": (str() | None) as error,
            "execution_time": float(seconds),
            "timestamp": float(timestamp),
        }:
            return ToolResult(tool, success, data, error and error[:MAX_ERROR], seconds, timestamp)
    raise WorkerLostError("the tool's answer is no object of named values; its worker was replaced")


def _is_plain(value: object, depth: int) -> bool:
    """Return true for a JSON value that every reader takes: finite, encodable, of few levels."""
    match value:
        case str():
            return not any("\ud800" <= letter <= "\udfff" for letter in value)
        case float():
            return math.isfinite(value)
        case dict():
            parts = [*value, *value.values()]
        case list():
            parts = value
        case _:
            return True
    return depth > 0 and all(_is_plain(part, depth - 1) for part in parts)
