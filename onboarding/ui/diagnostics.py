"""The Diagnostics tab: a simulated host's vital signs, its tools, and a round of finding the fault. Needs no model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

import gradio as gr

from model.events import ToolCall
from onboarding.fault_round import causes, judge, proofs
from onboarding.ui.evidence import step
from onboarding.ui.hooks import Hooks
from onboarding.ui.markup import fill, join
from onboarding.ui.turns import Step
from onboarding.ui.vitals import vitals_html
from tools.diagnosis import diagnose
from tools.hosts import Host, get_host
from tools.registry import Registry, Report, Tool
from tools.summary import diagnosis_text
from tools.types import ToolResult

if TYPE_CHECKING:
    from onboarding.guide import Guide

QUIET: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
MOST = 100  # of a number in a tool's arguments
LONGEST = 400  # characters of a text in a tool's arguments
ASK = "Run all diagnostics on this host. What is wrong with it?"


class DiagnosticsTab:
    """Builds the tab. What a visitor has seen of the hints is kept in the page, everything else is drawn anew."""

    def __init__(self, guide: Guide, hosts: Mapping[str, Host]) -> None:
        self._guide = guide
        self._hosts = hosts
        self._tools = {name: tool for name in Registry.default().list_tools() if (tool := _tool(name))}

    def build(self, hooks: Hooks) -> None:
        """Lay out the tab and wire it."""
        first = next(iter(self._hosts))
        with gr.Column(elem_id="diagnostics"):
            with gr.Row(elem_classes="bar"):
                choices = [(host.title, host.id) for host in self._hosts.values()]
                self._host = gr.Dropdown(
                    choices, value=first, label="Simulated host", elem_id="diag-host", scale=3, min_width=260
                )
                look = gr.Button("Look again", size="sm", elem_id="diag-look", min_width=120)
                ask = gr.Button("Ask about this host", size="sm", elem_id="diag-ask", min_width=160)
            complaint = gr.Markdown(self._complaint(first), elem_id="diag-complaint")
            vitals = gr.HTML("", elem_id="diag-vitals", apply_default_css=False)
            self._build_tools()
            self._build_round(first)
        hooks.hand_over_host(ask, lambda _host: ASK, self._host)
        self._host.change(self._complaint, self._host, complaint, **QUIET)
        for event in (hooks.tab.select, self._host.change, look.click):
            event(self._vitals, self._host, vitals, **QUIET)

    # --- vital signs --------------------------------------------------------------------------------------

    def _complaint(self, host: str) -> str:
        return get_host(self._hosts, host).summary

    def _run(self, host: str) -> Report:
        return self._guide.parts.sandbox.run_all(get_host(self._hosts, host).id)

    def _vitals(self, host: str) -> str:
        return vitals_html(self._run(host))

    # --- tools --------------------------------------------------------------------------------------------

    def _build_tools(self) -> None:
        gr.Markdown("### Run the tools")
        with gr.Row(elem_classes="bar"):
            names = list(self._tools)
            tool = gr.Dropdown(names, value=names[0], label="Tool", elem_id="diag-tool", scale=2, min_width=220)
            fields = self._argument_fields(names[0])
            run = gr.Button("Run this tool", variant="primary", size="sm", elem_id="diag-run", min_width=130)
            every = gr.Button("Run all six and diagnose", size="sm", elem_id="diag-all", min_width=180)
        described = gr.Markdown(self._tools[names[0]].description, elem_id="diag-described")
        result = gr.HTML("", elem_id="diag-result", apply_default_css=False)
        verdict = gr.Markdown("", elem_id="diag-verdict")
        inputs = [tool, self._host, *fields.values()]
        tool.change(self._choose, tool, [described, *fields.values()], **QUIET)
        run.click(lambda *values: (self._run_one(list(fields), *values), ""), inputs, [result, verdict], **QUIET)
        every.click(self._run_every, self._host, [result, verdict], **QUIET)
        self._host.change(lambda: ("", ""), None, [result, verdict], **QUIET)

    def _argument_fields(self, shown: str) -> dict[tuple[str, str], gr.components.Component]:
        """A field for each argument of each tool; only those of the tool `shown` are visible."""
        fields: dict[tuple[str, str], gr.components.Component] = {}
        for name, tool in self._tools.items():
            for argument, kind in _arguments(tool).items():
                common: dict[str, Any] = {
                    "label": argument.replace("_", " ") + (", separated by spaces" if kind is list else ""),
                    "visible": name == shown,
                    "elem_id": f"diag-{name}-{argument}",
                    "min_width": 120,
                }
                if kind is int:
                    value = inspect.signature(tool.function).parameters[argument].default
                    fields[name, argument] = gr.Number(value, minimum=1, maximum=MOST, precision=0, **common)
                else:
                    fields[name, argument] = gr.Textbox(max_length=LONGEST, **common)
        return fields

    def _choose(self, tool: str) -> tuple[Any, ...]:
        visible = [gr.update(visible=name == tool) for name, entry in self._tools.items() for _ in _arguments(entry)]
        return (self._tools[tool].description, *visible)

    def _run_one(self, fields: list[tuple[str, str]], tool: str, host: str, *values: Any) -> str:
        kinds = _arguments(self._tools[tool])
        given = {argument: value for (name, argument), value in zip(fields, values, strict=True) if name == tool}
        arguments = {name: _value(kinds[name], value) for name, value in given.items() if value not in (None, "")}
        call = ToolCall(tool, arguments, get_host(self._hosts, host).id)
        return _steps([Step(call, self._guide.run_tool(call))], opened=True)

    def _run_every(self, host: str) -> tuple[str, str]:
        run = self._run(host)
        steps = [Step(ToolCall(name, {}, host), ToolResult(**result)) for name, result in run["tool_results"].items()]
        return _steps(steps), "#### What the rules conclude\n\n" + diagnosis_text(diagnose(run))

    # --- find the fault -----------------------------------------------------------------------------------

    def _build_round(self, first: str) -> None:
        gr.Markdown("### Find the fault\n\nLook, take a hint if you need one, and say what you think it is.")
        taken = gr.State(0)
        hints = gr.Markdown("", elem_id="diag-hints")
        with gr.Row(elem_classes="bar"):
            hint = gr.Button("Give me a hint", size="sm", elem_id="diag-hint", min_width=140)
        guess = gr.Radio(causes(self._hosts[first]), label="What is the cause?", elem_id="diag-guess")
        told = gr.Markdown("", elem_id="diag-told")
        with gr.Row(elem_classes="bar"):
            reveal = gr.Button("Show cause, evidence and remedy", size="sm", elem_id="diag-reveal", min_width=240)
        solution = gr.HTML("", elem_id="diag-solution", apply_default_css=False)
        hint.click(self._hint, [self._host, taken], [taken, hints, hint], **QUIET)
        guess.input(self._judge, [self._host, guess], told, **QUIET)
        reveal.click(self._solution, self._host, solution, **QUIET)
        self._host.change(self._new_round, self._host, [taken, hints, hint, guess, told, solution], **QUIET)

    def _new_round(self, host: str) -> tuple[Any, ...]:
        choices = gr.update(choices=causes(get_host(self._hosts, host)), value=None)
        return 0, "", gr.update(interactive=True), choices, "", ""

    def _hint(self, host: str, taken: int) -> tuple[int, str, Any]:
        hints = get_host(self._hosts, host).hints
        taken = min(taken + 1, len(hints))
        shown = "\n".join(f"{number}. {text}" for number, text in enumerate(hints[:taken], start=1))
        return taken, shown, gr.update(interactive=taken < len(hints))

    def _judge(self, host: str, guess: str) -> str:
        verdict = judge(get_host(self._hosts, host), guess)
        return f"**{'That is it.' if verdict.right else 'No.'}** {verdict.why}"

    def _solution(self, host: str) -> str:
        chosen = get_host(self._hosts, host)
        rows = join(
            fill("<tr><td><code>{}</code></td><td><code>{}</code></td><td>{}</td></tr>", p.where, p.observed, p.says)
            for p in proofs(chosen, self._run(host))
        )
        remedy = join(
            fill("<li>{}{}</li>", item.do, join(fill("<pre>{}</pre>", command) for command in item.commands))
            for item in chosen.remedy
        )
        return fill(
            '<p><span class="badge">Simulated</span> <strong>{}</strong></p>'
            '<table class="facts"><thead><tr><th>Field</th><th>Value</th><th>What it shows</th></tr></thead>'
            "<tbody>{}</tbody></table><h4>Remedy, on a machine of your own</h4><ol>{}</ol>",
            chosen.cause,
            rows,
            remedy,
        )


def _tool(name: str) -> Tool | None:
    return Registry.default().get_tool(name)


def _arguments(tool: Tool) -> dict[str, type]:
    """Argument -> `list`, `int` or `str`, from the tool's own annotations."""
    hints = get_type_hints(tool.function)
    names = [name for name in inspect.signature(tool.function).parameters if name in tool.parameters]
    return {name: list if "list" in str(hints[name]) else int if hints[name] is int else str for name in names}


def _value(kind: type, value: Any) -> object:
    if kind is list:
        return str(value).replace(",", " ").split()
    return max(1, min(MOST, int(value))) if kind is int else str(value).strip()


def _steps(steps: list[Step], *, opened: bool = False) -> str:
    html = join(step(item) for item in steps)
    return str(html).replace("<details", "<details open", 1) if opened else str(html)
