"""The header: what this is, which model answers, what is still loading, and how long the queue is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
from markupsafe import Markup

from onboarding.ui.markup import fill, join, trusted
from onboarding.ui.theme import script

if TYPE_CHECKING:
    from onboarding.guide import Guide, Status

POLL_S = 2.0  # fast enough for a queue badge, and one cheap status() call per open page
READY, FAILED = "ready", "failed"
STAND_IN = "A small stand-in answers: its wording is weak, rely on the quoted sources."
TAGLINE = "From one RHEL-family host to a KVM hypervisor: ask how."


def build_header(guide: Guide, page: gr.Blocks) -> None:
    """The bar on top of every tab: drawn when the page loads, kept up to date by a timer."""
    bar = gr.HTML(header_html(guide.status()), elem_id="header", apply_default_css=False, js_on_load=None)
    for moment in (page.load, gr.Timer(POLL_S).tick):
        moment(
            lambda: header_html(guide.status()),
            outputs=bar,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )


def header_html(status: Status) -> str:
    """The whole bar."""
    html = (
        '<header><div class="brand">{mark}<div><h1>Qubinode Navigator</h1><p>{tagline}</p></div></div>'
        '<div class="status"><div class="line">{model}{queue}</div><div class="line">{work}{note}</div></div>'
        '<button type="button" class="colours" data-act="colours" aria-label="Switch between light and dark"></button>'
        "</header>"
    )
    return fill(
        html,
        mark=trusted(script("mark.svg")),
        tagline=TAGLINE,
        model=_model(status),
        queue=_queue(status),
        work=_work(status),
        note=_note(status),
    )


def _model(status: Status) -> Markup:
    ready = READY if status.parts.get("model") == READY else ""
    badge = Markup('<span class="badge">stand-in</span>') if status.stand_in and status.model_label else ""
    html = '<span class="model"><i class="dot {}"></i>{}</span>{}'
    return fill(html, ready, status.model_label or "no model yet", badge)


def _note(status: Status) -> Markup:
    """The warning about a stand-in, and whatever else the guide has to say."""
    if not (status.stand_in and status.model_label):
        return fill('<span class="note">{}</span>', status.note) if status.note else Markup("")
    html = (
        '<details class="menu"><summary class="quiet" aria-label="Why a stand-in answers">why?</summary>'
        '<div class="sheet"><p>{}</p></div></details>'
    )
    return fill('<span class="note">{}</span>{}', STAND_IN, fill(html, status.note) if status.note else "")


def _work(status: Status) -> Markup:
    """What is loading or failed; nothing when all is ready."""
    said = [f"{name}: {state}" for name, state in status.parts.items() if state not in {READY, ""}]
    failed = [text for text in said if FAILED in text]
    loading = [text for text in said if FAILED not in text]
    if status.downloading:
        loading.append(f"downloading {status.downloading}")
    rows = (("fault", failed), ("work", loading))
    return join(fill('<span class="{}">{}</span>', kind, " · ".join(texts)) for kind, texts in rows if texts)


def _queue(status: Status) -> Markup:
    if status.ahead <= 0:
        return Markup('<span class="queue">no queue</span>')
    people = "1 question" if status.ahead == 1 else f"{status.ahead} questions"
    return fill('<span class="queue busy">{} ahead, ~{} s</span>', people, max(1, round(status.eta_s)))
