"""A conversation as a browser keeps it: plain values, validated whenever they come back.

The browser keeps the list (static/shelf.js); the server makes the turns on it and reads the one on the page. The
browser's copy is untrusted: only texts and web addresses of the expected types pass, within limits, unknown keys are
ignored, and a turn that does not validate is left out. A visitor who edits it can mislead only the model that answers
that same visitor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from model.checking.gate import PLACE, Judged
from model.checking.terminal_escapes import harmless
from model.engine.events import Counts, FinishReason, Timings
from model.prompting.assemble import user_message
from model.prompting.conversation import MAX_READ, MAX_STEP, MAX_STEPS, Conversation, PastTurn, Topic
from model.turn.events import RouteChosen, TurnFinished
from onboarding.assistant.guide import MAX_CHARS, MAX_TURNS
from onboarding.assistant.turns import Turn
from onboarding.ui.kit.markdown import safe_url
from rag.types import Passage, SearchResult

MAX_ANSWER = 20_000  # characters
MAX_SAVED_TURNS = 4 * MAX_TURNS  # of one conversation: what was stopped, and what another tab added, comes on top
ID = r"^[A-Za-z0-9_-]{1,60}$"

NOT_DONE = frozenset({"cancelled", "error"})  # reasons of turns that no later one leans on


class SavedJudgement(BaseModel, frozen=True):
    """A sentence that was marked or left out, and its place in the answer."""

    at: int = Field(ge=0, le=MAX_ANSWER)
    kind: Literal["not_found", "left_out"]
    words: str = Field(max_length=500)
    source: int = Field(default=0, ge=0, le=99)
    evidence: str = Field(default="", max_length=2_000)
    command: bool = False


class SavedTopic(BaseModel, frozen=True):
    """The topic of a turn, for the questions that lean on it; see `model.prompting.conversation.Topic`."""

    question: str = Field(max_length=MAX_CHARS)
    language: str = Field(default="en", max_length=5)
    title: str = Field(default="", max_length=200)
    page: str = Field(default="", max_length=200)
    read: tuple[Annotated[str, Field(max_length=40)], ...] = Field(default=(), max_length=MAX_READ)
    steps: tuple[Annotated[str, Field(max_length=MAX_STEP)], ...] = Field(default=(), max_length=MAX_STEPS)


class SavedTurn(BaseModel, frozen=True):
    """A question and its answer, as far as it came."""

    id: str = Field(pattern=ID)
    question: str = Field(max_length=MAX_CHARS)
    answer: str = Field(max_length=MAX_ANSWER)
    reason: FinishReason = "stop"  # why the answer ended; one under way is kept as if its visitor had left
    replaces: tuple[Annotated[str, Field(pattern=ID)], ...] = Field(default=(), max_length=MAX_SAVED_TURNS)  # ids
    route: str = Field(default="", max_length=40)
    label: str = Field(default="", max_length=60)
    sources: tuple[tuple[str, str], ...] = Field(default=(), max_length=12)  # (title, address)
    judged: tuple[SavedJudgement, ...] = Field(default=(), max_length=100)
    stands_for: str = Field(default="", max_length=MAX_CHARS)
    topic: SavedTopic | None = None


class SavedConversation(BaseModel, frozen=True):
    """One conversation."""

    id: str = Field(pattern=ID)
    turns: tuple[SavedTurn, ...] = Field(min_length=1, max_length=MAX_SAVED_TURNS)


def read_saved(value: object) -> SavedConversation | None:
    """Return the conversation that a browser sent, without turns that do not validate; None when nothing is left."""
    if not isinstance(value, Mapping) or not isinstance(value.get("turns"), list):
        return None
    turns = tuple(_valid_turns(value["turns"][-MAX_SAVED_TURNS:]))
    try:
        return SavedConversation.model_validate({"id": value.get("id"), "turns": turns})
    except ValidationError:
        return None


def _valid_turns(values: list[Any]) -> Iterator[SavedTurn]:
    for value in values:
        try:
            yield SavedTurn.model_validate(value)
        except ValidationError:
            continue


def saved_turn(turn: Turn) -> SavedTurn:
    """Return a turn as the browser keeps it; whatever is longer than the limits is cut to them."""
    route = turn.route or RouteChosen("", "", 1.0)
    sources = tuple((passage.title, safe_url(passage.url)) for passage in turn.sources[:12])
    judged = tuple(_saved_judgement(at, one) for at, one in turn.judged[:100] if at <= MAX_ANSWER)
    topic = turn.finished.conversation.topic if turn.finished and turn.phase == "done" else None
    return SavedTurn(
        id=turn.id, question=turn.question[:MAX_CHARS], answer=turn.text[:MAX_ANSWER], reason=_reason(turn),
        replaces=turn.replaces[-MAX_SAVED_TURNS:], route=route.name[:40], label=route.label[:60], sources=sources,
        judged=judged, stands_for=route.stands_for[:MAX_CHARS], topic=_saved_topic(topic) if topic else None,
    )  # fmt: skip


def _reason(turn: Turn) -> FinishReason:
    if turn.failure:
        return "error"
    return turn.finished.reason if turn.finished and not turn.stopped else "cancelled"


def _saved_topic(topic: Topic) -> SavedTopic:
    cut = replace(topic, question=topic.question[:MAX_CHARS], title=topic.title[:200], page=topic.page[:200])
    return SavedTopic(**asdict(cut))


def _saved_judgement(at: int, judged: Judged) -> SavedJudgement:
    cut = {"words": judged.words[:500], "evidence": judged.evidence[:2_000]}
    return SavedJudgement(at=at, **asdict(judged) | cut)


def restored(saved: SavedTurn, before: Conversation) -> Turn:
    """Return a turn as the page shows it and as the model may continue it, behind the conversation `before` it.

    The passages behind an answer are not saved, so a terminal escape that its sources held becomes harmless too.
    """
    past = saved.model_copy(update={"answer": harmless(saved.answer.replace(PLACE, ""))})
    topic = Topic(**past.topic.model_dump()) if past.topic else None
    said = PastTurn(past.question, past.answer, past.route, user_message(past.question, []), topic=topic)
    after = before if past.reason in NOT_DONE else before.with_turn(said)
    passages = [Passage("", "", title, (), "", (0, 0), safe_url(url), 0.0, "") for title, url in past.sources]
    return Turn(
        id=past.id,
        question=past.question,
        before=before,
        replaces=past.replaces,
        route=RouteChosen(past.route, past.label, 1.0, stands_for=past.stands_for) if past.label else None,
        found=SearchResult(passages, 1.0, ""),
        text=past.answer,
        judged=tuple((min(one.at, len(past.answer)), _judged(one)) for one in sorted(past.judged, key=_place)),
        finished=TurnFinished(past.answer, past.reason, Counts(), Timings(), "", bool(passages), after),
        from_browser=True,
    )


def _judged(saved: SavedJudgement) -> Judged:
    words, evidence = harmless(saved.words), harmless(saved.evidence)
    return Judged(saved.kind, words, saved.source, evidence, saved.command)


def _place(saved: SavedJudgement) -> int:
    return saved.at
