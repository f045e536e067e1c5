"""The prompt of one turn for one engine, in that engine's own template."""

from __future__ import annotations

from collections.abc import Sequence

from model.assemble import build
from model.conversation import Block, Conversation
from model.generation import Engine
from model.prompt import Prompt
from model.template import ChatTemplate


def prompt_for(
    engine: Engine, conversation: Conversation, brief: str, asked: Sequence[Block], *, public: bool = False
) -> Prompt:
    """The prompt for one more turn; without segments for an engine that applies a template of its own."""
    template = ChatTemplate(engine.chat_template, engine.bos, engine.eos) if engine.chat_template else None
    return build(conversation, brief, asked, template, engine.info.name, public=public)
