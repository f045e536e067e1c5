"""What a tab gets of the page around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True, slots=True)
class Hooks:
    """The chat's question box and the row of tabs, so that another tab can hand a question over."""

    question: gr.Textbox
    tabs: gr.Tabs

    def hand_over(self, button: gr.Button, ask: Callable[..., str], inputs: list[gr.components.Component]) -> None:
        """On a click put `ask(*inputs)` into the question box and show the chat; the visitor still presses Send."""
        button.click(
            lambda *values: (ask(*values), gr.Tabs(selected="chat")),
            inputs,
            [self.question, self.tabs],
            queue=False,
            api_visibility="private",
            show_progress="hidden",
        )
