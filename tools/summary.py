"""A tool's result in a few lines a person can read, without a language model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.types import ToolResult

MOST_LINES = 8
LONGEST = 80  # characters of one value
# What a person looks for first, by the name of the field that holds it.
TELLING = ("status", "substate", "usage_percent", "total_gb", "free_gb", "reachable", "working", "error",
           "cpu_percent", "memory_mb", "hostname", "platform", "python_version", "uptime_seconds", "load_average",
           "kvm_module_loaded", "vmx_support", "svm_support", "libvirt_available", "vm_count",
           "total_processes")  # fmt: skip


def summary(result: ToolResult) -> str:
    """Markdown: one line for a failed call, else a list of the telling fields, at most MOST_LINES of them."""
    if not result.success:
        return f"`{result.tool_name}` did not run: {result.error}"
    lines = [f"- {place}: {'; '.join(facts)}" for place, facts in _groups(result.data, result.tool_name)]
    return "\n".join(lines[:MOST_LINES])


def _groups(data: dict[str, Any], place: str) -> Iterator[tuple[str, list[str]]]:
    """Each mapping that holds telling fields, outermost first, under the name it stands at."""
    facts = [f"{key} {_short(value)}" for key, value in data.items() if _tells(key, value)]
    if facts:
        yield place, facts
    for key, value in data.items():
        for name, item in _mappings(key, value):
            yield from _groups(item, name)


def _mappings(key: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield key, value
    elif isinstance(value, list):
        yield from ((str(item.get("name", key)), item) for item in value if isinstance(item, dict))


def _tells(key: str, value: Any) -> bool:
    plain = isinstance(value, str | int | float | bool) or (isinstance(value, list) and key == "load_average")
    return plain and (key in TELLING or key.endswith("_error"))


def _short(value: Any) -> str:
    text = str(value).strip().replace("\n", " ")
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."
