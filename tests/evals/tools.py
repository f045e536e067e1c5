"""Tool choice measured on judged messages.

    python -m tests.evals tools --cases FILE.jsonl [--json] [--misses]

A row has `text`, `expected_tool` (null when no tool is right) and `expected_args`, and perhaps `lang` and `history`.
Arguments count as right when they mean the same call: the order of services and targets, letter case of targets and a
spelled-out `.service` (which systemd adds itself) make no difference. Where rows also have `intent` (check, knowledge,
action or none), how often that is right is told as well.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onboarding.routing.routing import Routing, load_routing
from onboarding.routing.tool_choice import ToolChoice
from rag.embedding.embedder import Embedder
from rag.reading.rows import read_rows
from tests.evals.figures import Row, confusion, mean, parser, show
from tools.registry import Registry

OWN = Path(__file__).with_name("tools_own.jsonl")
NO_TOOL = "none"


@dataclass(frozen=True, slots=True)
class Chosen:
    """One judged message with the choice made for it; `ms` holds routing and choosing."""

    row: Row
    choice: ToolChoice
    ms: float

    @property
    def tool_is_right(self) -> bool:
        """Whether the tool, or no tool, is the expected one."""
        return bool(self.choice.tool == self.row["expected_tool"])

    @property
    def call_is_right(self) -> bool:
        """Whether the arguments are right as well."""
        return self.tool_is_right and same_arguments(self.choice.args, self.row.get("expected_args", {}))


def main(argv: Sequence[str]) -> int:
    """Choose for every case and print the figures."""
    options = parser("tools", __doc__, cases=OWN, misses="the messages that went wrong").parse_args(argv)
    rows = read_rows(options.cases)
    routing = load_routing(Embedder())
    _choose(routing, {"text": "warm up"})
    chosen = [_choose(routing, row) for row in rows]
    show(measure(chosen), options)
    if options.misses:
        print(*(_miss(one) for one in chosen if not one.call_is_right), sep="\n")
    return 0


def measure(chosen: Sequence[Chosen]) -> dict[str, Any]:
    """Return the two accuracies, the median time, how much is sure, and which tool was taken for which."""
    sure = [one for one in chosen if one.choice.is_sure]
    meant = [one.choice.intent == one.row["intent"] for one in chosen if "intent" in one.row]
    return {
        "n": len(chosen),
        "tool_accuracy": mean([one.tool_is_right for one in chosen]),
        "call_accuracy": mean([one.call_is_right for one in chosen]),
        "ms_p50": round(statistics.median(one.ms for one in chosen), 1),
        **({"intent_accuracy": mean(meant)} if meant else {}),
        "sure": mean([one.choice.is_sure for one in chosen]),
        "tool_accuracy_when_sure": mean([one.tool_is_right for one in sure]),
        "confusion": confusion(
            [(one.row["expected_tool"] or NO_TOOL, one.choice.tool or NO_TOOL) for one in chosen],
            (*Registry.default().list_tools(), NO_TOOL),
        ),
    }


def same_arguments(given: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Tell whether two sets of arguments make the same call."""
    return {key: _canonical(value) for key, value in given.items()} == {
        key: _canonical(value) for key, value in expected.items()
    }


def _canonical(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(str(item).removesuffix(".service").casefold() for item in value)
    return value.casefold() if isinstance(value, str) else value


def _choose(routing: Routing, row: Row) -> Chosen:
    start = time.perf_counter()
    reading = routing.reader.read(row["text"], row.get("history", ()))
    choice = routing.chooser.choose(reading, routing.router.route(reading))
    return Chosen(row, choice, (time.perf_counter() - start) * 1000)


def _miss(one: Chosen) -> str:
    row, choice = one.row, one.choice
    given = f"{choice.intent} {choice.tool} {choice.args} {choice.confidence:.2f}"
    return f"{row['expected_tool']} {row.get('expected_args', {})} -> {given}  {row['text']}"
