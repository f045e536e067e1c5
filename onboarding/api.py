"""Offers programs named, typed endpoints, which Gradio also serves as an MCP server.

`ask` streams; `search`, `route`, `tours` and the simulated tools answer at once and never wait for the model. Whatever
is returned is plain JSON. A fault is one sentence that says what to do next. The page's own handlers are private.
"""

# No `from __future__ import annotations`: Gradio reads the result's type from the annotation itself.

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_type_hints

import gradio as gr

from model.engine.prompt import PromptTooLong
from model.prompting.conversation import Conversation
from model.turn.events import ToolStarted
from onboarding.assistant.guide import Unusable
from onboarding.assistant.turns import Turn, advance
from onboarding.edge.admission import LANE, LANE_LIMIT, Admission, Refused, carried
from onboarding.edge.client_address import asker_of
from onboarding.tours.content import load_tours
from onboarding.usage.recorder import Usage, usage_of_project
from rag.types import Passage, SearchResult
from tools.registry import Registry, Tool
from tools.simulation.hosts import DEFAULT_HOST, Host
from tools.types import ToolCall

if TYPE_CHECKING:
    from onboarding.assistant.guide import Guide

LONGEST = 300  # characters of a search
MOST = 10  # passages of one search


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
        """Register them; called inside the page's Blocks."""
        gr.api(self.ask, api_name="ask", concurrency_id=LANE, concurrency_limit=LANE_LIMIT)
        gr.api(self.search, api_name="search", queue=False)
        gr.api(self.route, api_name="route", queue=False)
        gr.api(self.tours, api_name="tours", queue=False)
        registry = Registry.default()
        for name in registry.list_tools():
            tool = registry.get_tool(name)
            if tool is not None:
                gr.api(self._endpoint(tool), api_name=name, queue=False)

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
        except (Refused, Unusable, PromptTooLong) as error:
            raise gr.Error(str(error), print_exception=False) from error
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
            raise gr.Error(f"Search for 3 to {LONGEST} characters; this has {len(question)}.", print_exception=False)
        retriever = self._guide.retriever
        if retriever is None:
            raise gr.Error("The search index is still loading; try again in a few seconds.", print_exception=False)
        found = retriever.search(question, max(1, min(MOST, int(k))))
        return {
            "answerable": round(found.answerable, 3),
            "state": found.state,
            "missing": list(found.missing),
            "extract": found.extract,
            "passages": [_passage(passage) for passage in found.passages],
            "nearest": [{"title": passage.title, "url": passage.url} for passage in found.nearest],
            "differs": _differs(found),
        }

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
        try:
            return self._guide.explain(question, earlier or [])
        except Unusable as error:
            raise gr.Error(str(error), print_exception=False) from error

    def tours(self, request: gr.Request | None = None) -> list[dict[str, Any]]:
        """List the guided tours with their steps and the links that open them."""
        self._pass("tours", request)
        return [
            {
                "name": tour.name,
                "title": tour.title,
                "steps": [step.name for step in tour.steps],
                "link": f"?tour={tour.name}&step=1",
            }
            for tour in load_tours().values()
        ]

    def _pass(self, endpoint: str, request: Any) -> None:
        """Count a call that needs no model; gr.Error with the time to wait when its caller calls too often."""
        try:
            self._admission.call(asker_of(request))
        except Refused as refusal:
            raise gr.Error(str(refusal), print_exception=False) from refusal
        self._usage.call(endpoint)

    def _known(self, host: str) -> str:
        if host not in self._hosts:
            raise gr.Error(
                f"No simulated host {host!r}; choose one of: {', '.join(self._hosts)}.", print_exception=False
            )
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


def _described(tool: Tool, hosts: Mapping[str, Host]) -> str:
    """Return the tool's docstring with `host` as its last argument and the word that nothing real is looked at."""
    text = inspect.cleandoc(tool.function.__doc__ or "")
    head, _, arguments = text.partition("\n\nArgs:\n")
    others = "\n".join(line for line in arguments.splitlines() if line.strip() and not line.strip().startswith("host:"))
    host = f"    host: Id of the simulated host: {', '.join(hosts)}."
    return f"{head} SIMULATED: no real machine is looked at.\n\nArgs:\n" + "\n".join(filter(None, [others, host]))


def _passage(passage: Passage) -> dict[str, Any]:
    return {
        "title": passage.title,
        "headings": list(passage.headings),
        "text": passage.text,
        "excerpt": passage.excerpt,
        "url": passage.url,
        "sources": list(passage.sources),
        "reviewed": passage.reviewed,
    }


def _differs(found: SearchResult | None) -> list[dict[str, str]]:
    """Return where upstream's own files say otherwise than the pages that the extract cites."""
    return [{"file": other.path, "url": other.url, "says": other.says} for other in (found.differs if found else ())]


def reply_of(turn: Turn) -> dict[str, Any]:
    """Return a turn as `ask` sends it; `reason`, `model` and `grounded` join at its end."""
    finished, progress = turn.finished, turn.progress
    underway = "looking" if turn.phase == "searching" else turn.phase
    reply: dict[str, Any] = {
        "answer": turn.in_words(),
        "judged": [asdict(judged) for _, judged in turn.judged],
        "sources": [_passage(passage) for passage in turn.sources],
        "missing": list(turn.found.missing) if turn.found else [],
        "differs": _differs(turn.found),
        "tools": [
            {"arguments": step.call.arguments, "host": step.call.host, **asdict(step.result)}
            for step in turn.steps
            if step.result
        ],
        "notices": [notice.text for notice in turn.notices],
        "done": finished is not None,
        "state": "done" if finished else underway,
        "eta_s": round(progress.eta_s) if progress else 0,
    }
    if turn.route:
        reply |= {"route": turn.route.name, "stands_for": turn.route.stands_for}
    if finished:
        reply |= {"reason": finished.reason, "model": finished.model, "grounded": finished.grounded}
    return reply
