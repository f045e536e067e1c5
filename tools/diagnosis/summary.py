"""Sum tool results up in a few lines of Markdown; no language model takes part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tools.diagnosis.diagnose import Diagnosis, diagnose
from tools.diagnosis.facts import NEEDED
from tools.diagnosis.names import LONGEST, quoted, with_quoted_names
from tools.registry import report
from tools.types import ToolResult

NEEDED_TOOLS = frozenset(tool for tool, *_field in NEEDED)
MOST_LINES = 8  # of one result
LONGEST_ERROR = 240  # characters
PLAIN = (str, int, float, bool)
# Fields that a person looks for first in a result of NEEDED_TOOLS; a summary shows every plain field of other tools.
TELLING = ("status", "substate", "usage_percent", "total_gb", "free_gb", "reachable", "working", "error",
           "cpu_percent", "memory_mb", "hostname", "platform", "python_version", "uptime_seconds", "load_average",
           "kvm_module_loaded", "vmx_support", "svm_support", "libvirt_available", "vm_count",
           "total_processes", "model", "x86_64_level", "is_virtual")  # fmt: skip

FactsIn = Callable[[dict[str, Any]], list[str]]  # a mapping -> "name value" of the fields to show


def is_whole_run(results: Sequence[ToolResult]) -> bool:
    """Return true when every tool that the diagnosis rules look at took part."""
    return {result.tool_name for result in results} >= NEEDED_TOOLS


def summary(results: Sequence[ToolResult], now: float) -> str:
    """Return Markdown: the diagnosis of a whole run, else the MOST_LINES first lines of each call's fields.

    One line says why a call failed. The results of tools that no rule looks at follow the diagnosis.

    now: true time of the run in seconds since the epoch; a host's own clock may be wrong, which is a finding.
    """
    if not is_whole_run(results):
        return "\n".join(_fields(result) for result in results)
    diagnosis = diagnosis_text(diagnose(report({result.tool_name: result for result in results}, now)))
    others = [_fields(result) for result in results if result.tool_name not in NEEDED_TOOLS]
    return "\n\n".join([diagnosis, *(["Also reported:\n" + "\n".join(others)] if others else [])])


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Return Markdown: the cause, what shows it, and the remedy with its commands."""
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
        return f"`{result.tool_name}` did not run: {quoted(result.error or '', LONGEST_ERROR)}"
    facts_in = _telling_facts if result.tool_name in NEEDED_TOOLS else _plain_facts
    groups = _groups(with_quoted_names(result.data), result.tool_name, facts_in)
    lines = [f"- {place}: {'; '.join(facts)}" for place, facts in groups]
    if not lines and facts_in is _plain_facts:
        return f"- {result.tool_name}: nothing to show"
    return "\n".join(lines[:MOST_LINES])


def _groups(data: dict[str, Any], place: str, facts_in: FactsIn) -> Iterator[tuple[str, list[str]]]:
    """Yield each mapping that holds facts, outermost first, under the name it stands at."""
    if facts := facts_in(data):
        yield place, facts
    for key, value in data.items():
        for name, item in _mappings(key, value):
            yield from _groups(item, name, facts_in)


def _mappings(key: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield key, value
    elif isinstance(value, list):
        yield from ((str(item.get("name", key)), item) for item in value if isinstance(item, dict))


def _telling_facts(data: dict[str, Any]) -> list[str]:
    """Return the fields of TELLING and the errors, each with its value; of what we add, the note that says so."""
    note = [data["note"]] if "note" in data else []
    return note + [
        f"{key} {_short(value)}"
        for key, value in data.items()
        if (key in TELLING or key.endswith("_error"))
        and (isinstance(value, PLAIN) or (isinstance(value, list) and key == "load_average"))
    ]


def _plain_facts(data: dict[str, Any]) -> list[str]:
    """Return every field whose value is plain or a list of plain values, each with its value."""
    lists = {key: value if isinstance(value, list) else [value] for key, value in data.items()}
    return [
        f"{key} {_short(', '.join(map(str, values)))}"
        for key, values in lists.items()
        if values and all(isinstance(value, PLAIN) for value in values)
    ]


def _short(value: Any) -> str:
    text = str(round(value, 2) if isinstance(value, float) else value)
    return quoted(text) if isinstance(value, str) or len(text) > LONGEST else text
