"""Plays a turn as the guide answers it, with a script in the model's place, and leaves no trace of it.

Routing, search, the choice of a check, the sandbox and the filter of the answer are those of every turn. The script
quotes what the search found, so it says nothing that the pages do not. Nothing is recorded or counted, and nothing
waits for the model or its queue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from model.engine.events import Prefill, Queued, Timings
from model.engine.protocol import Engine
from model.engine.scripted import ScriptedEngine
from model.prompting.conversation import Conversation
from model.turn.chat import Chat
from model.turn.events import TurnEvent, TurnFinished
from onboarding.assistant.guide import Guide
from tools.sandbox.sandbox import Sandbox
from tools.simulation.hosts import DEFAULT_HOST
from tools.types import ToolCall, ToolResult

QUOTED = 3  # number of the source that the script quotes, or the last one; the extract quotes the first
NO_TIMINGS = Timings(0.0, None, 0.0)  # how fast a script is says nothing


class Rehearsal:
    """Plays turns over the parts of a guide."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide

    @property
    def is_ready(self) -> bool:
        """True where a question can be routed and searched at once."""
        parts = self._guide.parts
        return parts.can_route and not parts.is_loading and parts.retriever is not None

    def question(self, text: str) -> Iterator[TurnEvent]:
        """Yield the events of a turn that the pages answer, without its waits; the script quotes a source."""
        found = self._guide.retriever.search(text).passages[:QUOTED] if self._guide.retriever else []
        script = f"{found[-1].excerpt} [{len(found)}]" if found else ""
        yield from self._events(text, ScriptedEngine(script, prefill_s=0.0, word_s=0.0))

    def check(self, text: str, host: str) -> Iterator[TurnEvent]:
        """Yield the events of a turn that a check of a simulated host answers; rules alone read its result."""
        engine = ScriptedEngine()
        engine.info = replace(engine.info, stand_in=True)
        yield from self._events(text, engine, host)

    def _events(self, text: str, engine: Engine, host: str = DEFAULT_HOST) -> Iterator[TurnEvent]:
        for event in _Untraced(self._guide, engine).ask(text, Conversation.new(), host=host):
            if isinstance(event, TurnFinished):
                yield replace(event, timings=NO_TIMINGS)
            elif not isinstance(event, Queued | Prefill):
                yield event


class _Untraced(Guide):
    """A guide that shares everything with another but its engine, and records nothing."""

    def __init__(self, guide: Guide, engine: Engine) -> None:
        self.__dict__.update(vars(guide))
        parts, texts = guide.parts, self._texts
        self._chat = Chat(
            lambda _conversation: engine, lambda: parts.retriever, self.run_tool, texts, limits=parts.settings.turn
        )

    def run_tool(self, call: ToolCall) -> ToolResult:
        """Run one simulated tool, past what a sandbox counts of its runs."""
        return Sandbox.call(self.parts.sandbox, call.tool, call.arguments, call.host)
