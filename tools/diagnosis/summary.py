"""A tool's result in a few lines a person can read, without a language model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tools.diagnosis.diagnose import Diagnosis, diagnose
from tools.diagnosis.facts import NEEDED
from tools.registry import report
from tools.types import ToolResult

NEEDED_TOOLS = frozenset(tool for tool, *_field in NEEDED)
MOST_LINES = 8  # of one result
LONGEST = 80  # characters of one value
# What a person looks for first, by the name of the field that holds it.
TELLING = ("status", "substate", "usage_percent", "total_gb", "free_gb", "reachable", "working", "error",
           "cpu_percent", "memory_mb", "hostname", "platform", "python_version", "uptime_seconds", "load_average",
           "kvm_module_loaded", "vmx_support", "svm_support", "libvirt_available", "vm_count",
           "total_processes")  # fmt: skip


def is_whole_run(results: Sequence[ToolResult]) -> bool:
    """Whether every tool that the diagnosis rules look at took part."""
    return {result.tool_name for result in results} >= NEEDED_TOOLS


def summary(results: Sequence[ToolResult], now: float) -> str:
    """Markdown: of a whole run the diagnosis; else, a call, one line that it failed or its MOST_LINES telling fields.

    now: true time of the run in seconds since the epoch; a host's own clock may be wrong, which is a finding.
    """
    if is_whole_run(results):
        return diagnosis_text(diagnose(report({result.tool_name: result for result in results}, now)))
    return "\n".join(_fields(result) for result in results)


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Markdown: the cause, what shows it, and the remedy with its commands."""
    parts = [f"**{diagnosis.cause}**"]
    if diagnosis.evidence:
        parts.append("What shows it:\n" + "\n".join(f"- {line}" for line in diagnosis.evidence))
    if diagnosis.kind not in ("healthy", "unknown"):
        parts.append("On a machine of your own:\n" + "\n".join(map(_step, diagnosis.remedy)))
    if diagnosis.others:
        parts.append("Also found:\n" + "\n".join(f"- {cause}" for cause in diagnosis.others))
    return "\n\n".join(parts)


def _step(step: str) -> str:
    return f"- `{step.removeprefix('$ ')}`" if step.startswith("$ ") else f"- {step}"


def _fields(result: ToolResult) -> str:
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
