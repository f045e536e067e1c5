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
from onboarding.ui.chat.saved_conversations import NOT_DONE, SavedConversation, SavedTurn, restored, saved_turn
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
    drawn: dict[str, tuple[Turn, bool, dict[str, Any]]] = field(default_factory=dict)  # id -> turn, last, what is sent
    refused: list[str] = field(default_factory=list)  # ids of turns that a refusal took back
    said: str = ""  # why the last question was refused
    back: dict[str, str] = field(default_factory=dict)  # "id" and "text" of the words that return to the box
    given_up: list[Turn] = field(default_factory=list)  # turns that the one under way replaces
    heard: str = ""  # the page's own number of the last question that arrived
    translate: Translator = ENGLISH  # the page's texts in the visitor's language
    wake: asyncio.Event | None = None  # set to make the relay of the turn under way return at once

    @property
    def live(self) -> Turn | None:
        """Return the turn that the model is answering, or None."""
        return self.turns[-1] if self.turns and self.turns[-1].running else None

    def load(self, kept: SavedConversation | None) -> None:
        """Take in what the browser keeps of the open conversation: all after a reload, or what another tab added.

        Nothing is read while an answer is under way, and nothing of another conversation than the one on the page.
        """
        if kept is None or self.live or (self.conversation and self.turns and self.conversation.id != kept.id):
            return
        own = {turn.id: turn for turn in self.turns}
        replaced = {old for one in kept.turns for old in one.replaces}
        if all(_keeps(own.get(one.id), one) for one in kept.turns) and not replaced & own.keys():
            return
        known = {one.id for one in kept.turns}
        # A turn that the browser does not have is older than what it sent, or newer than what it could keep.
        first = next((at for at, turn in enumerate(self.turns) if turn.id in known), len(self.turns))
        older, newer = self.turns[:first], [turn for turn in self.turns[first:] if turn.id not in known]
        together: list[Turn | SavedTurn] = [*older, *kept.turns, *newer]
        self.conversation, self.turns = Conversation(kept.id), []
        for one in together:
            mine = own.get(one.id)
            if one.id not in replaced:
                self._append(mine if mine and (isinstance(one, Turn) or _keeps(mine, one)) else one)

    def _append(self, turn: Turn | SavedTurn) -> None:
        """Put a turn behind those on the page."""
        before = self.conversation or Conversation.new()
        if isinstance(turn, SavedTurn):
            turn = restored(turn, before)
        elif turn.finished and turn.phase == "done":
            said = turn.finished.conversation.turns[len(turn.before.turns) :]
            after = before.with_turn(said[-1]) if said else before
            turn = replace(turn, before=before, finished=replace(turn.finished, conversation=after))
        else:
            turn = replace(turn, before=before)
        self.turns.append(turn)
        self.conversation = turn.finished.conversation if turn.finished and turn.phase == "done" else before

    def begin(self, request: Request) -> tuple[Turn, asyncio.Event]:
        """Start a turn; return it and the event that wakes its relay. A replaced turn goes, and those after it."""
        self.conversation = self.conversation or Conversation.new()
        self.said, self.back, self.given_up = "", {}, []
        for at, turn in enumerate(self.turns):
            if turn.id == request.turn:
                self.conversation = turn.before
                self.given_up = self.turns[at:]
                del self.turns[at:]
                break
        replaces = tuple(one for turn in self.given_up for one in (*turn.replaces, turn.id))
        self.turns.append(Turn(secrets.token_hex(4), request.text, self.conversation, replaces))
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

    def fail(self, turn_id: str, reason: str) -> None:
        """Mark the turn under way as failed for `reason`, if it is the one of that id."""
        if self.live and self.live.id == turn_id:
            self.turns[-1] = replace(self.live, failure=reason)

    def give_back(self, text: str) -> None:
        """Return a question that was not taken to the box it was written in."""
        self.back = {"id": secrets.token_hex(4), "text": text}

    def refuse(self, turn_id: str, reason: str, back: str = "") -> None:
        """Take back a turn whose question was refused for `reason`; what it replaced stands again.

        back: the question, where it was written and not chosen; it returns to the box.
        """
        if not self.turns or self.turns[-1].id != turn_id:
            return
        del self.turns[-1]
        self.turns += self.given_up
        if self.given_up:
            last = self.turns[-1]
            done = last.finished and last.phase == "done"
            self.conversation = last.finished.conversation if last.finished and done else last.before
        self.refused, self.given_up, self.said = [*self.refused[-9:], turn_id], [], reason
        if back:
            self.give_back(back)

    def clear(self) -> None:
        """Begin a new conversation; the browser keeps what was drawn of the one before."""
        self.stop()
        self.conversation, self.turns, self.drawn, self.said, self.back = None, [], {}, "", {}

    def open(self, kept: SavedConversation) -> None:
        """Put a conversation that the browser keeps on the page."""
        self.clear()
        self.load(kept)


def _keeps(mine: Turn | None, kept: SavedTurn) -> bool:
    """Return whether the page's turn holds at least what the browser keeps of it."""
    if mine is None:
        return False
    same = saved_turn(mine)
    return same.reason not in NOT_DONE or (kept.reason in NOT_DONE and len(same.answer) >= len(kept.answer))


def read_request(data: Mapping[str, Any], session: Session, routes: Mapping[str, object]) -> Request:
    """Return the request that the page's script sends for the composer or for a button in the transcript.

    A browser sends `data`, so nothing in it is trusted: unknown kinds, turns and routes give an empty request.
    """
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
