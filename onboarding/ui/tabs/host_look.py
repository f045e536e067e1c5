"""Renders a simulated host: its complaint, vital signs, tool results, and the end of a round. No widgets."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from onboarding.assistant.turns import ToolStep
from onboarding.tours.fault_round import judge, proofs
from onboarding.ui.chat.evidence import step
from onboarding.ui.kit.markdown import DRAWN, to_html
from onboarding.ui.kit.markup import fill, join
from onboarding.ui.tabs.vitals import Past, vitals_html
from tools.diagnosis.diagnose import diagnose
from tools.diagnosis.summary import diagnosis_text
from tools.registry import Registry, Tool
from tools.simulation.hosts import Host, get_host
from tools.types import Report, ToolCall, ToolResult

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide

MOST = 100  # of a number in a tool's arguments
PAST_S, STEP_S = 600, 25  # how far the small charts reach back, and the time between two of their points


class HostLook:
    """The hosts as a tab or a tour shows them; each method takes a host's id and returns HTML or Markdown."""

    def __init__(self, guide: Guide, hosts: Mapping[str, Host]) -> None:
        registry = Registry.default()
        self._guide = guide
        self._hosts = hosts
        self.tools = {name: tool for name in registry.list_tools() if (tool := registry.get_tool(name))}

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Return title and id of each host, for a list."""
        return [(host.title, host.id) for host in self._hosts.values()]

    def host(self, host: str) -> Host:
        """Return the host of that id; HostError for an unknown one."""
        return get_host(self._hosts, host)

    def complaint(self, host: str) -> str:
        """Return the complaint that a visitor reads before looking."""
        return self.host(host).summary

    def vitals(self, host: str) -> str:
        """Return the vital signs at this moment and of the minutes before, as HTML."""
        return vitals_html(self._run(host), self._past(host))

    def run_tool(self, tool: str, host: str, given: Mapping[str, Any]) -> str:
        """Return one call with its result as HTML; empty values are left out, so that the tool's defaults hold."""
        kinds = arguments(self.tools[tool])
        known = {name: _value(kinds[name], value) for name, value in given.items() if value not in (None, "")}
        call = ToolCall(tool, known, self.host(host).id)
        html = str(step(ToolStep(call, self._guide.run_tool(call))))
        return html.replace("<details", "<details open", 1)

    def run_every(self, host: str) -> tuple[str, str]:
        """Return as HTML the six calls, and what the rules conclude from them."""
        run = self._run(host)
        calls = [
            ToolStep(ToolCall(name, {}, host), ToolResult(**result)) for name, result in run["tool_results"].items()
        ]
        return str(join(map(step, calls))), str(
            fill(DRAWN, to_html(f"#### What the rules conclude\n\n{diagnosis_text(diagnose(run))}"))
        )

    def judge(self, host: str, guess: str) -> str:
        """Return the verdict on a guess and its reason, as Markdown."""
        verdict = judge(self.host(host), guess)
        return f"**{'That is it.' if verdict.right else 'No.'}** {verdict.why}"

    def solution(self, host: str) -> str:
        """Return cause, evidence with what the tools report now, and remedy, as HTML."""
        chosen = self.host(host)
        row = "<tr><td><code>{}</code></td><td><code>{}</code></td><td>{}</td></tr>"
        rows = join(fill(row, p.where, p.observed, p.says) for p in proofs(chosen, self._run(host)))
        remedy = join(
            fill("<li>{}{}</li>", item.do, join(fill("<pre>{}</pre>", command) for command in item.commands))
            for item in chosen.remedy
        )
        html = (
            '<div class="solution"><p><span class="badge">Simulated</span> <strong>{}</strong></p>'
            '<table class="facts"><thead><tr><th>Field</th><th>Value</th><th>What it shows</th></tr></thead>'
            "<tbody>{}</tbody></table><h4>Remedy, on a machine of your own</h4><ol>{}</ol></div>"
        )
        return fill(html, chosen.cause, rows, remedy)

    def _past(self, host: str) -> Past:
        sandbox, known = self._guide.parts.sandbox, self.host(host).id
        return Past.of(sandbox.look_back("resource_usage", known, range(PAST_S, -1, -STEP_S)), STEP_S)

    def _run(self, host: str) -> Report:
        return self._guide.parts.sandbox.run_all(self.host(host).id)


def arguments(tool: Tool) -> dict[str, type]:
    """Return argument -> `list`, `int`, `float`, `bool` or `str`, from the tool's own annotations."""
    hints = get_type_hints(tool.function)
    names = [name for name in inspect.signature(tool.function).parameters if name in tool.parameters]
    return {name: list if "list" in str(hints[name]) else _plain_kind(hints[name]) for name in names}


def _plain_kind(hint: object) -> type:
    return next((kind for kind in (int, float, bool) if hint is kind), str)


def _value(kind: type, value: Any) -> object:
    if kind is list:
        return str(value).replace(",", " ").split()
    if kind in (float, bool):
        return kind(value)
    return max(1, min(MOST, int(value))) if kind is int else str(value).strip()
