"""The chat tab: composer, transcript, and the handlers between them and the guide.

Own Blocks with state on the server: a page can say what it wants asked, never what was said before. Everything that
uses the model shares one Gradio lane with a wide limit, because the engine batches and queues by itself.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import gradio as gr

from model.prompt import PromptTooLong
from onboarding.ui import saved
from onboarding.ui.relay import relay
from onboarding.ui.render import hint, spoken, starters, turn_parts
from onboarding.ui.session import Request, Session, read_request
from onboarding.ui.shelf import shelf_html
from onboarding.ui.theme import script

if TYPE_CHECKING:
    from onboarding.guide import Guide

logger = logging.getLogger(__name__)

LANE = "model"  # concurrency_id of all that uses the model
LANE_LIMIT = 64  # pages at once; the engine batches four and says how many wait
MAX_TYPED = 30_000  # characters a page may send; the limit in tokens is the guide's, and its message names it
EMPTY = "Type a question first."
BROKE = "Something broke on this side; ask again."
PLACEHOLDER = "Ask about Qubinode Navigator"

Updates = dict[gr.components.Component, Any]


class ChatTab:
    """The widgets of the chat and what they do. `build` is called once, inside the tab."""

    def __init__(self, guide: Guide, hosts: Mapping[str, str]) -> None:
        """hosts: id -> title of the simulated hosts that tools may look at; the first is preselected."""
        self._guide = guide
        self._hosts = hosts

    def build(self) -> None:
        """Lay out the tab and wire it."""
        self.session = gr.State(Session())
        self.shelf = gr.BrowserState(storage_key=saved.STORAGE_KEY, secret=saved.STORAGE_SALT)
        self.view = gr.HTML(
            self._view(Session(), saved.Shelf()),
            html_template=script("transcript.html"),
            js_on_load=script("transcript.js"),
            apply_default_css=False,
            elem_id="transcript",
        )
        with gr.Column(elem_id="composer", min_width=0):
            with gr.Column(elem_id="box", min_width=0):
                self._build_box()
            self.hint = gr.HTML(hint(), elem_id="hint", apply_default_css=False, js_on_load=None)

    def _build_box(self) -> None:
        self.text = gr.Textbox(
            label="Your question",
            placeholder=PLACEHOLDER,
            show_label=False,
            container=False,
            lines=1,
            max_lines=8,
            max_length=MAX_TYPED,
            autofocus=True,
            elem_id="question",
        )
        with gr.Row(elem_id="tools"):
            choices = [(title, host) for host, title in self._hosts.items()]
            self.host = gr.Dropdown(
                choices,
                value=next(iter(self._hosts), None),
                label="Simulated host",
                container=False,
                filterable=False,
                visible=len(choices) > 1,
                elem_id="host",
                min_width=0,
            )
            self.stop = gr.Button("Stop", variant="stop", size="sm", visible=False, elem_id="stop", min_width=0)
            self.send = gr.Button("Send", variant="primary", size="sm", elem_id="send", min_width=0)

    def wire(self, demo: gr.Blocks) -> None:
        """Connect the events; `demo` is the page, whose load restores what the browser kept."""
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [self.view, self.session, self.shelf, self.text, self.send, self.stop, self.hint]
        asking = gr.on(
            [self.text.submit, self.send.click, self.view.submit],
            self._ask,
            [self.text, self.host, self.session, self.shelf],
            outputs,
            concurrency_id=LANE,
            concurrency_limit=LANE_LIMIT,
            trigger_mode="once",
            **quiet,
        )
        asking.failure(self._broke, [self.session, self.shelf], outputs, **quiet)
        self.stop.click(self._stop, [self.session, self.shelf], outputs, cancels=[asking], queue=False, **quiet)
        self.view.input(self._shelve, [self.session, self.shelf], outputs, cancels=[asking], queue=False, **quiet)
        demo.load(self._restore, [self.session, self.shelf], outputs, queue=False, **quiet)

    async def _ask(
        self, typed: str, host: str, session: Session, stored: object, event: gr.EventData
    ) -> AsyncGenerator[Updates, None]:
        shelf = saved.read_shelf(stored)
        session.adopt(shelf)
        request = read_request(_data(event), typed or "", session, self._guide.routes)
        if not request.text:
            yield {self.hint: hint(EMPTY, "warning")}
            return
        session.begin(request)
        typed_here = not _data(event)
        yield self._show(session, shelf) | {self.hint: hint()} | ({self.text: ""} if typed_here else {})
        try:
            async with aclosing(relay(lambda: self._events(request, session, host))) as batches:
                async for batch in batches:
                    session.update(batch)
                    yield {self.view: self._view(session, shelf)}
        except PromptTooLong as refusal:
            session.refuse()
            back = {self.text: request.text} if typed_here else {}
            yield self._show(session, shelf) | {self.hint: hint(str(refusal), "warning")} | back
            return
        yield self._show(session, self._put(session, shelf), store=True)

    def _events(self, request: Request, session: Session, host: str) -> Any:
        assert session.conversation is not None
        known = host if host in self._hosts else next(iter(self._hosts), "")
        return self._guide.ask(request.text, session.conversation, route=request.route, host=known)

    def _stop(self, session: Session, stored: object) -> Updates:
        session.stop()
        return self._show(session, saved.read_shelf(stored))

    def _broke(self, session: Session, stored: object) -> Updates:
        session.fail(BROKE)
        return self._show(session, saved.read_shelf(stored))

    def _restore(self, session: Session, stored: object) -> Updates:
        shelf = saved.read_shelf(stored)
        session.adopt(shelf)
        return self._show(session, shelf)

    def _shelve(self, session: Session, stored: object, event: gr.EventData) -> Updates:
        """New, open, rename, forget: what the bar above the conversation offers."""
        shelf, data = saved.read_shelf(stored), _data(event) or {}
        chosen = str(data.get("id", ""))
        session.stop()
        match data.get("kind"):
            case "new":
                session.clear()
                shelf = shelf.model_copy(update={"open_id": ""})
            case "open" if shelf.get(chosen):
                session.clear()
                shelf = shelf.model_copy(update={"open_id": chosen})
                session.adopt(shelf)
            case "rename":
                shelf = shelf.renamed(chosen, str(data.get("title", "")))
            case "forget":
                if chosen == shelf.open_id:
                    session.clear()
                shelf = shelf.without(chosen)
        return self._show(session, shelf, store=True) | {self.hint: hint()}

    def _put(self, session: Session, shelf: saved.Shelf) -> saved.Shelf:
        conversation = session.conversation
        old = shelf.get(conversation.id) if conversation else None
        item = saved.save(conversation.id, session.turns, old.title if old else "") if conversation else None
        return shelf.put(item) if item else shelf

    def _show(self, session: Session, shelf: saved.Shelf, *, store: bool = False) -> Updates:
        """Everything that depends on whether an answer is under way."""
        busy = session.live is not None
        updates: Updates = {
            self.view: self._view(session, shelf),
            self.session: session,
            self.send: gr.update(visible=not busy),
            self.stop: gr.update(visible=busy),
        }
        return updates | ({self.shelf: shelf.model_dump(mode="json")} if store else {})

    def _view(self, session: Session, shelf: saved.Shelf) -> dict[str, Any]:
        """The value of the transcript; see static/transcript.js."""
        turns, routes = session.turns, self._guide.routes
        known = shelf.get(session.conversation.id) if session.conversation else None
        title = known.title if known and len(turns) > 1 else ""
        return {
            "turns": [
                {
                    "id": turn.id,
                    "question": turn.question,
                    "text": turn.text,
                    "parts": turn_parts(turn, routes, last=turn is turns[-1]),
                }
                for turn in turns
            ],
            "empty": str(starters(routes, script("rose.svg"))),
            "shelf": shelf_html(shelf, title, started=bool(turns)),
            "spoken": spoken(turns[-1] if turns else None),
            "busy": session.live is not None,
        }


def _data(event: gr.EventData | None) -> dict[str, Any] | None:
    """What a button in the transcript sent, or None when the composer was used."""
    data = getattr(event, "_data", None)
    return data if isinstance(data, dict) and data.get("kind") else None
