"""Try a model out before anybody asks it: one prompt of two turns with a system message."""

from __future__ import annotations

from dataclasses import replace

from model.engine.events import Finished
from model.engine.prompt import Prompt
from model.engine.protocol import Engine, ModelUnusable, Options
from model.prompting.assemble import prompt_for
from model.prompting.conversation import Conversation, MessagePart, PastTurn
from model.prompting.template import TemplateUnusable

SYSTEM = "Answer in one word."
FIRST = PastTurn("Are you there?", "Yes.", "", (MessagePart("Are you there?"),))
ASKED = (MessagePart("Say OK."),)
ADVICE = "choose another model with MODEL=, a path to an instruct model's GGUF or a catalogue name"


def trial_prompt(engine: Engine) -> Prompt:
    """Return the prompt; nothing of it is kept for others. Raises TemplateUnusable."""
    prompt = prompt_for(engine, Conversation.new().with_turn(FIRST), SYSTEM, ASKED)
    return replace(prompt, segments=tuple(replace(s, boundary=False, private=True) for s in prompt.segments))


def try_out(engine: Engine, name: str, options: Options | None = None) -> None:
    """Let an engine render, tokenise and compute the prompt; raise ModelUnusable with the reason where it cannot."""
    try:
        prompt = trial_prompt(engine)
    except TemplateUnusable as error:
        raise ModelUnusable(f"{name} cannot be used: {_clause(error)} ({ADVICE}).") from error
    for event in engine.submit(prompt, options or Options(max_tokens=1)):
        if isinstance(event, Finished) and event.reason not in ("stop", "length"):
            raise ModelUnusable(f"{name} cannot be used: {event.error or 'a first prompt came to no end'} ({ADVICE}).")


def _clause(error: BaseException) -> str:
    text = str(error).rstrip(".")
    return text[:1].lower() + text[1:]
