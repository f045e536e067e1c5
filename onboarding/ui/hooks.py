"""What a tab gets of the page around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True, slots=True)
class Hooks:
    """The chat's question box, its host, and the tabs, so that another tab can hand a question over."""

    question: gr.Textbox
    host: gr.Dropdown
    tabs: gr.Tabs
    tab: gr.Tab  # the one being built

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

    def hand_over_host(self, button: gr.Button, ask: Callable[[str], str], host: gr.components.Component) -> None:
        """As `hand_over`, for a question about the simulated host whose id `host` holds."""
        button.click(
            lambda chosen: (ask(chosen), chosen, gr.Tabs(selected="chat")),
            host,
            [self.question, self.host, self.tabs],
            queue=False,
            api_visibility="private",
            show_progress="hidden",
        )
