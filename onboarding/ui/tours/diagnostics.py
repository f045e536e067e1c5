"""Draw the exercises of the diagnostics tour: from a complaint to its proof on a simulated host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from onboarding.tours.content import TOURS
from onboarding.tours.fault_round import causes
from onboarding.ui.kit.languages import say
from onboarding.ui.kit.tab_context import QUIET
from onboarding.ui.tabs.host_look import HostLook
from onboarding.ui.tours.tour import TourTab
from tools.simulation.hosts import Host

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide


class DiagnosticsTour(TourTab):
    """The tab of the diagnostics tour; all exercises look at the host that the visitor picks in "complaint"."""

    name = "diagnostics-tour"

    def __init__(self, guide: Guide, hosts: Mapping[str, Host], folder: Path = TOURS) -> None:
        super().__init__(guide, hosts, folder)
        self._look = HostLook(guide, {name: host for name, host in hosts.items() if host.decoys})

    def exercises(self) -> dict[str, Callable[[], None]]:
        """Return the exercises by name."""
        return {
            "complaint": self._build_complaint,
            "vital signs": self._build_vitals,
            "one tool": self._build_tool,
            "guess": self._build_guess,
            "proof": self._build_proof,
            "all tools": self._build_all_tools,
        }

    def fields(self) -> list[gr.components.Component]:
        """Make the list of simulated hosts, which the exercise "complaint" shows."""
        self._chosen = self._host = gr.Dropdown(
            self._look.choices,
            value=self.tour.host,
            label=say("simulated_host"),
            elem_id="dtour-host",
            render=False,
        )
        return [self._chosen]

    def _build_complaint(self) -> None:
        self._chosen.render()
        shown = gr.Markdown(self._look.complaint(self.tour.host), elem_id="dtour-complaint")
        self._chosen.change(self._look.complaint, self._chosen, shown, **QUIET)

    def _build_vitals(self) -> None:
        look = gr.Button("Look at the host", size="sm", elem_id="dtour-look")
        self._shown_on(look, self._look.vitals, gr.HTML("", elem_id="dtour-vitals", apply_default_css=False))

    def _build_tool(self) -> None:
        tool = gr.Radio(list(self._look.tools), label=say("tool"), elem_id="dtour-tool")
        shown = gr.HTML("", elem_id="dtour-result", apply_default_css=False)
        tool.input(lambda name, host: self._look.run_tool(name, host, {}), [tool, self._chosen], shown, **QUIET)
        self._chosen.change(lambda: (None, ""), None, [tool, shown], **QUIET)

    def _build_guess(self) -> None:
        first = causes(self._look.host(self.tour.host))
        guess = gr.Radio(first, label=say("cause"), elem_id="dtour-guess")
        told = gr.Markdown("", elem_id="dtour-told")
        guess.input(self._look.judge, [self._chosen, guess], told, **QUIET)
        self._chosen.change(self._new_causes, self._chosen, [guess, told], **QUIET)

    def _new_causes(self, host: str) -> tuple[Any, str]:
        return gr.update(choices=causes(self._look.host(host)), value=None), ""

    def _build_proof(self) -> None:
        show = gr.Button("Show evidence and remedy", size="sm", elem_id="dtour-reveal")
        self._shown_on(show, self._look.solution, gr.HTML("", elem_id="dtour-solution", apply_default_css=False))

    def _build_all_tools(self) -> None:
        run = gr.Button("Run all tools", size="sm", elem_id="dtour-all")
        verdict = gr.HTML("", elem_id="dtour-verdict", apply_default_css=False)
        self._shown_on(run, lambda host: self._look.run_every(host)[1], verdict)

    def _shown_on(self, button: gr.Button, show: Callable[[str], str], where: gr.components.Component) -> None:
        """Call `show` with the chosen host on a click; empty `where` when the visitor chooses another host."""
        button.click(show, self._chosen, where, **QUIET)
        self._chosen.change(lambda: "", None, where, **QUIET)
