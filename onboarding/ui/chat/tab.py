"""The chat tab: composer, transcript, and the handlers between them and the guide.

The conversation's state lies on the server: a page sends a question, never what was said before. Everything that uses
the model shares one Gradio lane with a wide limit, because the engine batches and queues by itself.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import gradio as gr

from model.engine.prompt import PromptTooLong
from model.prompting.conversation import Conversation
from model.turn.events import TurnEvent
from onboarding.assistant.guide import Unusable
from onboarding.assistant.turns import Turn
from onboarding.edge.admission import LANE, LANE_LIMIT, Admission, Place, Refused, carried
from onboarding.edge.client_address import Asker, asker_of
from onboarding.ui.chat.composer import announcement, hint, starters
from onboarding.ui.chat.conversation_bar import conversation_bar
from onboarding.ui.chat.evidence import sources_markdown
from onboarding.ui.chat.relay import relay
from onboarding.ui.chat.render import judgement_words, turn_parts
from onboarding.ui.chat.saved_conversations import STORAGE_KEY, STORAGE_SALT
from onboarding.ui.chat.session import Request, Session, read_request
from onboarding.ui.kit.languages import say, translator_for
from onboarding.ui.kit.theme import static
from onboarding.usage.recorder import Usage

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide

logger = logging.getLogger(__name__)

MAX_TYPED = 30_000  # characters a page may send; the limit in tokens is the guide's, and its message names it
# Keys of the texts that the transcript's script shows.
SCRIPTED = ("copy", "copied", "copy_blocked", "edit_field", "rename_field", "conversation", "simulated_host")

Updates = dict[gr.components.Component, Any]


class ChatTab:
    """The widgets of the chat and their handlers. Call `build` once, inside the tab."""

    def __init__(self, guide: Guide, hosts: Mapping[str, str], usage: Usage, admission: Admission) -> None:
        """Keep the parts. hosts: id -> title of the simulated hosts for the tools; the first is preselected."""
        self._guide = guide
        self._hosts = hosts
        self._usage = usage
        self._admission = admission
        self._drawing = static("rose.svg")

    def build(self) -> None:
        """Lay out the tab and wire it."""
        self.session = gr.State(Session())
        self.saved = gr.BrowserState(storage_key=STORAGE_KEY, secret=STORAGE_SALT)
        self.view = gr.HTML(
            self._view(Session()),
            html_template=static("transcript.html"),
            js_on_load=static("transcript.js"),
            apply_default_css=False,
            elem_id="transcript",
        )
        with gr.Column(elem_id="composer", min_width=0):
            with gr.Column(elem_id="box", min_width=0):
                self._build_box()
            self.hint = gr.HTML(hint(), elem_id="hint", apply_default_css=False, js_on_load=None)

    def _build_box(self) -> None:
        self.text = gr.Textbox(
            label=say("question"),
            placeholder=say("question_placeholder"),
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
                label=say("simulated_host"),
                container=False,
                filterable=False,
                visible=len(choices) > 1,
                elem_id="host",
                min_width=0,
            )
            self.stop = gr.Button(say("stop"), variant="stop", size="sm", visible=False, elem_id="stop", min_width=0)
            self.send = gr.Button(say("send"), variant="primary", size="sm", elem_id="send", min_width=0)

    def wire(self, demo: gr.Blocks, tabs: gr.Tabs) -> None:
        """Connect the events; `demo` is the page, whose load restores what the browser kept."""
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [self.view, self.session, self.saved, self.text, self.send, self.stop, self.hint]
        asking = gr.on(
            [self.text.submit, self.send.click, self.view.submit],
            self._ask,
            [self.text, self.host, self.session, self.saved],
            outputs,
            concurrency_id=LANE,
            concurrency_limit=LANE_LIMIT,
            trigger_mode="multiple",
            **quiet,
        )
        asking.failure(self._broke, [self.session], outputs, **quiet)
        self.stop.click(self._stop, [self.session], outputs, queue=False, **quiet)
        self.view.input(self._manage_saved, [self.session, self.saved], outputs, queue=False, **quiet)
        self.view.select(_open_tab, None, tabs, queue=False, **quiet)
        demo.load(self._restore, [self.session, self.saved], outputs, queue=False, **quiet)

    async def _ask(
        self, typed: str, host: str, session: Session, stored: object, event: gr.EventData, client: gr.Request
    ) -> AsyncGenerator[Updates, None]:
        data, asker, decision = _data(event), asker_of(client), carried(client)
        session.translate = translator_for(client)
        session.load(stored)
        wanted = read_request(data, typed or "", session, self._guide.routes)
        if session.live or not wanted.text:
            self._admission.release(decision)
            why = "ask_busy" if session.live else "" if data else "ask_empty"
            yield {self.hint: hint(session.translate(why) if why else "", "warning", session.translate)}
            return
        turn, wake = session.begin(wanted)
        yield self._show(session) | self._hint(session) | ({} if data else {self.text: ""})
        try:
            async with aclosing(
                relay(lambda: self._events(asker, decision, wanted, turn.before, host), wake)
            ) as batches:
                async for batch in batches:
                    if not session.update(turn.id, batch):
                        break
                    yield self._step(session)
        except (PromptTooLong, Refused, Unusable) as refusal:
            session.refuse(turn.id)
            said = {self.hint: hint(str(refusal), "warning")}
            yield self._show(session) | said | ({} if data else {self.text: wanted.text})
        finally:
            session.stop(turn.id)  # a tab that was closed: its next reader must not find a turn that never ends
        yield self._show(session)

    def _events(
        self, asker: Asker, decision: Place | Refused | None, request: Request, before: Conversation, host: str
    ) -> Iterator[TurnEvent]:
        known = host if host in self._hosts else next(iter(self._hosts), "")
        return self._admission.answer(
            asker, lambda: self._guide.ask(request.text, before, route=request.route, host=known), decision
        )

    def _step(self, session: Session) -> Updates:
        """Return the updates after one batch of events: the transcript, and at the turn's end everything else."""
        if session.live:
            return {self.view: self._view(session)}
        session.save()
        return self._show(session, store=True)

    async def _stop(self, session: Session, client: gr.Request) -> Updates:
        """Ask the turn under way to end; its own handler draws the page, so that no second one draws over it.

        Not `cancels=`: a cancelled event's last drawing can arrive after this one's and bring the old text back.
        """
        if not session.live:
            return self._show(session)
        self._usage.stop(asker_of(client).visitor)
        session.stop()
        return self._hint(session)

    def _broke(self, session: Session) -> Updates:
        session.fail(session.translate("ask_broke"))
        return self._show(session)

    def _restore(self, session: Session, stored: object, request: gr.Request) -> Updates:
        session.translate = translator_for(request)
        session.load(stored)
        return self._show(session) | self._hint(session)

    async def _manage_saved(
        self, session: Session, stored: object, event: gr.EventData, request: gr.Request
    ) -> Updates:
        """Start, open, rename or forget a conversation, as the bar above it asks."""
        session.translate = translator_for(request)
        session.load(stored)
        data = _data(event) or {}
        chosen = str(data.get("id", ""))
        match data.get("kind"):
            case "new":
                session.clear()
            case "open":
                session.open(chosen)
            case "rename":
                session.saved = session.saved.renamed(chosen, str(data.get("title", "")))
            case "forget":
                session.forget(chosen)
        return self._show(session, store=True) | self._hint(session)

    def _show(self, session: Session, *, store: bool = False) -> Updates:
        """Return what depends on whether an answer is under way; `store` also saves the list in the browser."""
        busy = session.live is not None
        updates: Updates = {
            self.view: self._view(session),
            self.session: session,
            self.send: gr.update(visible=not busy),
            self.stop: gr.update(visible=busy),
        }
        return updates | ({self.saved: session.saved.model_dump(mode="json")} if store else {})

    def _hint(self, session: Session) -> Updates:
        return {self.hint: hint(translate=session.translate)}

    def _view(self, session: Session) -> dict[str, Any]:
        """Return the value of the transcript; static/transcript.js draws it."""
        turns, saved, routes, translate = session.turns, session.saved, self._guide.routes, session.translate
        known = saved.get(session.conversation.id) if session.conversation else None
        title = known.title if known and len(turns) > 1 else ""
        return {
            "turns": [
                {
                    "id": turn.id,
                    "question": turn.question,
                    "text": turn.in_words(lambda judged: judgement_words(judged, translate)),
                    "sources": sources_markdown(turn.sources),
                    "parts": self._parts(session, turn),
                }
                for turn in turns
            ],
            "empty": starters(routes, self._drawing, translate),
            "saved": conversation_bar(saved, title, translate, started=bool(turns)),
            "announcement": announcement(turns[-1], translate) if turns else "",
            "words": {key: translate(key) for key in SCRIPTED},
            "busy": session.live is not None,
        }

    def _parts(self, session: Session, turn: Turn) -> dict[str, str]:
        """Return a turn as HTML, drawn again only when it changed: earlier answers are many and never change."""
        last = turn is session.turns[-1]
        before = session.drawn.get(turn.id)
        if before is None or before[0] is not turn or before[1] != last:
            before = session.drawn[turn.id] = (
                turn,
                last,
                turn_parts(turn, self._guide.routes, session.translate, last=last),
            )
        return before[2]


def _open_tab(event: gr.EventData) -> Any:
    """Return the tab that a button in the transcript leads to; Gradio ignores an unknown one."""
    return gr.Tabs(selected=str((getattr(event, "_data", None) or {}).get("tab", "chat")))


def _data(event: gr.EventData | None) -> dict[str, Any] | None:
    """Return what a button in the transcript sent, or None when the composer was used."""
    data = getattr(event, "_data", None)
    return data if isinstance(data, dict) and data.get("kind") else None
