"""The demonstration: a scripted visit in the page itself, for who would rather watch first.

The server makes the script when it is asked for: real turns without a model (`Rehearsal`), drawn as every turn is, and
a step of a tour. static/demo.js plays it with the page's own box, transcript and tabs. Nothing of it reaches the
session, the browser's storage, the counts or the limits of questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from model.prompting.conversation import Conversation
from model.turn.events import RouteChosen, SourcesFound, ToolFinished, ToolStarted, TurnEvent, TurnFinished
from onboarding.assistant.rehearsal import Rehearsal
from onboarding.assistant.turns import Turn, advance
from onboarding.tours.content import load_tour
from onboarding.ui.chat.render import turn_parts
from onboarding.ui.kit.languages import ENGLISH, Translator, translator_for
from onboarding.ui.kit.tab_context import QUIET
from onboarding.ui.kit.theme import static

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide

QUESTION = "What is Qubinode Navigator?"
CHECK, HOST = "Is libvirtd running on this host?", "libvirtd-down"
TOUR, TOUR_STEP = "diagnostics-tour", "Guess"  # goes on with the same host
LOOK_MS, LETTER_MS = 1000, 42  # a caption stands so long, and so much longer for each letter

Step = dict[str, Any]  # as static/demo.js takes it


class Demo:
    """Builds the bar that shows the captions; `script` is what it plays."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._rehearsal = Rehearsal(guide)
        names = [step.name for step in load_tour(TOUR).steps]
        self._tour = {"tab": TOUR, "step": names.index(TOUR_STEP) + 1}
        self._kept: dict[Translator, list[Step]] = {}

    def build(self) -> None:
        """Lay out the bar, hidden, and wire it."""
        bar = gr.HTML(
            {}, html_template=static("demo.html"), js_on_load="demo.connect(element, trigger, props, watch)",
            apply_default_css=False, elem_id="demo",
        )  # fmt: skip
        bar.input(self._asked_for, None, bar, **QUIET)

    def _asked_for(self, event: gr.EventData, request: gr.Request) -> dict[str, Any]:
        data = getattr(event, "_data", None)
        run = str(data.get("run", ""))[:20] if isinstance(data, dict) else ""
        return {"run": run, "steps": self.script(translator_for(request))}

    def script(self, translate: Translator = ENGLISH) -> list[Step]:
        """Return the steps: a caption each, how many milliseconds it stands, and what to type, draw or open.

        They are the same for every visitor of a language: once both turns have gone well, they are kept.
        """
        if translate in self._kept:
            return self._kept[translate]
        if not self._rehearsal.is_ready:
            return self._around([_step("loading", translate)], translate)
        turns, went_well = self._turns(translate)
        script = self._around(turns, translate)
        if went_well:
            self._kept[translate] = script
        return script

    def _around(self, turns: list[Step], translate: Translator) -> list[Step]:
        return [_step("hello", translate), *turns, _step("tour", translate, **self._tour), _step("end", translate)]

    def _turns(self, translate: Translator) -> tuple[list[Step], bool]:
        question, asked = self._played("demo-1", QUESTION, self._rehearsal.question(QUESTION), translate)
        check, checked = self._played("demo-2", CHECK, self._rehearsal.check(CHECK, HOST), translate)
        steps = [
            _step("question", translate, type=QUESTION, frames=question["asked"]),
            _step("sources", translate, frames=question["evidence"], see=".sources"),
            _step("answer", translate, frames=question["answer"], see=".answer"),
            _step("onward", translate, frames=question["end"], see=".next"),
            _step("check", translate, type=CHECK, frames=check["asked"]),
            _step("result", translate, frames=check["evidence"] + check["answer"] + check["end"], see=".answer"),
        ]
        ran = [step.result is not None and step.result.success for step in checked.steps]
        return steps, asked.phase == checked.phase == "done" and bool(asked.sources) and ran == [True]

    def _played(
        self, id_: str, question: str, events: Iterable[TurnEvent], translate: Translator
    ) -> tuple[dict[str, list[Step]], Turn]:
        """Return the frames of a turn by stage, each with the parts that changed since the one before, and its end."""
        stages: dict[str, list[Step]] = {"asked": [], "evidence": [], "answer": [], "end": []}
        before: dict[str, str] = {}
        turn = Turn(id_, question, Conversation.new())
        for stage, turn in _stages(turn, events):  # noqa: B020 - it is the same turn, going on
            parts = turn_parts(turn, self._guide.routes, translate, last=True)
            changed = {name: html for name, html in parts.items() if html != before.get(name, "")}
            stages[stage].append({"id": id_, "parts": changed})
            before = parts
        return stages, turn


def _stages(turn: Turn, events: Iterable[TurnEvent]) -> Iterator[tuple[str, Turn]]:
    """Yield the turn after each event, with the stage that the event belongs to."""
    yield "asked", turn
    for event in events:
        turn = advance(turn, event)
        match event:
            case RouteChosen() | ToolStarted():
                yield "asked", turn
            case SourcesFound() | ToolFinished():
                yield "evidence", turn
            case TurnFinished():
                yield "end", turn
            case _:
                yield "answer", turn


def _step(key: str, translate: Translator, **more: object) -> Step:
    """Return a step; its caption stands as long in every language, since no count of letters fits them all."""
    return {
        "key": key,
        "say": translate(f"demo_{key}"),
        "ms": LOOK_MS + LETTER_MS * len(ENGLISH(f"demo_{key}")),
        **more,
    }
