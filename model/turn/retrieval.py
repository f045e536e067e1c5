"""Searching for what a visitor asked, in whatever language: first by its words, then by the model's translation."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from model.engine.events import Finished, Prefill, Queued, TextDelta
from model.engine.protocol import Engine, Options, QueueFull
from model.prompting.assemble import inert, prompt_for
from model.prompting.conversation import Conversation, MessagePart
from model.turn.limits import USUAL_LIMITS, TurnLimits
from rag.types import SearchResult

SHOWN = 5  # passages that the page shows
TOKENS = 64  # a question; a model that rambles is cut off


class Searcher(Protocol):
    """What a turn needs of retrieval."""

    def search(self, text: str, k: int = 5) -> SearchResult:
        """The passages that answer `text`, or none."""


def look_up(
    searcher: Searcher,
    engine: Engine | None,
    text: str,
    glossed: str,
    translate: str,
    limits: TurnLimits = USUAL_LIMITS,
) -> Generator[Queued | Prefill, None, SearchResult]:
    """Yield the engine's progress, if it is needed at all, and return what was found.

    glossed: a question of another language in such English words as are known without a model, "" for English. Where
    those find nothing, a model that can is asked to translate, which takes it a few seconds. translate: its system
    prompt, `PromptTexts.translate`.
    """
    result = search(searcher, glossed or text, limits)
    if result.passages or not glossed or engine is None or engine.info.stand_in:
        return result
    try:
        english = yield from in_english(engine, text, translate, limits)
    except QueueFull:
        return result
    again = search(searcher, english, limits) if english else result
    return again if again.passages else result


def search(searcher: Searcher, text: str, limits: TurnLimits = USUAL_LIMITS) -> SearchResult:
    """Return what the page shows for `text`: at least as many passages as the model may read."""
    return searcher.search(text, max(SHOWN, limits.passages))


def in_english(
    engine: Engine, text: str, translate: str, limits: TurnLimits = USUAL_LIMITS
) -> Generator[Queued | Prefill, None, str]:
    """Yield the engine's progress and return its translation, "" when it failed.

    The result is only ever searched for, never shown or run. Raises QueueFull.
    """
    asked = (MessagePart(inert(text), limit=limits.question_tokens, private=True),)
    written = ""
    prompt = prompt_for(engine, Conversation.new(), translate, asked)
    for event in engine.submit(prompt, Options(max_tokens=TOKENS, deadline_s=limits.deadline_s)):
        if isinstance(event, TextDelta):
            written += event.text
        elif isinstance(event, Queued | Prefill):
            yield event
        elif isinstance(event, Finished) and event.reason in ("error", "deadline"):
            return ""
    return written.strip().split("\n")[0]
