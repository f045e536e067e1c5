"""What the server remembers of one open page: its conversation, the turns shown, and the turn under way."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from model.conversation import Conversation
from model.events import TurnEvent
from onboarding.ui.saved import Shelf, restore
from onboarding.ui.turns import Turn, advance_all


@dataclass(frozen=True, slots=True)
class Request:
    """What a visitor wants to have answered."""

    text: str
    route: str | None = None  # the visitor's choice of topic
    turn: str = ""  # id of the turn that this replaces, "" for a new one


@dataclass(slots=True)
class Session:
    """One open page. Gradio copies an empty one for each visitor, so nothing random is made before it is used."""

    conversation: Conversation | None = None
    turns: list[Turn] = field(default_factory=list)

    @property
    def live(self) -> Turn | None:
        """The turn that is being answered."""
        return self.turns[-1] if self.turns and self.turns[-1].running else None

    def adopt(self, shelf: Shelf) -> None:
        """Take up the browser's open conversation, when this server does not know one (reload, restart)."""
        item = shelf.get(shelf.open_id) if not self.turns else None
        if item:
            self.conversation, self.turns = restore(item)

    def begin(self, request: Request) -> Turn:
        """Start a turn; asking again or editing forgets that turn and those after it."""
        self.conversation = self.conversation or Conversation.new()
        for at, turn in enumerate(self.turns):
            if turn.id == request.turn:
                self.conversation = turn.before
                del self.turns[at:]
                break
        self.turns.append(Turn(secrets.token_hex(4), request.text, self.conversation))
        return self.turns[-1]

    def update(self, events: list[TurnEvent]) -> None:
        """Fold events into the live turn; a finished turn's conversation becomes the current one."""
        turn = self.turns[-1] = advance_all(self.turns[-1], events)
        if turn.finished and isinstance(turn.finished.conversation, Conversation):
            self.conversation = turn.finished.conversation

    def stop(self) -> None:
        """Mark the live turn as stopped; what was written stays on the page."""
        if self.turns:
            self.turns[-1] = self.turns[-1].stop()

    def fail(self, reason: str) -> None:
        """Mark the live turn as broken."""
        if self.live:
            self.turns[-1] = replace(self.turns[-1], failure=reason)

    def refuse(self) -> None:
        """Take the live turn back: it was never asked."""
        if self.live:
            self.turns.pop()

    def clear(self) -> None:
        """Begin a new conversation."""
        self.conversation, self.turns = None, []


def read_request(data: Mapping[str, Any] | None, typed: str, session: Session, routes: Mapping[str, object]) -> Request:
    """What was asked: `data` comes from a button in the transcript, `typed` from the composer.

    Everything in `data` was sent by a browser: unknown kinds, turns and routes lead to an empty request.
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
