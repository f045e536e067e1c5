"""Draw a guided tour: its walk, the links to its steps, taking it up again, and the way out into the chat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import gradio as gr

from onboarding.edge.client_address import asker_of
from onboarding.tours.content import TOURS, Tour, TourStep, load_tours, named_links
from onboarding.ui.chat.evidence import CITATIONS
from onboarding.ui.kit.languages import say
from onboarding.ui.kit.markdown import DRAWN, safe_url, to_html
from onboarding.ui.kit.markup import fill, join
from onboarding.ui.kit.tab_context import QUIET, TabContext
from tools.simulation.hosts import Host

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide

NO_SEARCH = "The search index is still loading; try again in a few seconds."
# A step hides the button that led to it, so focus moves to the title: eye and screen reader begin at the top.
# The address then names the step, so that a reload finds it and it can be handed on.
TO_THE_TOP = """() => {
  showAddress({ tour: "NAME", step: STEP });
  const title = document.querySelector("#tour-NAME h2");
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
  title.scrollIntoView({ block: "nearest" });
}"""
# The demonstration (static/demo.js) has a tab open at a step of its own choice.
OPENED_AT = "(reached) => demo.reached ?? reached"
NOT_SAID = "The documentation does not say."


class TourTab(ABC):
    """The tab of a tour: words from `onboarding/tours/NAME.toml`, and the exercises that its steps name."""

    name: ClassVar[str]

    def __init__(self, guide: Guide, hosts: Mapping[str, Host], folder: Path = TOURS) -> None:
        """Read the tours in `folder`; ValueError when a step names an exercise that this tour does not have."""
        tours = load_tours(folder)
        self._guide = guide
        self._hosts = hosts
        self._following = tours.get(tours[self.name].next)
        self.tour: Tour = tours[self.name]
        self._host: gr.Dropdown | None = None  # of the tour, where it has one; "ask" takes it along
        self._refuse_unknown_exercises()

    @abstractmethod
    def exercises(self) -> dict[str, Callable[[], None]]:
        """Return what a step can do live, by the name that its `exercise` key gives; each lays itself out."""

    def fields(self) -> list[gr.components.Component]:
        """Make, unrendered, the fields that several exercises read.

        The exercise that shows a field renders it, so steps can come in any order. A field that no step shows stays
        hidden at its first value.
        """
        return []

    def build(self, hooks: TabContext) -> None:
        """Lay the steps out inside the current tab, numbered from 1 in the order of the file."""
        with gr.Column(elem_id=f"tour-{self.name}", elem_classes="tour"):
            gr.HTML(fill("<h2>{}</h2>", self.tour.title), apply_default_css=False, padding=False)
            fields, exercises = self.fields(), self.exercises()
            with gr.Walkthrough(selected=1) as walkthrough:
                for number, step in enumerate(self.tour.steps, start=1):
                    with gr.Step(step.name, id=number):
                        gr.Markdown(step.text)
                        if step.exercise:
                            exercises[step.exercise]()
                        if step.topics:
                            self._build_topics(number, step)
                        if step.sources:
                            gr.HTML(sources_html(step.sources), apply_default_css=False)
                        self._footer(number, step, walkthrough, hooks)
            for field in fields:
                if not field.is_rendered:
                    field.visible = False
                    field.render()
        self._usage = hooks.usage
        hooks.page.load(self._arrive, hooks.reached, [walkthrough, hooks.reached, hooks.tabs], **QUIET)
        # The load event changes nothing in a tab that the page has not drawn yet, so the tab asks again when it opens.
        hooks.tab.select(self._take_up, hooks.reached, walkthrough, js=OPENED_AT, **QUIET)

    def _refuse_unknown_exercises(self) -> None:
        free = list(self.exercises())
        for step in self.tour.steps:
            if step.exercise and step.exercise not in free:
                raise ValueError(
                    f"{self.name}.toml: the step {step.name!r} names the exercise {step.exercise!r}, which is unknown "
                    f"or another step's; there are, each for one step: {', '.join(self.exercises())}"
                )
            free = [name for name in free if name != step.exercise]

    def _footer(self, number: int, step: TourStep, walkthrough: gr.Walkthrough, hooks: TabContext) -> None:
        with gr.Row(elem_classes="tour-footer"):
            if number > 1:
                back = gr.Button(say("back"), size="sm", elem_id=f"{self.name}-back-{number}")
                self._goto(back, walkthrough, number - 1, hooks)
            if number < len(self.tour.steps):
                forward = gr.Button(say("next"), variant="primary", size="sm", elem_id=f"{self.name}-next-{number}")
                self._goto(forward, walkthrough, number + 1, hooks)
            else:
                self._way_on(walkthrough, hooks)
            self._ask_step(number, step, hooks)
            link = f"?tour={self.name}&step={number}"
            gr.HTML(fill('<a class="permalink" href="{}">Link to this step</a>', link), apply_default_css=False)

    def _ask_step(self, number: int, step: TourStep, hooks: TabContext) -> None:
        """Add the way into the chat, with the step's question and the host that the question is about."""
        ask = gr.Button(say("ask_step"), size="sm", elem_id=f"{self.name}-ask-{number}")
        if self._host is None:
            hooks.hand_over(ask, lambda: step.ask, [])
        else:
            hooks.hand_over_host(ask, lambda _host: step.ask, self._host)
        if number == len(self.tour.steps):
            ask.click(self._note_end, None, None, **QUIET)

    def _goto(self, button: gr.Button, walkthrough: gr.Walkthrough, step: int, hooks: TabContext) -> None:
        def go(reached: object, request: gr.Request) -> tuple[Any, Any]:
            self._usage.tour_step(asker_of(request).visitor, self.name, step)
            return gr.Walkthrough(selected=step), self._note(reached, step)

        moved = button.click(go, hooks.reached, [walkthrough, hooks.reached], **QUIET)
        moved.then(None, js=TO_THE_TOP.replace("NAME", self.name).replace("STEP", str(step)), **QUIET)

    def _note_end(self, request: gr.Request) -> None:
        self._usage.tour_end(asker_of(request).visitor, self.name)

    def _way_on(self, walkthrough: gr.Walkthrough, hooks: TabContext) -> None:
        """Suggest one thing to do next; a click also sets this tour back to its first step."""
        label = f"Go on: {self._following.label}" if self._following else "Go on: ask the assistant"
        target = self._following.name if self._following else "chat"
        on = gr.Button(label, variant="primary", size="sm", elem_id=f"{self.name}-on")

        def leave(reached: object, request: gr.Request) -> tuple[Any, Any, Any]:
            self._note_end(request)
            return gr.Walkthrough(selected=1), self._note(reached, 1), gr.Tabs(selected=target)

        on.click(leave, hooks.reached, [walkthrough, hooks.reached, hooks.tabs], **QUIET)

    def _arrive(self, reached: object, request: gr.Request) -> tuple[Any, Any, Any]:
        """Open the step and the tab that the page's address names."""
        asked = dict(request.query_params) if request else {}
        if asked.get("tour") != self.name:
            return gr.skip(), gr.skip(), gr.skip()
        step = self._valid(asked["step"]) if "step" in asked else self._reached(reached)
        self._usage.tour_step(asker_of(request).visitor, self.name, step)
        return gr.Walkthrough(selected=step), self._note(reached, step), gr.Tabs(selected=self.name)

    def _take_up(self, reached: object, request: gr.Request) -> Any:
        step = self._reached(reached)
        if not (isinstance(reached, dict) and reached.get("demo")):  # nobody took that step
            self._usage.tour_step(asker_of(request).visitor, self.name, step)
        return gr.Walkthrough(selected=step)

    def _reached(self, reached: object) -> int:
        return self._valid(reached.get(self.name)) if isinstance(reached, dict) else 1

    def _note(self, reached: object, step: int) -> dict[str, Any]:
        """Return `reached`, which may hold anything a visitor put there, with this tour's step added."""
        return {**(reached if isinstance(reached, dict) else {}), self.name: step}

    def _valid(self, step: object) -> int:
        text = str(step)
        return int(text) if text.isdecimal() and 1 <= int(text) <= len(self.tour.steps) else 1

    def _look_up(self, question: str) -> str:
        """Return as HTML what the documentation says to a question; no model takes part."""
        retriever = self._guide.retriever
        if retriever is None:
            return to_html(NO_SEARCH)
        result = retriever.search(question)
        if not result.passages:
            return to_html(NOT_SAID)
        lead = result.passages[0]
        words = to_html(CITATIONS.sub("", result.extract), urls=[lead.url])
        link = '<a href="{}" target="_blank" rel="noopener noreferrer">{}</a>' if safe_url(lead.url) else "{1}"
        return fill(DRAWN, words + fill("<p>Source: " + link + "</p>", lead.url, lead.title))

    def _build_topics(self, number: int, step: TourStep) -> None:
        """Offer the step's questions, and look up the one that the visitor chooses."""
        topic = gr.Radio(list(step.topics), label=say("look_up"), elem_id=f"{self.name}-topic-{number}")
        where = f"{self.name}-extract-{number}"
        shown = gr.HTML(say("choose_question"), elem_id=where, apply_default_css=False)
        topic.change(self._look_up, topic, shown, **QUIET)


def sources_html(sources: Sequence[str]) -> str:
    """Return HTML: small links to the upstream files, each named by its path and lines."""
    link = '<a href="{}" target="_blank" rel="noopener">{}</a> '
    links = join(fill(link, url, name) for name, url in named_links(sources))
    return fill('<p class="tour-sources">Upstream: {}</p>', links)
