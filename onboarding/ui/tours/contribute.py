"""Draw the exercises of the contribution tour, from a place to begin to the commands that send the change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from onboarding.tours.content import TOURS
from onboarding.tours.contribution import TIMES, Kind, commands, description, load_kinds, starting_point
from onboarding.ui.kit.tab_context import QUIET
from onboarding.ui.tours.tour import TourTab
from tools.simulation.hosts import Host

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide

LONGEST = 600  # characters of a field


class ContributeTour(TourTab):
    """The tab of the contribution tour; the server stores nothing that a visitor types."""

    name = "contribute"

    def __init__(self, guide: Guide, hosts: Mapping[str, Host], folder: Path = TOURS) -> None:
        super().__init__(guide, hosts, folder)
        self._kinds = load_kinds(self.tour.data)

    def exercises(self) -> dict[str, Callable[[], None]]:
        """Return the exercises by name."""
        return {
            "starting point": self._build_starting_point,
            "checklist": self._build_checklist,
            "checks": self._build_checks,
            "description": self._build_description,
            "commands": self._build_commands,
        }

    def fields(self) -> list[gr.components.Component]:
        """Make the kind of contribution, the ticked items of the checklist, and the title of the change."""
        kinds = [(kind.label, kind.id) for kind in self._kinds.values()]
        self._kind = gr.Radio(
            kinds, value=self._first.id, label="I would like to", elem_id="contribute-kind", render=False
        )
        items = list(self._first.checklist)
        self._done = gr.CheckboxGroup(items, label="Done", elem_id="contribute-done", render=False)
        self._title = gr.Textbox(label="What changes", max_length=LONGEST, elem_id="contribute-title", render=False)
        return [self._kind, self._done, self._title]

    @property
    def _first(self) -> Kind:
        return next(iter(self._kinds.values()))

    def _build_starting_point(self) -> None:
        self._kind.render()
        times = [(label, time) for time, label in TIMES.items()]
        time = gr.Radio(times, value="short", label="I have", elem_id="contribute-time")
        shown = gr.Markdown(starting_point(self._first, "short"), elem_id="contribute-start")
        for field in (self._kind, time):
            field.change(lambda kind, time: starting_point(self._kinds[kind], time), [self._kind, time], shown, **QUIET)

    def _build_checklist(self) -> None:
        self._done.render()
        self._kind.change(self._new_list, self._kind, self._done, **QUIET)

    def _new_list(self, kind: str) -> Any:
        return gr.update(choices=list(self._kinds[kind].checklist), value=[])

    def _build_checks(self) -> None:
        shown = gr.Code(self._first.check, language="shell", label="Run this", elem_id="contribute-check")
        self._kind.change(lambda kind: self._kinds[kind].check, self._kind, shown, **QUIET)

    def _build_description(self) -> None:
        self._title.render()
        why = gr.Textbox(label="Why", lines=2, max_length=LONGEST, elem_id="contribute-why")
        tried = gr.Textbox(label="How you tried it", lines=2, max_length=LONGEST, elem_id="contribute-tried")
        first = description(self._first, "", "", "", [])
        shown = gr.Code(first, language="markdown", label="Pull request", elem_id="contribute-text", lines=12)
        fields = [self._kind, self._title, why, tried, self._done]
        for field in fields:
            field.change(self._described, fields, shown, **QUIET)

    def _described(self, kind: str, title: str, why: str, tried: str, done: list[str]) -> str:
        return description(self._kinds[kind], title, why, tried, done)

    def _build_commands(self) -> None:
        shown = gr.Code(commands(self._first, ""), language="shell", label="Send it", elem_id="contribute-commands")
        for field in (self._kind, self._title):
            field.change(
                lambda kind, title: commands(self._kinds[kind], title), [self._kind, self._title], shown, **QUIET
            )
