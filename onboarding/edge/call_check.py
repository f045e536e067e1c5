"""Checks and cleans what a browser or a program sends to a handler, before Gradio sees it.

Gradio hands any handler any JSON. This check lets a call pass if its handler exists, if it gives as many values as the
handler takes, and if each value is of its component's kind. Programs call by name, and only the handlers that are meant
for them. Keys that the page does not use (batches, event ids, tokens, the content of server-side state) are dropped.
Gradio's own client shows nothing of what an HTTP error says, and a loop over its answer then never ends. So what it
calls in the queue by number is refused by the handler, which is given no values and the refusal instead.
Does not check: a choice among choices that change while the page is open; Gradio's own check then refuses it.
"""

from __future__ import annotations

import hmac
import inspect
import re
import secrets
from collections.abc import Mapping
from typing import Any

import gradio as gr
from jsonschema import Draft202012Validator
from starlette.datastructures import Headers
from starlette.types import Scope

from onboarding.edge.admission import LANE, Admission, Refused, carry
from onboarding.edge.allowlist import CallRefused, refuse_later
from onboarding.edge.client_address import Asker, address
from onboarding.edge.sessions import Sessions

JOIN = "/gradio_api/queue/join"
CALL = re.compile(r"/gradio_api/call/([a-z_]+)")
MCP = "/gradio_api/mcp"
SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
OPTIONAL = (gr.Textbox, gr.Code, gr.Number, gr.CheckboxGroup)  # may be empty
KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
ANYTHING = (gr.BrowserState,)  # foreign data; ui.chat.saved_conversations and ui.tours.tour check it


class CallCheck:
    """Checks calls against the page's handlers, and lets Admission decide about questions before a page is drawn."""

    def __init__(
        self,
        page: gr.Blocks,
        admission: Admission | None = None,
        sessions: Sessions | None = None,
        token: str = "",
    ) -> None:
        """Without an admission every question is let through undecided.

        sessions: bounds what an address leaves behind. token: what a call by name has to bring, "" for nothing.
        """
        self._admission = admission
        self._sessions = sessions
        self._token = token
        self._handlers = page.fns
        self._blocks = page.blocks
        self._named = {str(fn.api_name): fn for fn in page.fns.values() if fn.api_visibility == "public"}

    def __call__(self, scope: Scope, body: Any) -> Any:
        """Return the body that Gradio may have; raises CallRefused. A decision on a question goes with the request."""
        path = scope["path"]
        called = CALL.fullmatch(path)
        if called:
            handler = self._named.get(called[1])
            if handler is None:
                raise CallRefused(f"There is no endpoint {called[1]}; choose one of: {', '.join(self._named)}.", 404)
            self._refuse_stranger(scope)
            values = self._values(handler, _counted(handler, _with_defaults(handler, _object(body).get("data"))))
            session = secrets.token_hex(8)  # each of these calls has one of its own
            self._begin(scope, session)
            self._decide(handler, scope, session)
            return {"data": values, "session_hash": session}
        if path in {JOIN, "/gradio_api/run/predict"}:
            return self._call(scope, _object(body))
        return _message(body) if path.rstrip("/") == MCP else body

    def _call(self, scope: Scope, body: Mapping[str, Any]) -> dict[str, Any]:
        index, session, trigger = body.get("fn_index"), body.get("session_hash"), body.get("trigger_id")
        handler: Any = self._handlers.get(index) if type(index) is int else None
        if handler is None:
            raise CallRefused("The page has no such handler; reload it.", 404)
        if not isinstance(session, str) or not SESSION.fullmatch(session):
            raise CallRefused("A call needs a session_hash of up to 64 letters and digits.")
        known = trigger if type(trigger) is int and trigger in self._blocks else None
        is_public = self._named.get(str(handler.api_name)) is handler
        data = _counted(handler, body.get("data"))
        try:
            if is_public:
                self._refuse_stranger(scope)
            values = self._values(handler, _with_defaults(handler, data) if is_public else data)
            self._begin(scope, session)
            self._decide(handler, scope, session)
        except CallRefused as refused:
            if scope["path"] != JOIN or not is_public:
                raise
            refuse_later(scope, refused)
            values = [None] * len(data)
        return {
            "data": values,
            "event_data": body.get("event_data"),
            "fn_index": index,
            "session_hash": session,
            "trigger_id": known,
        }

    def _refuse_stranger(self, scope: Scope) -> None:
        if fault := token_fault(self._token, scope):
            raise CallRefused(fault, 401)

    def _begin(self, scope: Scope, session: str) -> None:
        if self._sessions:
            self._sessions.begin(address(scope), session)

    def _decide(self, handler: Any, scope: Scope, session: str) -> None:
        """Have a question decided about, and send the decision along to its handler.

        What needs no handler ends here with 429, since Gradio's page hides what a 503 says; a flood's a moment late.
        """
        if self._admission is None or handler.concurrency_id != LANE:
            return
        try:
            carry(scope, self._admission.decide(Asker(session, address(scope))))
        except Refused as refused:
            raise CallRefused(str(refused), 429, refused.wait_s, hold=refused.scope == "flood") from refused

    def _values(self, handler: Any, data: list[Any]) -> list[Any]:
        names = list(inspect.signature(handler.fn).parameters) if handler.api_visibility == "public" else []
        told = [*(f" ({name})" for name in names), *[""] * len(data)]
        return [
            _value(f"Value {at}{named} ", block, value)
            for at, (block, value, named) in enumerate(zip(handler.inputs, data, told, strict=False), 1)
        ]


def token_fault(token: str, scope: Scope) -> str:
    """Return one sentence for a program that does not bring the token, "" for one that does or where there is none."""
    if not token:
        return ""
    given = Headers(scope=scope).get("authorization", "")
    is_good = hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    return "" if is_good else "Programs need a token here: send it as `Authorization: Bearer TOKEN`."


def _message(body: Any) -> Mapping[str, Any]:
    """Return the message of an MCP client; raises CallRefused for what the transport would never answer, or at length.

    A request whose id is no text and no whole number would count as a notification, and its client would wait.
    """
    if isinstance(body, list):
        raise CallRefused("MCP has no batches; send each message on its own.", 400)
    message = _object(body)
    if message.get("jsonrpc") != "2.0":
        raise CallRefused('A message of MCP needs "jsonrpc": "2.0".', 400)
    if not message.keys() & {"method", "result", "error"}:
        raise CallRefused("A message of MCP needs a method, such as tools/list.", 400)
    if "method" in message and type(message.get("id", "")) not in (str, int):
        raise CallRefused("The id of a message must be a text or a whole number.", 400)
    return message


def _counted(handler: Any, data: Any) -> list[Any]:
    if not isinstance(data, list) or len(data) != len(handler.inputs):
        raise CallRefused(f"This call takes a list of {len(handler.inputs)} values as `data`.")
    return data


def _with_defaults(handler: Any, data: Any) -> Any:
    """Return the values of a program's call, with the defaults of those it leaves out at the end or gives as null."""
    if not isinstance(data, list):
        return data
    takes = list(inspect.signature(handler.fn).parameters.values())[: len(handler.inputs)]
    left_out = takes[len(data) :]
    if len(data) > len(takes) or any(one.default is inspect.Parameter.empty for one in left_out):
        return data
    needed = (None, inspect.Parameter.empty)
    given = [
        one.default if value is None and one.default not in needed else value
        for value, one in zip(data, takes, strict=False)
    ]
    return [*given, *(one.default for one in left_out)]


def _value(what: str, block: Any, value: Any) -> Any:
    if isinstance(block, gr.State):
        return None  # what a visitor's state is, the server knows
    if isinstance(block, ANYTHING) or (value is None and isinstance(block, OPTIONAL)):
        return value
    schema = dict(block.api_info())
    if isinstance(block, gr.Radio | gr.CheckboxGroup):
        schema = {"type": "array", "items": {"type": "string"}} if schema["type"] == "array" else {"type": "string"}
    if fault := fault_in(schema, value):
        raise CallRefused(f"{what}{fault}.")
    return value


def fault_in(schema: Mapping[str, Any], value: Any) -> str:
    """Return what is wrong with a value, to stand behind its name; "" when it is of the schema's kind."""
    if Draft202012Validator(schema).is_valid(value):
        return ""
    return f"is not of the kind that is expected there: {_kind(schema)}"


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    several = next((schema[key] for key in ("oneOf", "anyOf") if key in schema), None)
    if several:
        return " or ".join(dict.fromkeys(map(_kind, several)))
    kind = str(schema.get("type"))
    return KINDS.get(kind, kind) + (f", each {_kind(schema['items'])}" if "items" in schema else "")


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise CallRefused("The body must be a JSON object.")
    return body
