"""Builds the whole page, header and tabs, and the arguments to mount it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from onboarding.edge.admission import LANE_LIMIT, Admission
from onboarding.edge.client_address import asker_of
from onboarding.edge.sessions import MOST
from onboarding.ui.chat.tab import ChatTab
from onboarding.ui.kit.languages import say, translations
from onboarding.ui.kit.palette import load_palette
from onboarding.ui.kit.tab_context import QUIET, STORAGE_SALT, TabContext
from onboarding.ui.kit.theme import STATIC, css, head, theme
from onboarding.ui.page.feedback import FeedbackDesk
from onboarding.ui.page.header import build_header
from onboarding.ui.page.welcome import Welcome
from onboarding.usage.recorder import Usage, usage_of_project

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide
    from onboarding.feedback.service import Feedback
    from onboarding.ui.page.demo import Demo

TITLE = "Qubinode Navigator"
THREADS = LANE_LIMIT + 40  # jobs that Gradio runs at once: every admitted question, and its default of 40 for the rest
QUEUE_SIZE = 2 * LANE_LIMIT  # jobs in Gradio's queue; none waits there while THREADS are free


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab beside the chat; the page calls `build` once, inside the tab, with the hooks that it may use."""

    id: str  # its label is the text `tab_ID` of languages.toml
    build: Callable[[TabContext], None]
    tour: bool = False  # its address names the step


def build_page(
    guide: Guide,
    hosts: Mapping[str, str],
    tabs: Sequence[Tab] = (),
    endpoints: Callable[[], None] = lambda: None,
    *,
    usage: Usage | None = None,
    admission: Admission | None = None,
    feedback: Feedback | None = None,
    demo: Demo | None = None,
) -> gr.Blocks:
    """Return the page with its queue. hosts: id -> title of the simulated hosts; `tabs` follow the chat in this order.

    endpoints: registers the endpoints for programs, inside the page. Without an admission nothing is limited; without
    `feedback` the page does not ask for any, without `demo` it offers none.
    """
    usage = usage or usage_of_project()
    admission = admission or Admission()
    chat = ChatTab(guide, hosts, usage, admission)
    with gr.Blocks(title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=(600, 600)) as page:
        build_header(guide, admission, page)
        welcome = Welcome()
        welcome.build()
        # Outside the tabs: a component inside one does not exist before the tab opens.
        reached = gr.BrowserState({}, storage_key="qubinode-tours", secret=STORAGE_SALT)
        with gr.Tabs(elem_id="tabs") as tabs_row:
            with gr.Tab(say("tab_chat"), id="chat", elem_id="chat-tab") as opened:
                chat.build()
                opened.select(None, js="() => showAddress({})", **QUIET)
            for tab in tabs:
                with gr.Tab(say(f"tab_{tab.id.replace('-', '_')}"), id=tab.id) as opened:
                    tab.build(TabContext(page, chat.text, chat.host, tabs_row, opened, reached, usage))
                    opened.select(None, reached, js=_address(tab), **QUIET)
        welcome.build_again()
        welcome.wire(page, tabs_row)
        chat.wire(tabs_row)
        if feedback:
            desk = FeedbackDesk(feedback, admission.limits)
            desk.build()
            desk.wire(page, chat.session)
        if demo:
            demo.build()
        page.load(_visit(usage, admission), None, None, **QUIET)
        page.load(_open_tab_of_address([tab.id for tab in tabs]), None, tabs_row, **QUIET)
        endpoints()
    page.state_session_capacity = MOST
    page.max_threads = THREADS  # set before the queue, which copies it: Gradio's own 40 would cap the lanes
    return page.queue(max_size=QUEUE_SIZE, api_open=False)


def _address(tab: Tab) -> str:
    """Return the script that makes the browser's address that of a tab; see static/page.js."""
    return (
        f"(reached) => showAddress({{tour: '{tab.id}', step: reached?.['{tab.id}'] ?? 1}})"
        if tab.tour
        else (f"() => showAddress({{tab: '{tab.id}'}})")
    )


def _open_tab_of_address(tabs: Sequence[str]) -> Callable[[gr.Request], Any]:
    """Return the handler that opens the tab which the page's address names; a tour opens its own."""

    def opened(request: gr.Request) -> Any:
        named = dict(request.query_params).get("tab") if request else None
        return gr.Tabs(selected=named) if named in tabs else gr.skip()

    return opened


def _visit(usage: Usage, admission: Admission) -> Callable[[gr.Request], None]:
    def visit(request: gr.Request) -> None:
        asker = asker_of(request)
        if admission.limits.counts_visit(asker.address):
            usage.visit(asker.visitor)

    return visit


def mount_options() -> dict[str, Any]:
    """Return keyword arguments for `gr.mount_gradio_app(app, page, path, **mount_options())`: the look, no extras."""
    palette = load_palette()
    return {
        "theme": theme(palette),
        "css": css(palette),
        "head": head(),
        "favicon_path": str(STATIC / "favicon.svg"),
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": True,
        "i18n": translations(),
    }
