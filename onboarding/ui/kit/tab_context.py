"""TabContext: the parts of the page around a tab that the tab may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from onboarding.usage.recorder import Usage

# For handlers that compute next to nothing: without the queue they answer while the model is busy.
QUIET: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}

STORAGE_SALT = "qubinode-navigator"  # of what Gradio keeps in a browser; no secret, and fixed, to outlive a restart

# Focuses the question box, so that Enter sends what was put there; the box exists only while its tab is open.
FOCUS = "() => requestAnimationFrame(() => document.querySelector('#question textarea')?.focus())"


@dataclass(frozen=True, slots=True)
class TabContext:
    """The chat's question box and host and the row of tabs, so that another tab can hand a question over."""

    page: gr.Blocks
    question: gr.Textbox
    host: gr.Dropdown
    tabs: gr.Tabs
    tab: gr.Tab  # the one being built
    reached: gr.BrowserState  # name of a tour -> step, kept by the browser
    usage: Usage

    def hand_over(self, button: gr.Button, ask: Callable[..., str], inputs: list[gr.components.Component]) -> None:
        """Put `ask(*inputs)` into the question box on a click and show the chat; the visitor still presses Send."""
        outputs = [self.question, self.tabs]
        handed = button.click(lambda *values: (ask(*values), gr.Tabs(selected="chat")), inputs, outputs, **QUIET)
        handed.then(None, js=FOCUS, **QUIET)

    def hand_over_host(self, button: gr.Button, ask: Callable[[str], str], host: gr.components.Component) -> None:
        """Do as `hand_over` for a question about the simulated host whose id `host` holds."""
        outputs = [self.question, self.host, self.tabs]
        handed = button.click(lambda chosen: (ask(chosen), chosen, gr.Tabs(selected="chat")), host, outputs, **QUIET)
        handed.then(None, js=FOCUS, **QUIET)
