"""Split the chat template of a GGUF into scaffolding, without ever passing contents through it.

A placeholder stands for each content; what the template renders between the placeholders is scaffolding. So any
template decides the role tags, and no content reaches it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_RENDERED = 20_000  # characters of scaffolding; a hostile template could build gigabytes
PLACEHOLDER = "\ue000{}\ue001"  # private use characters, which no template writes


class TemplateUnusable(ValueError):
    """The error of a chat template that cannot be used; the message says why."""


class ChatTemplate:
    """The parsed chat template of a model. Raises TemplateUnusable for one that fails or drops contents."""

    def __init__(self, source: str, bos: str = "", eos: str = "") -> None:
        if not source:
            raise TemplateUnusable("The model file has no chat template; choose an instruct model.")
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.policies["json.dumps_function"] = json.dumps
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda _format: ""  # a date would spoil the prefix cache every day
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise TemplateUnusable(f"The model's chat template does not parse: {error}") from error
        self._tokens = {"bos_token": bos, "eos_token": eos}

    def scaffold(self, roles: Sequence[str]) -> list[str]:
        """Return the len(roles) + 1 texts before, between and after the contents, up to where the answer begins."""
        messages = [{"role": role, "content": PLACEHOLDER.format(i)} for i, role in enumerate(roles)]
        try:
            stream = self._template.stream(messages=messages, add_generation_prompt=True, tools=None, **self._tokens)
            rendered = ""
            for piece in stream:
                rendered += piece
                if len(rendered) > MAX_RENDERED:
                    raise TemplateUnusable("The model's chat template writes without end; choose another model.")
        except TemplateError as error:
            raise TemplateUnusable(f"The model's chat template fails: {error}") from error
        texts = []
        for i in range(len(roles)):
            before, found, rendered = rendered.partition(PLACEHOLDER.format(i))
            if not found:
                raise TemplateUnusable("The model's chat template drops a message; choose an instruct model.")
            texts.append(before)
        return [*texts, rendered]


@lru_cache(maxsize=8)  # a few engines, each with one template for as long as it lives
def parsed_template(source: str, bos: str, eos: str) -> ChatTemplate:
    """Return the template of `source`, parsed once. Raises TemplateUnusable."""
    return ChatTemplate(source, bos, eos)


def _refuse(message: str) -> None:
    raise TemplateError(message)
