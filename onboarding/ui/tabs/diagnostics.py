"""The Diagnostics tab: a simulated host's vital signs, its tools, and a round of finding the fault. Needs no model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from onboarding.tours.fault_round import causes
from onboarding.ui.kit.languages import say
from onboarding.ui.kit.tab_context import QUIET, TabContext
from onboarding.ui.tabs.host_look import MOST, HostLook, arguments
from tools.simulation.hosts import Host

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide

LONGEST = 400  # characters of a text in a tool's arguments
ASK = "Run all diagnostics on this host. What is wrong with it?"


class DiagnosticsTab:
    """Builds the tab. The page keeps the number of hints taken; every handler draws the rest anew."""

    def __init__(self, guide: Guide, hosts: Mapping[str, Host]) -> None:
        self._look = HostLook(guide, hosts)

    def build(self, hooks: TabContext) -> None:
        """Lay out the tab and wire it."""
        look, first = self._look, self._look.choices[0][1]
        with gr.Column(elem_id="diagnostics", elem_classes="wide"):
            with gr.Row(elem_classes="bar"):
                self._host = gr.Dropdown(
                    look.choices, value=first, label=say("simulated_host"), elem_id="diag-host", scale=3, min_width=260
                )
                again = gr.Button(say("look_again"), size="sm", elem_id="diag-look", min_width=120)
                ask = gr.Button(say("ask_host"), size="sm", elem_id="diag-ask", min_width=160)
            complaint = gr.Markdown(look.complaint(first), elem_id="diag-complaint")
            vitals = gr.HTML("", elem_id="diag-vitals", apply_default_css=False)
            self._build_tools()
            self._build_round(first)
        hooks.hand_over_host(ask, lambda _host: ASK, self._host)
        self._host.change(look.complaint, self._host, complaint, **QUIET)
        for event in (hooks.tab.select, self._host.change, again.click):
            event(look.vitals, self._host, vitals, **QUIET)

    def _build_tools(self) -> None:
        gr.Markdown(say("run_the_tools"))
        names = list(self._look.tools)
        with gr.Row(elem_classes="bar"):
            tool = gr.Dropdown(names, value=names[0], label=say("tool"), elem_id="diag-tool", scale=2, min_width=220)
            fields = self._argument_fields(names[0])
            run = gr.Button(say("run_tool"), variant="primary", size="sm", elem_id="diag-run", min_width=130)
            every = gr.Button(say("run_all"), size="sm", elem_id="diag-all", min_width=180)
        described = gr.Markdown(self._look.tools[names[0]].description, elem_id="diag-described")
        result = gr.HTML("", elem_id="diag-result", apply_default_css=False)
        verdict = gr.HTML("", elem_id="diag-verdict", apply_default_css=False)
        inputs = [tool, self._host, *fields.values()]
        tool.change(self._choose, tool, [described, *fields.values()], **QUIET)
        run.click(lambda *values: (self._run(list(fields), *values), ""), inputs, [result, verdict], **QUIET)
        every.click(self._look.run_every, self._host, [result, verdict], **QUIET)
        self._host.change(lambda: ("", ""), None, [result, verdict], **QUIET)

    def _argument_fields(self, shown: str) -> dict[tuple[str, str], gr.components.Component]:
        """Return a field for each argument of each tool; only those of the tool `shown` are visible."""
        fields: dict[tuple[str, str], gr.components.Component] = {}
        for name, tool in self._look.tools.items():
            for argument, kind in arguments(tool).items():
                common: dict[str, Any] = {
                    "label": argument.replace("_", " ") + (", separated by spaces" if kind is list else ""),
                    "visible": name == shown,
                    "elem_id": f"diag-{name}-{argument}",
                    "min_width": 120,
                }
                value = inspect.signature(tool.function).parameters[argument].default
                if kind is int:
                    fields[name, argument] = gr.Number(value, minimum=1, maximum=MOST, precision=0, **common)
                elif kind is float:
                    fields[name, argument] = gr.Number(value, **common)
                elif kind is bool:
                    fields[name, argument] = gr.Checkbox(bool(value), **common)
                else:
                    fields[name, argument] = gr.Textbox(max_length=LONGEST, **common)
        return fields

    def _choose(self, tool: str) -> tuple[Any, ...]:
        tools = self._look.tools
        visible = [gr.update(visible=name == tool) for name, entry in tools.items() for _ in arguments(entry)]
        return (tools[tool].description, *visible)

    def _run(self, fields: list[tuple[str, str]], tool: str, host: str, *values: Any) -> str:
        given = {argument: value for (name, argument), value in zip(fields, values, strict=True) if name == tool}
        return self._look.run_tool(tool, host, given)

    def _build_round(self, first: str) -> None:
        gr.Markdown(say("find_the_fault"))
        taken = gr.State(0)
        hints = gr.Markdown("", elem_id="diag-hints")
        with gr.Row(elem_classes="bar"):
            hint = gr.Button(say("hint"), size="sm", elem_id="diag-hint", min_width=140)
        guess = gr.Radio(causes(self._look.host(first)), label=say("cause"), elem_id="diag-guess")
        judged = gr.Markdown("", elem_id="diag-told")
        with gr.Row(elem_classes="bar"):
            reveal = gr.Button(say("reveal"), size="sm", elem_id="diag-reveal", min_width=240)
        solution = gr.HTML("", elem_id="diag-solution", apply_default_css=False)
        hint.click(self._hint, [self._host, taken], [taken, hints, hint], **QUIET)
        guess.input(self._look.judge, [self._host, guess], judged, **QUIET)
        reveal.click(self._look.solution, self._host, solution, **QUIET)
        self._host.change(self._new_round, self._host, [taken, hints, hint, guess, judged, solution], **QUIET)

    def _new_round(self, host: str) -> tuple[Any, ...]:
        choices = gr.update(choices=causes(self._look.host(host)), value=None)
        return 0, "", gr.update(interactive=True), choices, "", ""

    def _hint(self, host: str, taken: int) -> tuple[int, str, Any]:
        hints = self._look.host(host).hints
        taken = min(taken + 1, len(hints))
        shown = "\n".join(f"{number}. {text}" for number, text in enumerate(hints[:taken], start=1))
        return taken, shown, gr.update(interactive=taken < len(hints))
