"""List the prompts worth having in the prefix cache before anybody asks, the most valuable first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from model.engine.prompt import Prompt
from model.engine.protocol import Engine
from model.prompting.assemble import prompt_for, user_message
from model.prompting.conversation import Conversation
from model.prompting.system_prompts import PromptTexts
from model.turn.chat import chosen
from model.turn.limits import USUAL_LIMITS, TurnLimits
from model.turn.retrieval import Searcher, search
from model.turn.tool_calling import ToolMenu, menu_prompt
from rag.types import Passage


def warm_prompts(
    engine: Engine,
    texts: PromptTexts,
    searcher: Searcher | None,
    menu: ToolMenu | None = None,
    asked: Iterable[str] = (),
    passages: Iterable[Passage] = (),
    limits: TurnLimits = USUAL_LIMITS,
) -> list[Prompt]:
    """Return the system prompt and the tools' menu, each starter as the very prompt that a click gives, the passages.

    asked: further questions that a click puts. passages: any question on them then reads only itself; the most likely
    first.
    """
    if not engine.chat_template:
        return []  # a server keeps its own cache
    menus = [menu_prompt(engine, menu, "", public=True)] if menu and not engine.info.stand_in else []
    first = [_prompt(engine, "", [], texts), *menus]
    if searcher is None:
        return first
    routes = [route for route in texts.routes.values() if not route.reply]
    clicks = dict.fromkeys([*(one for route in routes for one in (*route.starters, *route.follow_ups)), *asked])
    alone = (_alone(_prompt(engine, "", [passage], texts)) for passage in passages)
    return [*first, *_questions(engine, clicks, searcher, texts, limits), *alone]


def _questions(
    engine: Engine, clicks: Iterable[str], searcher: Searcher, texts: PromptTexts, limits: TurnLimits
) -> Iterator[Prompt]:
    for question in clicks:
        passages = chosen(search(searcher, question, limits).passages, engine.info.stand_in, limits)
        yield _prompt(engine, question, passages, texts)


def _alone(prompt: Prompt) -> Prompt:
    """Return the prompt that ends behind its only passage."""
    return prompt.alone(next(segment for segment in prompt.segments if segment.passage))


def _prompt(engine: Engine, question: str, passages: Sequence[Passage], texts: PromptTexts) -> Prompt:
    asked = user_message(question, passages, cite=texts.cite)
    return prompt_for(engine, Conversation.new(), texts.brief, asked, public=True)
