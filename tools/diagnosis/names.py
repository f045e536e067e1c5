"""Show a result's names and texts as the host's own: what is no plain name stands in code, on one line.

Whoever names a process, a guest or a host writes into a sentence of the rules, and into a command of the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tools.types import Json

LONGEST = 80  # characters that are shown
STAND_IN = "NAME"  # stands in a command for a name that a shell could read as more than a name
_PLAIN = re.compile(r"[\w./@][\w./@:+%-]*")
_CODE = re.compile(r"`[^`\n]*`")
_NAMING = ("name", "hostname")  # fields whose values are names


def quoted(text: str, longest: int = LONGEST) -> str:
    """Return a plain name, or what is a span of code already, as it is, and any other text as a span of code."""
    if _CODE.fullmatch(text) and len(text) <= longest + len("`...`"):
        return text
    line = " ".join(text.split()).replace("`", "'")
    if _PLAIN.fullmatch(line) and len(line) <= longest:
        return line
    return f"`{line if len(line) <= longest else line[:longest] + '...'}`" if line else ""


def with_quoted_names(data: Json) -> Json:
    """Return a result's data with its names quoted: those of entries, and the values of fields that hold one."""
    if isinstance(data, Mapping):
        return {
            quoted(str(key)): quoted(value) if key in _NAMING and isinstance(value, str) else with_quoted_names(value)
            for key, value in data.items()
        }
    return [with_quoted_names(item) for item in data] if isinstance(data, list | tuple) else data


def safe_command(step: str) -> str:
    """Return a step of a remedy; in a command STAND_IN takes the place of each name that is not plain."""
    return _CODE.sub(STAND_IN, step) if step.startswith("$ ") else step
