"""List the prompts worth having in the prefix cache before anybody asks, the most valuable first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from model.engine.prompt import Prompt
from model.engine.protocol import Engine
from model.prompting.assemble import prompt_for, user_message
from model.prompting.conversation import Conversation
from model.prompting.system_prompts import PromptTexts, RouteText
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
    asked: Iterable[tuple[RouteText, str]] = (),
    leads: Iterable[tuple[RouteText, Passage]] = (),
    limits: TurnLimits = USUAL_LIMITS,
) -> list[Prompt]:
    """Return every route's system prompt and the tools' menu, then each starter as the very prompt that a click gives.

    leads: passages that led many answers, with the routes of these: any question on them then reads only itself.
    asked: further questions that a click puts, with their routes; least valuable.
    """
    if not engine.chat_template:
        return []  # a server keeps its own cache
    asking = [route for route in texts.routes.values() if not route.reply]
    menus = [menu_prompt(engine, menu, "", public=True)] if menu and not engine.info.stand_in else []
    if searcher is None:
        return [*_system_prompts(engine, asking), *menus]
    starters = [(route, question) for route in asking for question in (*route.starters, *route.follow_ups)]
    others = [click for click in dict.fromkeys(asked) if click not in starters and not click[0].reply]
    return [
        *_system_prompts(engine, asking),
        *menus,
        *_questions(engine, dict.fromkeys(starters), searcher, texts.cite, limits),
        *(_prompt(engine, route.system_prompt, "", [passage], texts.cite) for route, passage in leads),
        *_questions(engine, others, searcher, texts.cite, limits),
    ]


def _system_prompts(engine: Engine, routes: list[RouteText]) -> Iterator[Prompt]:
    for system_prompt in dict.fromkeys(route.system_prompt for route in routes):
        yield _prompt(engine, system_prompt, "", [], "")


def _questions(
    engine: Engine, clicks: Iterable[tuple[RouteText, str]], searcher: Searcher, cite: str, limits: TurnLimits
) -> Iterator[Prompt]:
    for route, question in clicks:
        passages = chosen(search(searcher, question, limits).passages, engine.info.stand_in, limits)
        yield _prompt(engine, route.system_prompt, question, passages, cite)


def _prompt(engine: Engine, system_prompt: str, question: str, passages: Sequence[Passage], cite: str) -> Prompt:
    asked = user_message(question, passages, cite=cite)
    return prompt_for(engine, Conversation.new(), system_prompt, asked, public=True)
