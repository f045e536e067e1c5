"""The Search tab: passages as one types, without a model and without a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
from markupsafe import Markup

from onboarding.ui.evidence import sources
from onboarding.ui.hooks import QUIET, Hooks
from onboarding.ui.languages import ENGLISH, Speech, say, speech_for
from onboarding.ui.markup import fill

if TYPE_CHECKING:
    from onboarding.guide import Guide

LEAST, LONGEST = 3, 300  # characters that are searched for


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
            found = gr.HTML(_said("search_empty", ENGLISH), elem_id="search-found", apply_default_css=False)
            ask = gr.Button(say("search_ask"), size="sm", elem_id="search-ask")
        box.input(self._search, box, found, trigger_mode="always_last", **QUIET)
        hooks.hand_over(ask, lambda text: text, [box])

    def _search(self, text: str, request: gr.Request) -> str:
        speech = speech_for(request)
        text = (text or "").strip()[:LONGEST]
        if len(text) < LEAST:
            return _said("search_empty", speech)
        retriever = self._guide.retriever
        if retriever is None:
            return _said("search_loading", speech)
        result = retriever.search(text)
        head = fill("") if result.passages else _said("search_nothing", speech)
        return fill('{}<div aria-live="polite">{}</div>', head, sources(result.passages or result.nearest, speech))


def _said(key: str, speech: Speech) -> Markup:
    return fill('<p class="small">{}</p>', speech(key))
