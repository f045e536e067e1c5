"""The Search tab: shows passages while a visitor types, without a model and without a queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import gradio as gr
from markupsafe import Markup

from onboarding.ui.chat.evidence import differences, sources
from onboarding.ui.kit.languages import ENGLISH, Translator, say, translator_for
from onboarding.ui.kit.markup import fill
from onboarding.ui.kit.tab_context import QUIET, TabContext
from onboarding.ui.kit.theme import static

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide
    from rag.search.retriever import Holding
    from rag.types import SearchResult

LEAST, LONGEST = 3, 300  # characters of a query


class SearchTab:
    """Builds the tab; keeps nothing of a search.

    The tab's script sends the text (static/search.js), not the text box: with `trigger_mode="always_last"` Gradio now
    and then sends two requests at once, and the older answer may come last and stay.
    """

    def __init__(self, guide: Guide) -> None:
        self._guide = guide

    def build(self, hooks: TabContext) -> None:
        """Lay out the tab and wire it."""
        with gr.Column(elem_id="search", elem_classes="tour"):
            box = gr.Textbox(
                label=say("search_box"), placeholder="RHEL 10 requirements", max_length=LONGEST,
                elem_id="search-box",
            )  # fmt: skip
            found = gr.HTML(
                self.found("", ENGLISH),
                html_template='<div class="found" aria-live="polite"></div>',
                js_on_load=static("search.js"),
                elem_id="search-found",
                apply_default_css=False,
            )
            ask = gr.Button(say("search_ask"), size="sm", elem_id="search-ask")
        found.input(self._typed, None, found, trigger_mode="multiple", **QUIET)
        hooks.tab.select(self._opened, None, found, **QUIET)
        hooks.hand_over(ask, lambda text: text, [box])

    def found(self, query: str, translate: Translator) -> dict[str, str]:
        """Return what the script draws: the query that it answers, and HTML."""
        text = query.strip()[:LONGEST]
        retriever = self._guide.retriever
        if len(text) < LEAST:
            html = _said("search_empty", translate) + (holdings(retriever.holdings, translate) if retriever else "")
        elif retriever is None:
            html = _said("search_loading", translate)
        else:
            result = retriever.search(text)
            head = _head(result, translate)
            html = head + sources(result.passages or result.nearest, translate) + differences(result, translate)
        return {"query": query, "html": str(html)}

    def _typed(self, event: gr.EventData, request: gr.Request) -> dict[str, str]:
        data = getattr(event, "_data", None)
        text = data.get("text", "") if isinstance(data, dict) else ""
        return self.found(str(text), translator_for(request))

    def _opened(self, request: gr.Request) -> dict[str, str]:
        return self.found("", translator_for(request))


def holdings(held: Sequence[Holding], translate: Translator, today: date | None = None) -> Markup:
    """Return what the search holds: how many passages, held against or taken from which commit, and how old that is."""
    now = today or datetime.now(UTC).date()
    lines = []
    for tier in held:
        key = ("holds_pages" if tier.reviewed else "holds_upstream") if tier.date else "holds"
        days = (now - date.fromisoformat(tier.date)).days if tier.date else 0
        lines.append(translate(key, n=f"{tier.passages:,}", commit=tier.commit[:8], date=tier.date, days=days))
    return fill('<p class="small holdings">{}</p>', " ".join(lines))


def _head(result: SearchResult, translate: Translator) -> Markup:
    """Return the line above passages that do not answer; "" above those that do."""
    match result.state:
        case "near":
            return _said("search_near", translate, missing=", ".join(result.missing))
        case "not here":
            return _said("search_nothing", translate)
    return Markup("")


def _said(key: str, translate: Translator, **values: object) -> Markup:
    return fill('<p class="small">{}</p>', translate(key, **values))
