"""Search for a question in any language: first by its known words, then by the model's translation."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Protocol

from model.engine.events import Finished, Prefill, Queued, TextDelta
from model.engine.protocol import Engine, Options, QueueFull
from model.prompting.assemble import inert, prompt_for
from model.prompting.conversation import Conversation, MessagePart
from model.turn.limits import USUAL_LIMITS, TurnLimits
from rag.types import Embedded, SearchResult

SHOWN = 5  # passages that the page shows
TOKENS = 64  # a question; a model that rambles is cut off


class Searcher(Protocol):
    """The interface of retrieval that a turn needs."""

    def search(self, text: str, k: int = 5, embedded: Embedded | None = None) -> SearchResult:
        """Return the passages that answer `text`, or none; `embedded` saves embedding it again."""


def look_up(
    searcher: Searcher,
    engine: Engine | None,
    text: str,
    glossed: str,
    translate: str,
    limits: TurnLimits = USUAL_LIMITS,
    embedded: Embedded | None = None,
    found: SearchResult | None = None,
) -> Generator[Queued | Prefill, None, SearchResult]:
    """Yield the engine's progress, if the search needs the engine, and return the result.

    glossed: the English words of a question in another language, as far as known without a model; "" for English. If
    they find nothing, any model but the stand-in translates the question, which takes a few seconds. translate: the
    system prompt for that, `PromptTexts.translate`. found: what they find where somebody has searched already.
    """
    result = _as_typed(found or search(searcher, glossed or text, limits, embedded), text)
    if result.passages or not glossed or engine is None or engine.info.stand_in:
        return result
    try:
        english = yield from in_english(engine, text, translate, limits)
    except QueueFull:
        return result
    again = _as_typed(search(searcher, english, limits), text) if english else result
    return again if again.passages else result


def shown(limits: TurnLimits) -> int:
    """Return the number of passages to look for: what the page shows, and at least what the model may read."""
    return max(SHOWN, limits.passages)


def search(
    searcher: Searcher, text: str, limits: TurnLimits = USUAL_LIMITS, embedded: Embedded | None = None
) -> SearchResult:
    """Return what the page shows for `text`."""
    return searcher.search(text, shown(limits), embedded)


def _as_typed(result: SearchResult, text: str) -> SearchResult:
    """Return the result with what is missing spelled as in `text`, where that holds it."""
    lowered = text.lower()
    starts = [(name, lowered.find(name.lower())) for name in result.missing]
    typed = tuple(text[at : at + len(name)] if at >= 0 else name for name, at in starts)
    return replace(result, missing=typed) if typed else result


def in_english(
    engine: Engine, text: str, translate: str, limits: TurnLimits = USUAL_LIMITS
) -> Generator[Queued | Prefill, None, str]:
    """Yield the engine's progress and return its translation, "" if it fails.

    Callers only search for the result and never show or run it. Raises QueueFull.
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
