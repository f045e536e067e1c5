"""The Search tab: passages as one types, without a model and without a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from onboarding.ui.evidence import sources
from onboarding.ui.hooks import QUIET, Hooks
from onboarding.ui.languages import say
from onboarding.ui.markup import fill

if TYPE_CHECKING:
    from onboarding.guide import Guide

LEAST, LONGEST = 3, 300  # characters that are searched for
LOADING = "The search index is still loading; type on, it takes a few seconds."
NOTHING = "The documentation does not seem to answer this. The nearest pages:"
EMPTY = "Type at least three letters. Search never waits for the model."


class SearchTab:
    """Builds the tab; nothing of a search is kept."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide

    def build(self, hooks: Hooks) -> None:
        """Lay out the tab and wire it."""
        with gr.Column(elem_id="search", elem_classes="tour"):
            box = gr.Textbox(
                label=say("search_box"), placeholder="RHEL 10 requirements", max_length=LONGEST,
                elem_id="search-box",
            )  # fmt: skip
            found = gr.HTML(fill('<p class="small">{}</p>', EMPTY), elem_id="search-found", apply_default_css=False)
            ask = gr.Button(say("search_ask"), size="sm", elem_id="search-ask")
        box.input(self._search, box, found, trigger_mode="always_last", **QUIET)
        hooks.hand_over(ask, lambda text: text, [box])

    def _search(self, text: str) -> str:
        text = (text or "").strip()[:LONGEST]
        if len(text) < LEAST:
            return fill('<p class="small">{}</p>', EMPTY)
        retriever = self._guide.retriever
        if retriever is None:
            return fill('<p class="small">{}</p>', LOADING)
        result = retriever.search(text)
        head = fill("") if result.passages else fill('<p class="small">{}</p>', NOTHING)
        return fill('{}<div aria-live="polite">{}</div>', head, sources(result.passages or result.nearest))
