"""The header: the page's name, the model that answers, what is still loading, and the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
from markupsafe import Markup

from onboarding.edge.admission import Admission, Waiting
from onboarding.ui.kit.languages import ENGLISH, Translator, load_texts, translator_for
from onboarding.ui.kit.markup import fill, join, trusted
from onboarding.ui.kit.tab_context import QUIET
from onboarding.ui.kit.theme import static

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide, Status

POLL_S = 2.0  # fast enough for a queue badge, and one cheap status() call per open page
READY, FAILED = "ready", "failed"


def build_header(guide: Guide, admission: Admission, page: gr.Blocks) -> None:
    """Build the bar on top of every tab: drawn when the page loads, updated by a timer."""
    bar = gr.HTML(
        header_html(guide.status(), admission.waiting), elem_id="header", apply_default_css=False, js_on_load=None
    )

    def drawn(request: gr.Request) -> str:
        return header_html(guide.status(), admission.waiting, translator_for(request))

    for moment in (page.load, gr.Timer(POLL_S).tick):
        moment(drawn, None, bar, **QUIET)


def header_html(status: Status, waiting: Waiting, translate: Translator = ENGLISH) -> str:
    """Return the whole bar as HTML."""
    html = (
        '<header><div class="brand">{mark}<div><h1>Qubinode Navigator</h1><p>{tagline}</p></div></div>'
        '<div class="status"><div class="bits">{model}{queue}</div><div class="bits">{work}{note}</div></div>'
        '<button type="button" class="colours" data-act="colours" aria-label="{colours}" title="{colours}"></button>'
        "</header>"
    )
    return fill(
        html,
        mark=trusted(static("mark.svg")),
        tagline=translate("tagline"),
        model=_model(status, translate),
        queue=_queue(waiting, translate),
        work=_work(status, translate),
        note=_note(status, translate),
        colours=translate("colours"),
    )


def _model(status: Status, translate: Translator) -> Markup:
    ready = READY if status.parts.get("model") == READY else ""
    badge = (
        fill('<span class="badge">{}</span>', translate("stand_in")) if status.stand_in and status.model_label else ""
    )
    html = '<span class="model"><i class="dot {}"></i>{}</span>{}'
    return fill(html, ready, status.model_label or translate("no_model"), badge)


def _note(status: Status, translate: Translator) -> Markup:
    """Return the warning about a stand-in, and any other note of the guide."""
    if not (status.stand_in and status.model_label):
        if any(status.note in state for state in status.parts.values()):
            return Markup("")  # a part's state says it already
        return fill('<span class="note">{}</span>', status.note) if status.note else Markup("")
    html = (
        '<details class="menu"><summary class="quiet" aria-label="{}">{}</summary>'
        '<div class="sheet"><p>{}</p></div></details>'
    )
    more = fill(html, translate("why_stand_in"), translate("why"), status.note) if status.note else ""
    return fill('<span class="note">{}</span>{}', translate("stand_in_note"), more)


def _work(status: Status, translate: Translator) -> Markup:
    """Return the parts that load or failed; "" when all are ready."""
    said = [_part(name, state, translate) for name, state in status.parts.items() if state not in {READY, ""}]
    failed = [text for text in said if FAILED in text]
    loading = [text for text in said if FAILED not in text]
    if status.downloading:
        loading.append(translate("downloading", what=status.downloading))
    rows = (("fault", failed), ("work", loading))
    badge = fill('<span class="badge">{}</span> ', translate("degraded")) if failed else Markup("")
    return badge + join(fill('<span class="{}">{}</span>', kind, " · ".join(texts)) for kind, texts in rows if texts)


def _part(name: str, state: str, translate: Translator) -> str:
    """Return a part and its state; a state without a translation (a count, a reason) stays as it is."""
    known = load_texts()
    name = translate(f"part_{name}") if f"part_{name}" in known else name
    return f"{name}: {translate(f'state_{state}') if f'state_{state}' in known else state}"


def _queue(waiting: Waiting, translate: Translator) -> Markup:
    if waiting.ahead <= 0:
        return fill('<span class="queue">{}</span>', translate("no_queue"))
    said = translate.count("queue", waiting.ahead, s=max(1, round(waiting.wait_s)))
    return fill('<span class="queue busy">{}</span>', said)
