"""Split the chat template of a GGUF into scaffolding, without ever passing contents through it.

A placeholder stands for each content; what the template renders around the placeholders is scaffolding. So any
template decides the role tags, and no content reaches it. Templates differ in what they take: some refuse a system
message or move it about, which then stands in the first user message; some take a content in parts only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, do, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_RENDERED = 20_000  # characters of scaffolding; a hostile template could build gigabytes
MAX_PIECES = 100_000  # that a template writes, empty ones included; it could also write nothing without end
PLACEHOLDER = "\ue000{}\ue001"  # private use characters, which no template writes
BETWEEN = "\n\n"  # a system message and the user's, where one message holds both
_PLACE = re.compile("\ue000(\\d+)\ue001")
_TAG = re.compile(r"\{%[-+]?\s*(\w+)")
_OPEN_THOUGHT = re.compile(r"<think>\s*$")
END_OF_THOUGHT = "\n</think>\n\n"
# A thought takes minutes on two cores. Templates of models that can do without name the switch one or the other way.
WITHOUT_THOUGHTS = {"enable_thinking": False, "thinking": False}

Message = dict[str, Any]


class TemplateUnusable(ValueError):
    """The error of a chat template that cannot be used; the message says why."""


class ChatTemplate:
    """The parsed chat template of a model. Raises TemplateUnusable for one that fails or drops contents."""

    def __init__(self, source: str, bos: str = "", eos: str = "") -> None:
        if not source.strip():
            raise TemplateUnusable("The model file has no chat template.")
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, do, _tolerance(source)]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda _format: ""  # a date would spoil the prefix cache every day
        try:
            self._template = environment.from_string(source)
        except (TemplateError, RecursionError) as error:
            raise TemplateUnusable(f"The model's chat template does not parse ({_line(error)}).") from error
        self._tokens = {"bos_token": bos, "eos_token": eos}

    def scaffold(self, roles: Sequence[str]) -> list[str]:
        """Return the len(roles) + 1 texts before, between and after the contents, up to where the answer begins.

        A template that opens a thought there has it closed at once: the answer is what a visitor waits for.
        """
        refusals: list[str] = []
        for in_parts, folded in product((False, True), (False, True)):
            try:
                return self._split(self._render(_messages(roles, in_parts=in_parts, folded=folded)), len(roles))
            except TemplateUnusable as error:
                refusals.append(str(error))
        raise TemplateUnusable(refusals[0])

    def _render(self, messages: list[Message]) -> str:
        given = {**self._tokens, **WITHOUT_THOUGHTS, "messages": messages, "tools": None, "documents": None}
        rendered = ""
        try:
            for number, piece in enumerate(self._template.generate(**given, add_generation_prompt=True)):
                rendered += piece
                if len(rendered) > MAX_RENDERED or number > MAX_PIECES:
                    raise TemplateUnusable("The model's chat template writes without end.")
        except TemplateUnusable:
            raise
        except Exception as error:  # a template is a program, and may do whatever makes Python raise
            raise TemplateUnusable(f"The model's chat template fails ({_line(error)}).") from error
        return rendered

    def _split(self, rendered: str, count: int) -> list[str]:
        texts = _PLACE.split(rendered)
        found = [int(number) for number in texts[1::2]]
        if missing := set(range(count)) - set(found):
            which = "the system message" if missing == {0} else "a message"
            raise TemplateUnusable(f"The model's chat template drops {which}.")
        if found != list(range(count)):
            raise TemplateUnusable("The model's chat template repeats messages or changes their order.")
        scaffold = texts[::2]
        if any("'text': " in text for text in scaffold):
            raise TemplateUnusable("The model's chat template cannot write messages.")
        if _OPEN_THOUGHT.search(scaffold[-1]):
            scaffold[-1] = scaffold[-1].rstrip() + END_OF_THOUGHT
        return scaffold


@lru_cache(maxsize=8)  # a few engines, each with one template for as long as it lives
def parsed_template(source: str, bos: str, eos: str) -> ChatTemplate:
    """Return the template of `source`, parsed once. Raises TemplateUnusable."""
    return ChatTemplate(source, bos, eos)


def _messages(roles: Sequence[str], *, in_parts: bool, folded: bool) -> list[Message]:
    """Return messages of placeholders. folded: a system message stands in the message after it."""
    texts = [PLACEHOLDER.format(i) for i in range(len(roles))]
    if folded and list(roles[:1]) == ["system"]:
        roles, texts = roles[1:], [texts[0] + BETWEEN + texts[1], *texts[2:]]
    return [
        {"role": role, "content": [{"type": "text", "text": text}] if in_parts else text}
        for role, text in zip(roles, texts, strict=True)
    ]


def _tolerance(source: str) -> type[Extension]:
    """Return an extension that renders what stands within unknown tags of `source`, as if they were not there.

    Training marks what a model is to learn that way, e.g. `{% generation %}`.
    """
    named = set(_TAG.findall(source))

    class Tolerance(Extension):
        """The tags that neither Jinja nor another extension knows."""

        tags = {name for name in named if not name.startswith("end")}  # noqa: RUF012 - Jinja's own protocol
        priority = 200  # after the other extensions

        def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
            """Return what stands between the tag and its end, nothing for a tag without one."""
            name = next(parser.stream).value
            while parser.stream.current.type != "block_end":
                next(parser.stream)
            return parser.parse_statements((f"name:end{name}",), drop_needle=True) if f"end{name}" in named else []

    return Tolerance


def _to_json(value: object, indent: int | None = None, ensure_ascii: bool = False, **options: Any) -> str:
    """Return JSON as chat templates expect it: without HTML's escapes, which Jinja's own filter writes."""
    return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, **options)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _line(error: BaseException) -> str:
    """Return an error's text in one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:160].rstrip(".")
