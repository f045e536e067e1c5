"""Offers programs named, typed endpoints: through Gradio's API, and as MCP tools (`onboarding.mcp_tools`).

`ask` streams; `search`, `route`, `tours` and the simulated tools answer at once and never wait for the model. Whatever
is returned is plain JSON, typed in `onboarding.results`. A fault is one sentence that says what to do next, and raises
one of FAULTS; each of the two ways hands that sentence on as its clients read it. The page's own handlers are private.
"""

# No `from __future__ import annotations`: Gradio reads the result's type from the annotation itself.

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, get_type_hints

import gradio as gr

from model.engine.prompt import PromptTooLong
from model.prompting.conversation import Conversation
from model.turn.events import ToolStarted
from onboarding.assistant.guide import Unusable
from onboarding.assistant.turns import Turn, advance
from onboarding.edge.admission import LANE, LANE_LIMIT, Admission, Refused, carried
from onboarding.edge.allowlist import CallRefused, refusal_of
from onboarding.edge.client_address import asker_of
from onboarding.results import FoundPassages, Reply, Routed, TourListed, found_of, reply_of, tours_of
from onboarding.tours.content import load_tours
from onboarding.usage.recorder import Usage, usage_of_project
from tools.registry import Registry, Tool
from tools.simulation.hosts import DEFAULT_HOST, Host
from tools.types import ToolCall, ToolResult

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide

LONGEST = 300  # characters of a search
MOST = 10  # passages of one search
FAULTS = (Refused, Unusable, PromptTooLong, CallRefused)  # their texts are sentences for whoever called


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One function that programs call by name."""

    name: str
    call: Callable[..., Any]  # typed and described; its last argument, `request`, is filled in by the server
    result: Any  # the type of what it returns, or of each state that it streams
    streams: bool = False


class Programs:
    """Registers the endpoints inside the page's Blocks."""

    def __init__(
        self, guide: "Guide", hosts: Mapping[str, Host], usage: Usage | None = None, admission: Admission | None = None
    ) -> None:
        """Without an admission nothing is limited."""
        self._guide = guide
        self._hosts = hosts
        self._usage = usage or usage_of_project()
        self._admission = admission or Admission()

    def build(self) -> None:
        """Register them with Gradio; called inside the page's Blocks."""
        for endpoint in self.endpoints():
            how = {"concurrency_id": LANE, "concurrency_limit": LANE_LIMIT} if endpoint.streams else {"queue": False}
            gr.api(_for_gradio(endpoint), api_name=endpoint.name, **how)

    def endpoints(self) -> list[Endpoint]:
        """Return every endpoint."""
        registry = Registry.default()
        tools = filter(None, map(registry.get_tool, registry.list_tools()))
        return [
            Endpoint("ask", self.ask, Reply, streams=True),
            Endpoint("search", self.search, FoundPassages),
            Endpoint("route", self.route, Routed),
            Endpoint("tours", self.tours, list[TourListed]),
            *(Endpoint(tool.name, self._endpoint(tool), ToolResult) for tool in tools),
        ]

    def ask(
        self, question: str, host: str = DEFAULT_HOST, request: gr.Request | None = None
    ) -> Iterator[dict[str, Any]]:
        """Ask the assistant one question; the answer so far is sent again and again as it grows.

        Args:
            question: What to ask, up to 4,000 characters.
            host: Id of the simulated host that a check looks at.
            request: Filled in by the server.

        """
        decision = carried(request)
        try:
            known = self._known(host)
            self._usage.call("ask")
            events = self._admission.answer(
                asker_of(request), lambda: self._guide.ask(question, Conversation.new(), host=known), decision
            )
            turn = Turn("", question, Conversation.new())
            for event in events:
                turn = advance(turn, event)
                # Progress too, twice a second: only between two sendings can a caller who left be noticed.
                if not isinstance(event, ToolStarted):
                    yield reply_of(turn)
        finally:
            self._admission.release(decision)

    def search(self, question: str, k: int = 5, request: gr.Request | None = None) -> dict[str, Any]:
        """Search the documentation of Qubinode Navigator and quote the passages that answer a question.

        `state` is "answered", "near" (the passages do not speak of what `missing` names) or "not here".

        Args:
            question: What to look for, 3 to 300 characters.
            k: How many passages at most, 1 to 10.
            request: Filled in by the server.

        """
        self._pass("search", request)
        question = question.strip()
        if not 3 <= len(question) <= LONGEST:
            raise Unusable(f"Search for 3 to {LONGEST} characters; this has {len(question)}.")
        retriever = self._guide.retriever
        if retriever is None:
            raise Unusable("The search index is still loading; try again in a few seconds.")
        return dict(found_of(retriever.search(question, max(1, min(MOST, int(k))))))

    def route(
        self, question: str, earlier: list[str] | None = None, request: gr.Request | None = None
    ) -> dict[str, Any]:
        """Say which route a message takes and which simulated check it asks for; no language model is used.

        Args:
            question: The message, up to 4,000 characters.
            earlier: The messages before it in its conversation, oldest first; `stands_for` is then the question that a
                short follow-up stands for, "" for one that stands alone.
            request: Filled in by the server.

        """
        self._pass("route", request)
        return self._guide.explain(question, earlier or [])

    def tours(self, request: gr.Request | None = None) -> list[dict[str, Any]]:
        """List the guided tours with their steps and the links that open them."""
        self._pass("tours", request)
        return [dict(tour) for tour in tours_of(load_tours().values())]

    def _pass(self, endpoint: str, request: Any) -> None:
        """Count a call that needs no model; raises Refused with the time to wait when its caller calls too often."""
        self._admission.call(asker_of(request))
        self._usage.call(endpoint)

    def _known(self, host: str) -> str:
        if host not in self._hosts:
            raise Unusable(f"No simulated host {host!r}; choose one of: {', '.join(self._hosts)}.")
        return host

    def _endpoint(self, tool: Tool) -> Callable[..., dict[str, Any]]:
        """Return a function with the tool's own signature, `host` last, for a client or a model to see."""

        def call(*args: Any, **kwargs: Any) -> dict[str, Any]:
            given = inspect.signature(call).bind(*args, **kwargs).arguments
            self._pass(tool.name, given.pop("request", None))
            host = self._known(given.pop("host", DEFAULT_HOST))
            known = {name: value for name, value in given.items() if value is not None}
            return asdict(self._guide.run_tool(ToolCall(tool.name, known, host)))

        own = inspect.signature(tool.function).parameters
        kinds = get_type_hints(tool.function)
        parameters = [own[name].replace(annotation=kinds[name]) for name in own if name != "host"]
        last = inspect.Parameter("host", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=DEFAULT_HOST, annotation=str)
        asker = last.replace(name="request", default=None, annotation=gr.Request | None)  # Gradio fills it in
        parameters += [last, asker]
        vars(call)["__signature__"] = inspect.Signature(parameters, return_annotation=dict[str, Any])
        call.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": dict[str, Any]}
        call.__name__ = tool.name
        call.__doc__ = _described(tool, self._hosts)
        return call


def _for_gradio(endpoint: Endpoint) -> Callable[..., Any]:
    """Return the call of an endpoint for `gr.api`: what refuses it, here or at the edge, becomes Gradio's own error."""
    call = endpoint.call
    signature = inspect.signature(call)

    @contextmanager
    def said(args: Any, kwargs: Any) -> Iterator[None]:
        try:
            if refusal := refusal_of(signature.bind(*args, **kwargs).arguments.get("request")):
                raise refusal
            yield
        except FAULTS as error:
            raise gr.Error(str(error), print_exception=False) from error

    @wraps(call)
    def answered(*args: Any, **kwargs: Any) -> Any:
        with said(args, kwargs):
            return call(*args, **kwargs)

    @wraps(call)
    def streamed(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with said(args, kwargs):
            yield from call(*args, **kwargs)

    return streamed if endpoint.streams else answered


def _described(tool: Tool, hosts: Mapping[str, Host]) -> str:
    """Return the tool's docstring with `host` as its last argument and the word that nothing real is looked at."""
    text = inspect.cleandoc(tool.function.__doc__ or "")
    head, _, arguments = text.partition("\n\nArgs:\n")
    others = "\n".join(line for line in arguments.splitlines() if line.strip() and not line.strip().startswith("host:"))
    host = f"    host: Id of the simulated host: {', '.join(hosts)}."
    return f"{head} SIMULATED: no real machine is looked at.\n\nArgs:\n" + "\n".join(filter(None, [others, host]))
