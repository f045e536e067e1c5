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
from onboarding.ui.chat.composer import announcement, keys, starters
from onboarding.ui.chat.evidence import sources_markdown
from onboarding.ui.chat.relay import relay
from onboarding.ui.chat.render import judgement_words, turn_parts
from onboarding.ui.chat.saved_conversations import read_saved, saved_turn
from onboarding.ui.chat.session import Request, Session, read_request
from onboarding.ui.kit.languages import say, translator_for
from onboarding.ui.kit.theme import static
from onboarding.usage.recorder import Usage

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide

logger = logging.getLogger(__name__)

MAX_TYPED = 30_000  # characters that the box takes; the limit in tokens is the guide's, and its message names it
# Keys of the texts that the transcript's script shows.
SCRIPTED = (
    *("copy", "copied", "copy_blocked", "edit_field", "rename_field", "conversation", "simulated_host"),
    *("new_chat", "export", "earlier", "kept_here", "kept_nowhere", "rename", "forget", "ask_empty", "ask_busy"),
    *("demo_label", "demo_pause", "demo_late", "next", "stop"),
)

WRITTEN = frozenset({"question", "edit"})  # kinds of requests whose words return to the box when they are refused
UNHEARD = "() => dispatchEvent(new Event('unheard'))"  # transcript.js listens

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
        self.view = gr.HTML(
            self._view(Session()) | {"answered": False},
            html_template=static("transcript.html"),
            js_on_load=static("shelf.js") + static("transcript.js"),
            apply_default_css=False,
            elem_id="transcript",
        )
        with gr.Column(elem_id="composer", min_width=0):
            with gr.Column(elem_id="box", min_width=0):
                self._build_box()
            gr.HTML(
                '<p class="hint"></p><p class="unkept" role="note"></p>',
                js_on_load=None,  # static/transcript.js fills it
                apply_default_css=False,
                elem_id="hint",
            )

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
            interactive=True,  # no event takes it as an input, and Gradio would close it
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

    def wire(self, tabs: gr.Tabs) -> None:
        """Connect the events; the script of the transcript reports what a visitor does, as it is done."""
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        outputs = [self.view, self.session, self.send, self.stop]
        asking = self.view.submit(
            self._ask,
            [self.host, self.session],
            outputs,
            concurrency_id=LANE,
            concurrency_limit=LANE_LIMIT,
            trigger_mode="multiple",
            **quiet,
        )
        asking.failure(None, js=UNHEARD, **quiet)  # in the browser, since the server may be gone
        self.stop.click(self._stop, self.session, outputs, queue=False, **quiet)
        # Each of them: by itself Gradio drops a new chat between two looks at what is kept.
        self.view.input(self._manage_saved, self.session, outputs, queue=False, trigger_mode="multiple", **quiet)
        self.view.select(_open_tab, None, tabs, queue=False, **quiet)

    async def _ask(
        self, host: str, session: Session, event: gr.EventData, client: gr.Request
    ) -> AsyncGenerator[Updates, None]:
        data, asker, decision = _data(event), asker_of(client), carried(client)
        session.translate = translator_for(client)
        session.load(read_saved(data.get("conversation")))
        wanted = read_request(data, session, self._guide.routes)
        session.heard = str(data.get("number", ""))[:20]
        if session.live or not wanted.text:
            self._admission.release(decision)
            if session.live and data.get("kind") in WRITTEN:
                session.give_back(wanted.text)
            yield self._show(session)
            return
        turn, wake = session.begin(wanted)
        yield self._show(session)
        try:
            async with aclosing(
                relay(lambda: self._events(asker, decision, wanted, turn.before, host), wake)
            ) as batches:
                async for batch in batches:
                    if not session.update(turn.id, batch):
                        break
                    yield {self.view: self._view(session)} if session.live else self._show(session)
        except (PromptTooLong, Refused, Unusable) as refusal:
            session.refuse(turn.id, str(refusal), wanted.text if data["kind"] in WRITTEN else "")
        except Exception:
            logger.exception("a turn broke")
            session.fail(turn.id, session.translate("ask_broke"))
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

    async def _stop(self, session: Session, client: gr.Request) -> Updates:
        """Ask the turn under way to end; its own handler draws the page, so that no second one draws over it.

        Not `cancels=`: a cancelled event's last drawing can arrive after this one's and bring the old text back.
        """
        if not session.live:
            return self._show(session)
        self._usage.stop(asker_of(client).visitor)
        session.stop()
        return {self.session: session}

    async def _manage_saved(self, session: Session, event: gr.EventData, request: gr.Request) -> Updates:
        """Look at what the browser keeps, or start or open a conversation, as the page's script asks."""
        session.translate = translator_for(request)
        data = _data(event)
        kept = read_saved(data.get("conversation"))
        match data.get("kind"):
            case "look":
                session.load(kept)
            case "new":
                session.clear()
            case "open" if kept:
                session.open(kept)
        return self._show(session)

    def _show(self, session: Session) -> Updates:
        """Return what depends on whether an answer is under way."""
        busy = session.live is not None
        return {
            self.view: self._view(session),
            self.session: session,
            self.send: gr.update(visible=not busy),
            self.stop: gr.update(visible=busy),
        }

    def _view(self, session: Session) -> dict[str, Any]:
        """Return the value of the transcript; static/transcript.js draws it."""
        turns, translate = session.turns, session.translate
        return {
            "conversation": session.conversation.id if session.conversation and turns else "",
            "turns": [{"id": turn.id, "question": turn.question} | self._drawn(session, turn) for turn in turns],
            "refused": session.refused,
            "heard": session.heard,
            "said": session.said,
            "back": session.back,
            "empty": starters(self._guide.routes, self._drawing, translate),
            "announcement": announcement(turns[-1], translate) if turns else "",
            "keys": keys(translate),
            "words": {key: translate(key) for key in SCRIPTED},
            "busy": session.live is not None,
            "answered": True,  # by the server, in the visitor's language; the page's first value is in English
        }

    def _drawn(self, session: Session, turn: Turn) -> dict[str, Any]:
        """Return a turn as words, as HTML and as the browser keeps it.

        It is made again only when it changed: earlier answers are many and never change.
        """
        last, translate = turn is session.turns[-1], session.translate
        before = session.drawn.get(turn.id)
        if before is None or before[0] is not turn or before[1] != last:
            drawn = {
                "text": turn.in_words(lambda judged: judgement_words(judged, translate)),
                "sources": sources_markdown(turn.sources),
                "parts": turn_parts(turn, self._guide.routes, translate, last=last),
                "kept": saved_turn(turn).model_dump(mode="json", exclude_defaults=True),
            }
            before = session.drawn[turn.id] = (turn, last, drawn)
        return before[2]


def _open_tab(event: gr.EventData) -> Any:
    """Return the tab that a button in the transcript leads to; Gradio ignores an unknown one."""
    return gr.Tabs(selected=str((getattr(event, "_data", None) or {}).get("tab", "chat")))


def _data(event: gr.EventData | None) -> dict[str, Any]:
    """Return what the page's script sent; empty where nothing of that kind came."""
    data = getattr(event, "_data", None)
    return data if isinstance(data, dict) and data.get("kind") else {}
