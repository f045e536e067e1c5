"""Which prompts are worth having in the prefix cache before anybody asks, most valuable first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from model.assemble import user_message
from model.briefs import RouteText
from model.conversation import Conversation
from model.generation import Engine
from model.lookup import Searcher
from model.prompt import Prompt
from model.prompting import prompt_for
from model.tool_menu import ToolMenu, menu_prompt
from model.turn import chosen


def warm_prompts(
    engine: Engine,
    routes: Iterable[RouteText],
    searcher: Searcher | None,
    menu: ToolMenu | None = None,
    asked: Iterable[tuple[RouteText, str]] = (),
) -> list[Prompt]:
    """Every route's brief and the tools' menu, then each starter question as the very prompt a click on it gives.

    asked: further questions that a click puts, with their routes; least valuable.
    """
    if not engine.chat_template:
        return []  # a server keeps its own cache
    asking = [route for route in routes if not route.reply]
    menus = [menu_prompt(engine, menu, "", public=True)] if menu and not engine.info.stand_in else []
    if searcher is None:
        return [*_briefs(engine, asking), *menus]
    starters = [(route, question) for route in asking for question in (*route.starters, *route.follow_ups)]
    clicks = dict.fromkeys([*starters, *((route, question) for route, question in asked if not route.reply)])
    questions = [_prompt(engine, route.brief, question, searcher) for route, question in clicks]
    return [*_briefs(engine, asking), *menus, *questions]


def _briefs(engine: Engine, routes: list[RouteText]) -> Iterator[Prompt]:
    for brief in dict.fromkeys(route.brief for route in routes):
        yield _prompt(engine, brief, "", None)


def _prompt(engine: Engine, brief: str, question: str, searcher: Searcher | None) -> Prompt:
    passages = searcher.search(question).passages if searcher else []
    asked = user_message(question, chosen(passages, engine.info.stand_in))
    return prompt_for(engine, Conversation.new(), brief, asked, public=True)
