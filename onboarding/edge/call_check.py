"""What a browser or a program sends to a handler, checked and cleaned before Gradio sees it.

Gradio hands a handler whatever JSON came, whichever handler was named. Here a call passes only for a handler that
exists, by name only for one that programs may call, with as many values as it takes, each of its component's kind;
keys that the page has no use for (batches, event ids, tokens, the content of server-side state) are dropped.
Does not check: a choice among choices that change while the page is open; Gradio's own check then refuses it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import gradio as gr
from jsonschema import Draft202012Validator
from starlette.types import Scope

from model.engine.protocol import QueueFull
from onboarding.edge.admission import LANE
from onboarding.edge.allowlist import Refused
from onboarding.edge.client_address import address, hand_over
from onboarding.edge.rate_limits import Gate

CALL = re.compile(r"/gradio_api/call/([a-z_]+)")
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
OPTIONAL = (gr.Textbox, gr.Code, gr.Number, gr.CheckboxGroup)  # may be empty
ANYTHING = (gr.BrowserState,)  # foreign data; ui.chat.saved_conversations and ui.tours.tour check it


class Intake:
    """Checks calls against the page's own handlers, and turns away at the door who would wait too long."""

    def __init__(self, page: gr.Blocks, gate: Gate | None = None) -> None:
        """Without a gate whoever comes is let in."""
        self._gate = gate
        self._handlers = page.fns
        self._blocks = page.blocks
        self._named = {str(fn.api_name): fn for fn in page.fns.values() if fn.api_visibility == "public"}

    def __call__(self, scope: Scope, body: Any) -> Any:
        """The body that Gradio may have; raises Refused. A question's place among the others goes with the request."""
        path = scope["path"]
        called = CALL.fullmatch(path)
        if called:
            handler = self._named.get(called[1])
            if handler is None:
                raise Refused(f"There is no endpoint {called[1]}; choose one of: {', '.join(self._named)}.", 404)
            self._knock(handler, scope)
            values = self._values(handler, _object(body).get("data"))
            self._let_in(handler, scope)
            return {"data": values}
        if path in {"/gradio_api/queue/join", "/gradio_api/run/predict"}:
            return self._call(scope, _object(body))
        return body

    def _call(self, scope: Scope, body: Mapping[str, Any]) -> dict[str, Any]:
        index, session, trigger = body.get("fn_index"), body.get("session_hash"), body.get("trigger_id")
        handler = self._handlers.get(index) if type(index) is int else None
        if handler is None:
            raise Refused("The page has no such handler; reload it.", 404)
        if not isinstance(session, str) or not SESSION.fullmatch(session):
            raise Refused("A call needs a session_hash of up to 64 letters and digits.")
        known = trigger if type(trigger) is int and trigger in self._blocks else None
        self._knock(handler, scope)
        values = self._values(handler, body.get("data"))
        self._let_in(handler, scope)
        return {
            "data": values,
            "event_data": body.get("event_data"),
            "fn_index": index,
            "session_hash": session,
            "trigger_id": known,
        }

    def _knock(self, handler: Any, scope: Scope) -> None:
        """Raise Refused for a question of an address that goes on after several refusals; before anything is drawn."""
        if self._gate and handler.concurrency_id == LANE and (wait := self._gate.door(address(scope))):
            said = f"Too many questions from your address; try again in about {math.ceil(wait)} s."
            raise Refused(said, 429, wait, hold=True)

    def _let_in(self, handler: Any, scope: Scope) -> None:
        """Raise Refused where a question would wait too long; 429, since Gradio's page hides what a 503 says."""
        if self._gate and handler.concurrency_id == LANE:
            try:
                hand_over(scope, self._gate.crowd.enter())
            except QueueFull as full:
                raise Refused(str(full), 429, full.eta_s) from full

    def _values(self, handler: Any, data: Any) -> list[Any]:
        if not isinstance(data, list) or len(data) != len(handler.inputs):
            raise Refused(f"This call takes a list of {len(handler.inputs)} values as `data`.")
        return [_value(at, block, value) for at, (block, value) in enumerate(zip(handler.inputs, data, strict=True), 1)]


def _value(at: int, block: Any, value: Any) -> Any:
    if isinstance(block, gr.State):
        return None  # what a visitor's state is, the server knows
    if isinstance(block, ANYTHING) or (value is None and isinstance(block, OPTIONAL)):
        return value
    schema = dict(block.api_info())
    if isinstance(block, gr.Radio | gr.CheckboxGroup):
        schema = {"type": "array", "items": {"type": "string"}} if schema["type"] == "array" else {"type": "string"}
    if not Draft202012Validator(schema).is_valid(value):
        raise Refused(f"Value {at} is not of the kind that is expected there: {_kind(schema)}.")
    return value


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    return " or ".join(str(one.get("type")) for one in schema.get("oneOf", [schema]))


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise Refused("The body must be a JSON object.")
    return body
