"""The first visit's question: who are you? Shown once, above the page, never over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from onboarding.ui.chat.saved_conversations import STORAGE_SALT
from onboarding.ui.kit.hooks import QUIET
from onboarding.ui.kit.languages import say


@dataclass(frozen=True, slots=True)
class Choice:
    """One way in."""

    id: str
    tab: str


CHOICES = (
    Choice("look", "chat"),
    Choice("run", "rhel10"),
    Choice("contribute", "contribute"),
)


class Welcome:
    """Built above the tabs; `wire` connects it once the tabs exist."""

    def build(self) -> None:
        """Lay it out, hidden until the browser says that it has not been seen."""
        self._seen = gr.BrowserState(False, storage_key="qubinode-welcome", secret=STORAGE_SALT)
        with gr.Column(visible=False, elem_id="welcome") as self._box:
            gr.Markdown(say("welcome"))
            with gr.Row(elem_classes="choices"):
                self._buttons = [
                    gr.Button(say(f"welcome_{choice.id}"), elem_id=f"welcome-{choice.id}") for choice in CHOICES
                ]
            self._close = gr.Button(say("close"), size="sm", elem_id="welcome-close")

    def build_again(self) -> None:
        """The way back to it, below the page."""
        self._again = gr.Button(say("welcome_again"), size="sm", elem_id="welcome-again")

    def wire(self, page: gr.Blocks, tabs: gr.Tabs) -> None:
        """Show it on the first load, and leave for good on any choice."""
        page.load(self._greet, self._seen, self._box, **QUIET)
        for choice, button in zip(CHOICES, self._buttons, strict=True):
            button.click(lambda tab=choice.tab: (*_left(), gr.Tabs(selected=tab)), None, [self._box, self._seen, tabs],
                         **QUIET)  # fmt: skip
        self._close.click(_left, None, [self._box, self._seen], **QUIET)
        self._again.click(lambda: gr.update(visible=True), None, self._box, **QUIET)

    def _greet(self, seen: object, request: gr.Request) -> Any:
        """Not to somebody who followed a link to a step."""
        linked = "tour" in dict(request.query_params) if request else False
        return gr.update(visible=not (seen or linked))


def _left() -> tuple[Any, bool]:
    return gr.update(visible=False), True
