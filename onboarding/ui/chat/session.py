"""The server's state of one open page: its conversation, the turns shown, and the turn under way."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from model.prompting.conversation import Conversation
from model.turn.events import TurnEvent
from onboarding.assistant.turns import Turn, advance_all
from onboarding.ui.chat.saved_conversations import ConversationList, read_saved, restore, saved_conversation
from onboarding.ui.kit.languages import ENGLISH, Translator


@dataclass(frozen=True, slots=True)
class Request:
    """A question to answer, and the turn that it replaces."""

    text: str
    route: str | None = None  # the visitor's choice of topic
    turn: str = ""  # id of the turn that this replaces, "" for a new one


@dataclass(slots=True)
class Session:
    """The state of one open page. Gradio copies an empty one for each visitor, so nothing random is made before use."""

    conversation: Conversation | None = None
    turns: list[Turn] = field(default_factory=list)
    saved: ConversationList = field(default_factory=ConversationList)  # what the browser keeps, as last read or sent
    drawn: dict[str, tuple[Turn, bool, dict[str, str]]] = field(default_factory=dict)  # id -> turn, last, its HTML
    translate: Translator = ENGLISH  # the page's texts in the visitor's language
    wake: asyncio.Event | None = None  # set to make the relay of the turn under way return at once

    @property
    def live(self) -> Turn | None:
        """Return the turn that the model is answering, or None."""
        return self.turns[-1] if self.turns and self.turns[-1].running else None

    def load(self, stored: object) -> None:
        """Read what the browser keeps; restore its open conversation when this page has none (reload, restart)."""
        self.saved = read_saved(stored)
        item = self.saved.get(self.saved.open_id) if not self.turns else None
        if item:
            self.conversation, self.turns = restore(item)

    def save(self) -> None:
        """Put the finished turns of this conversation on the list of saved conversations."""
        if not self.conversation:
            return
        old = self.saved.get(self.conversation.id)
        item = saved_conversation(self.conversation.id, self.turns, old.title if old else "")
        self.saved = self.saved.put(item) if item else self.saved

    def begin(self, request: Request) -> tuple[Turn, asyncio.Event]:
        """Start a turn; return it and the event that wakes its relay. A replaced turn goes, and those after it."""
        self.conversation = self.conversation or Conversation.new()
        for at, turn in enumerate(self.turns):
            if turn.id == request.turn:
                self.conversation = turn.before
                del self.turns[at:]
                break
        self.turns.append(Turn(secrets.token_hex(4), request.text, self.conversation))
        self.wake = asyncio.Event()
        return self.turns[-1], self.wake

    def update(self, turn_id: str, events: list[TurnEvent]) -> bool:
        """Fold events into a turn; return False when the visitor stopped, left or replaced it in the meantime.

        A finished turn's conversation becomes the current one.
        """
        if not self.turns or self.turns[-1].id != turn_id or self.turns[-1].stopped:
            return False
        turn = self.turns[-1] = advance_all(self.turns[-1], events)
        if turn.finished and isinstance(turn.finished.conversation, Conversation):
            self.conversation = turn.finished.conversation
        return True

    def stop(self, turn_id: str = "") -> None:
        """Mark the live turn, or only the one of that id, as stopped; its text so far stays on the page."""
        if self.live and turn_id in {"", self.live.id}:
            self.turns[-1] = self.live.stop()
            if self.wake:
                self.wake.set()

    def fail(self, reason: str) -> None:
        """Mark the last turn as failed for `reason`, unless it has an answer."""
        if self.turns and not self.turns[-1].finished:
            self.turns[-1] = replace(self.turns[-1], failure=reason)

    def refuse(self, turn_id: str) -> None:
        """Remove a turn whose question was refused."""
        self.turns = [turn for turn in self.turns if turn.id != turn_id]

    def clear(self) -> None:
        """Begin a new conversation."""
        self.stop()
        self.conversation, self.turns, self.drawn = None, [], {}
        self.saved = self.saved.model_copy(update={"open_id": ""})

    def open(self, conversation_id: str) -> None:
        """Restore a saved conversation; an unknown id changes nothing."""
        item = self.saved.get(conversation_id)
        if item:
            self.clear()
            self.saved = self.saved.model_copy(update={"open_id": conversation_id})
            self.conversation, self.turns = restore(item)

    def forget(self, conversation_id: str) -> None:
        """Delete a saved conversation, and clear the page when it is the open one."""
        if self.conversation and self.conversation.id == conversation_id:
            self.clear()
        self.saved = self.saved.without(conversation_id)


def read_request(data: Mapping[str, Any] | None, typed: str, session: Session, routes: Mapping[str, object]) -> Request:
    """Return the request: `data` comes from a button in the transcript, `typed` from the composer.

    A browser sends `data`, so nothing in it is trusted: unknown kinds, turns and routes give an empty request.
    """
    if not data:
        return Request(typed.strip())
    text, turn_id, route = (str(data.get(key, "")) for key in ("text", "turn", "route"))
    if data.get("kind") == "question":
        return Request(text.strip())
    old = next((turn for turn in session.turns if turn.id == turn_id), None)
    if old is None:
        return Request("")
    chosen = old.route.name if old.route and old.route.overridden else None
    match data.get("kind"):
        case "edit":
            return Request(text.strip(), None, turn_id)
        case "route" if route in routes:
            return Request(old.question, route, turn_id)
        case "retry":
            return Request(old.question, chosen, turn_id)
    return Request("")
