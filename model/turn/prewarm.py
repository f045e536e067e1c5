"""List the prompts worth having in the prefix cache before anybody asks, the most valuable first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import Engine
from model.prompting.assemble import passage_text, prompt_for, user_message
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
    first. An engine that lays passages reads those of the starters first instead of the whole prompts, which take ten
    times the bytes.
    """
    if not engine.chat_template:
        return []  # a server keeps its own cache
    brief = _prompt(engine, "", [], texts)
    menus = [menu_prompt(engine, menu, "", public=True)] if menu and not engine.info.stand_in else []
    routes = [route for route in texts.routes.values() if not route.reply]
    clicks = dict.fromkeys([*(one for route in routes for one in (*route.starters, *route.follow_ups)), *asked])
    found: dict[str, list[Passage]] = {}
    if searcher:
        for click in clicks:
            found[click] = chosen(search(searcher, click, limits).passages, engine.info, limits)
    whole: list[Prompt] = []
    if engine.info.composed:
        passages = [*(passage for read in found.values() for passage in read), *passages]
    else:
        whole = [_prompt(engine, click, read, texts) for click, read in found.items()]
    alone = dict.fromkeys(map(passage_text, passages))
    return [brief, *menus, *whole, *(brief.alone(PromptSegment(text, passage=True, role="user")) for text in alone)]


def _prompt(engine: Engine, question: str, passages: Sequence[Passage], texts: PromptTexts) -> Prompt:
    asked = user_message(question, passages, cite=texts.cite)
    return prompt_for(engine, Conversation.new(), texts.brief, asked, public=True)
