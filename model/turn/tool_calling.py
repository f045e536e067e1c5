"""Let the model choose a tool if the router is unsure, under a grammar that admits nothing but a call."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from model.engine.events import Finished, Prefill, Queued, TextDelta
from model.engine.prompt import Prompt
from model.engine.protocol import Engine, Options, Sampling
from model.prompting.assemble import inert, prompt_for, tool_text
from model.prompting.conversation import Conversation, MessagePart
from model.turn.limits import USUAL_LIMITS, TurnLimits
from model.turn.tool_grammar import Schema, grammar, read_call
from tools.types import ToolCall, ToolResult

logger = logging.getLogger(__name__)

CALL_TOKENS = 96  # the longest call the grammar admits with a few arguments; cut off, it counts as none
CALL_CHARS = 4000  # a server that ignores CALL_TOKENS is left after so many; the text then counts as no call
SEEN_CHARS = 600  # of the result so far: enough to tell whether another look is needed
NAMED_BY = 4  # letters of an argument that must have been said: "firewall" names firewalld, "google" google.com


@dataclass(frozen=True, slots=True)
class ToolMenu:
    """The tools from which a model may choose, with system prompt and grammar for the choice."""

    system_prompt: str  # always the same, so that its state stays in the prefix cache
    grammar: str  # GBNF
    schemas: tuple[Schema, ...]

    @classmethod
    def of(cls, system_prompt: str, schemas: Sequence[Mapping[str, Any]]) -> ToolMenu:
        """Return a menu for a system prompt with `$tools` in it; raise ValueError for a schema without a grammar."""
        return cls(Template(system_prompt).substitute(tools=_listed(schemas)), grammar(schemas), tuple(schemas))


def choose(
    engine: Engine,
    menu: ToolMenu,
    question: str,
    results: Sequence[ToolResult],
    host: str,
    limits: TurnLimits = USUAL_LIMITS,
) -> Generator[Queued | Prefill, None, ToolCall | None]:
    """Yield the engine's progress and return the call it chose, or None; no text of the model makes this raise."""
    options = Options(CALL_TOKENS, Sampling(grammar=menu.grammar), limits.deadline_s, tools=menu.schemas)
    written = ""
    for event in engine.submit(menu_prompt(engine, menu, question, results), options):
        if isinstance(event, TextDelta):
            written += event.text
            if len(written) > CALL_CHARS:
                return None  # leaving the loop stops the engine
        elif isinstance(event, Queued | Prefill):
            yield event
        elif isinstance(event, Finished) and event.reason in ("error", "deadline"):
            return None
    try:
        name, arguments = read_call(written, menu.schemas)
    except (ValueError, RecursionError):
        logger.info("the model's call could not be read and counts as none")
        return None
    said = " ".join([question, *(json.dumps(result.data) for result in results)])
    return ToolCall(name, _said(arguments, said), host) if name else None


def _said(arguments: Mapping[str, Any], said: str) -> dict[str, Any]:
    """Return the arguments without names that nobody mentioned: a small model likes to invent some.

    The tool's default takes the place of a dropped argument; it shows more rather than less.
    """
    known = said.casefold()

    def named(value: object) -> bool:
        return not isinstance(value, str) or value.casefold()[:NAMED_BY] in known

    kept: dict[str, Any] = {
        name: [item for item in value if named(item)] if isinstance(value, list) else value
        for name, value in arguments.items()
        if isinstance(value, list) or named(value)
    }
    return {name: value for name, value in kept.items() if value != []}


def menu_prompt(
    engine: Engine, menu: ToolMenu, question: str, results: Sequence[ToolResult] = (), *, public: bool = False
) -> Prompt:
    """Return the prompt that asks which tool to run, after `results` of the turn so far. public: as in `prompt_for`."""
    seen = "".join(f"Seen already: {inert(tool_text([result], 0.0, SEEN_CHARS)[:SEEN_CHARS])}\n" for result in results)
    asked = (MessagePart(seen + "Request: "), MessagePart(inert(question), private=True))
    return prompt_for(engine, Conversation.new(), menu.system_prompt, asked, public=public)


def _listed(schemas: Sequence[Schema]) -> str:
    """Return one line for each tool: name, arguments, description."""
    lines = []
    for schema in schemas:
        function = schema.get("function", schema)
        arguments = json.dumps(sorted(function.get("parameters", {}).get("properties", {})))
        lines.append(f"- {function['name']} {arguments}: {function.get('description', '')}")
    return "\n".join(lines)
