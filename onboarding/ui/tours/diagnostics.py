"""The diagnostics tour: from a complaint to its proof on a simulated host, then the same by the assistant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from onboarding.tours.content import TourStep
from onboarding.tours.fault_round import causes
from onboarding.ui.kit.hooks import QUIET
from onboarding.ui.kit.languages import say
from onboarding.ui.tabs.host_look import HostLook
from onboarding.ui.tours.tour import TourTab
from tools.simulation.hosts import Host

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide


class DiagnosticsTour(TourTab):
    """Six steps over one host that the visitor picks in the first."""

    name = "diagnostics-tour"

    def __init__(self, guide: Guide, hosts: Mapping[str, Host]) -> None:
        super().__init__(guide, hosts)
        self._look = HostLook(guide, {name: host for name, host in hosts.items() if host.decoys})

    def bodies(self) -> list[Callable[[TourStep], None]]:
        """Complaint, look, tools, guess, proof, ask."""
        return [self._complaint, self._vitals, self._tools, self._guess, self._proof, self._ask]

    def _complaint(self, _step: TourStep) -> None:
        first = self.tour.host
        self._chosen = self._host = gr.Dropdown(
            self._look.choices, value=first, label=say("simulated_host"), elem_id="dtour-host"
        )
        shown = gr.Markdown(self._look.complaint(first), elem_id="dtour-complaint")
        self._chosen.change(self._look.complaint, self._chosen, shown, **QUIET)

    def _vitals(self, _step: TourStep) -> None:
        look = gr.Button("Look at the host", size="sm", elem_id="dtour-look")
        self._shown_on(look, self._look.vitals, gr.HTML("", elem_id="dtour-vitals", apply_default_css=False))

    def _tools(self, _step: TourStep) -> None:
        tool = gr.Radio(list(self._look.tools), label=say("tool"), elem_id="dtour-tool")
        shown = gr.HTML("", elem_id="dtour-result", apply_default_css=False)
        tool.input(lambda name, host: self._look.run_tool(name, host, {}), [tool, self._chosen], shown, **QUIET)
        self._chosen.change(lambda: (None, ""), None, [tool, shown], **QUIET)

    def _guess(self, _step: TourStep) -> None:
        first = causes(self._look.host(self.tour.host))
        guess = gr.Radio(first, label=say("cause"), elem_id="dtour-guess")
        told = gr.Markdown("", elem_id="dtour-told")
        guess.input(self._look.judge, [self._chosen, guess], told, **QUIET)
        self._chosen.change(self._new_causes, self._chosen, [guess, told], **QUIET)

    def _new_causes(self, host: str) -> tuple[Any, str]:
        return gr.update(choices=causes(self._look.host(host)), value=None), ""

    def _proof(self, _step: TourStep) -> None:
        show = gr.Button("Show evidence and remedy", size="sm", elem_id="dtour-reveal")
        self._shown_on(show, self._look.solution, gr.HTML("", elem_id="dtour-solution", apply_default_css=False))

    def _ask(self, _step: TourStep) -> None:
        run = gr.Button("Run all six tools", size="sm", elem_id="dtour-all")
        verdict = gr.Markdown("", elem_id="dtour-verdict")
        self._shown_on(run, lambda host: self._look.run_every(host)[1], verdict)

    def _shown_on(self, button: gr.Button, show: Callable[[str], str], where: gr.components.Component) -> None:
        """Show it on a click, and forget it when another host is chosen."""
        button.click(show, self._chosen, where, **QUIET)
        self._chosen.change(lambda: "", None, where, **QUIET)
