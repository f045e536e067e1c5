"""The welcome of a first visit: three ways in. Shown once, above the page, never over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from onboarding.ui.kit.languages import say
from onboarding.ui.kit.tab_context import QUIET, STORAGE_SALT


@dataclass(frozen=True, slots=True)
class Choice:
    """One way in: its text's key and the tab it opens."""

    id: str
    tab: str


CHOICES = (
    Choice("look", "chat"),
    Choice("run", "rhel10"),
    Choice("contribute", "contribute"),
)


class Welcome:
    """Builds the welcome above the tabs; `wire` connects it once the tabs exist."""

    def build(self) -> None:
        """Lay out the welcome, hidden until the browser reports a first visit."""
        self._seen = gr.BrowserState(False, storage_key="qubinode-welcome", secret=STORAGE_SALT)
        with gr.Column(visible=False, elem_id="welcome") as self._box:
            gr.Markdown(say("welcome"))
            with gr.Row(elem_classes="choices"):
                self._buttons = [
                    gr.Button(say(f"welcome_{choice.id}"), elem_id=f"welcome-{choice.id}") for choice in CHOICES
                ]
                self._show = gr.Button(say("welcome_show"), elem_id="welcome-show")
            self._close = gr.Button(say("close"), size="sm", elem_id="welcome-close")

    def build_again(self) -> None:
        """Build the button below the page that shows the welcome again."""
        self._again = gr.Button(say("welcome_again"), size="sm", elem_id="welcome-again")

    def wire(self, page: gr.Blocks, tabs: gr.Tabs) -> None:
        """Show the welcome on the first load, and hide it for good on any choice."""
        page.load(self._greet, self._seen, self._box, **QUIET)
        for choice, button in zip(CHOICES, self._buttons, strict=True):
            button.click(lambda tab=choice.tab: (*_left(), gr.Tabs(selected=tab)), None, [self._box, self._seen, tabs],
                         **QUIET)  # fmt: skip
        self._show.click(None, js="() => demo.start()", **QUIET)
        self._close.click(_left, None, [self._box, self._seen], **QUIET)
        # The style sheet shows it above the chat alone.
        self._again.click(lambda: (gr.update(visible=True), gr.Tabs(selected="chat")), None, [self._box, tabs], **QUIET)

    def _greet(self, seen: object, request: gr.Request) -> Any:
        """Show the welcome on a first visit, except to a visitor who followed a link to a tour's step."""
        linked = "tour" in dict(request.query_params) if request else False
        return gr.update(visible=not (seen or linked))


def _left() -> tuple[Any, bool]:
    return gr.update(visible=False), True
