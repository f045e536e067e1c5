"""The whole page: header, tabs, and the arguments it must be mounted with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from onboarding.edge.admission import LANE_LIMIT
from onboarding.edge.client_address import who
from onboarding.edge.open_pages import MOST
from onboarding.edge.rate_limits import NO_LIMITS, Gate
from onboarding.ui.chat.saved_conversations import STORAGE_SALT
from onboarding.ui.chat.tab import ChatTab
from onboarding.ui.kit.hooks import QUIET, Hooks
from onboarding.ui.kit.languages import say, translations
from onboarding.ui.kit.palette import load_palette
from onboarding.ui.kit.theme import STATIC, css, head, theme
from onboarding.ui.page.feedback import FeedbackDesk
from onboarding.ui.page.header import build_header
from onboarding.ui.page.welcome import Welcome
from onboarding.usage.recorder import Usage, usage_of_project

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide
    from onboarding.feedback.desk import Feedback

TITLE = "Qubinode Navigator"
THREADS = LANE_LIMIT + 40  # jobs that Gradio runs at once: every question let in, beside as many of the rest as ever
QUEUE_SIZE = 2 * LANE_LIMIT  # jobs in Gradio's queue, where nothing stays while it may run so many


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab beside the chat: `build` is called inside it, once, with what it may use of the page."""

    id: str  # its label is the text `tab_ID` of the page's words
    build: Callable[[Hooks], None]


def build_page(
    guide: Guide,
    hosts: Mapping[str, str],
    tabs: Sequence[Tab] = (),
    endpoints: Callable[[], None] = lambda: None,
    *,
    usage: Usage | None = None,
    gate: Gate | None = None,
    feedback: Feedback | None = None,
) -> gr.Blocks:
    """The page, queue included. hosts: id -> title of the simulated hosts; `tabs` follow the chat's in this order.

    endpoints: registers what programs may call, inside the page. Without a gate nothing is limited, without
    `feedback` nobody is asked for any.
    """
    usage = usage or usage_of_project()
    chat = ChatTab(guide, hosts, usage, gate or Gate(NO_LIMITS))
    with gr.Blocks(title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=(600, 600)) as page:
        build_header(guide, page)
        welcome = Welcome()
        welcome.build()
        # Outside the tabs: what stands in a tab is not there before the tab is opened.
        reached = gr.BrowserState({}, storage_key="qubinode-tours", secret=STORAGE_SALT)
        with gr.Tabs(elem_id="tabs") as tabs_row:
            with gr.Tab(say("tab_chat"), id="chat", elem_id="chat-tab"):
                chat.build()
            for tab in tabs:
                with gr.Tab(say(f"tab_{tab.id.replace('-', '_')}"), id=tab.id) as opened:
                    tab.build(Hooks(page, chat.text, chat.host, tabs_row, opened, reached, usage))
        welcome.build_again()
        welcome.wire(page, tabs_row)
        chat.wire(page, tabs_row)
        if feedback:
            desk = FeedbackDesk(feedback)
            desk.build()
            desk.wire(page, chat.session)
        page.load(_visit(usage), None, None, **QUIET)
        endpoints()
    page.state_session_capacity = MOST
    page.max_threads = THREADS  # else forty, whatever its lanes allow; the queue takes it over as it is made
    return page.queue(max_size=QUEUE_SIZE, api_open=False)


def _visit(usage: Usage) -> Callable[[gr.Request], None]:
    def visit(request: gr.Request) -> None:
        usage.visit(who(request).visitor)

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
