"""Which prompts are worth having in the prefix cache before anybody asks, most valuable first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from model.assemble import user_message
from model.briefs import RouteText
from model.conversation import Conversation
from model.generation import Engine
from model.prompt import Prompt
from model.prompting import prompt_for
from model.tool_menu import ToolMenu, menu_prompt
from model.turn import Searcher, chosen


def warm_prompts(
    engine: Engine, routes: Iterable[RouteText], searcher: Searcher | None, menu: ToolMenu | None = None
) -> list[Prompt]:
    """Every route's brief and the tools' menu, then each starter question as the very prompt a click on it gives."""
    if not engine.chat_template:
        return []  # a server keeps its own cache
    asking = [route for route in routes if not route.reply]
    menus = [menu_prompt(engine, menu, "", public=True)] if menu and not engine.info.stand_in else []
    return [*_briefs(engine, asking), *menus, *(_starters(engine, asking, searcher) if searcher else ())]


def _briefs(engine: Engine, routes: list[RouteText]) -> Iterator[Prompt]:
    for brief in dict.fromkeys(route.brief for route in routes):
        yield _prompt(engine, brief, "", None)


def _starters(engine: Engine, routes: list[RouteText], searcher: Searcher) -> Iterator[Prompt]:
    for route in routes:
        for question in (*route.starters, *route.follow_ups):
            yield _prompt(engine, route.brief, question, searcher)


def _prompt(engine: Engine, brief: str, question: str, searcher: Searcher | None) -> Prompt:
    passages = searcher.search(question).passages if searcher else []
    asked = user_message(question, chosen(passages, engine.info.stand_in))
    return prompt_for(engine, Conversation.new(), brief, asked, public=True)
