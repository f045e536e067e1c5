"""Conversations as a browser keeps them: a short list of plain values, validated whenever it comes back.

The browser's copy is untrusted: only texts and web addresses of the expected types pass, within limits, and unknown
keys are ignored. A visitor who edits the list can mislead only the model that answers that same visitor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from model.checking.gate import PLACE, Judged
from model.checking.terminal_escapes import harmless
from model.engine.events import Counts, Timings
from model.prompting.assemble import user_message
from model.prompting.conversation import MAX_READ, MAX_STEP, MAX_STEPS, Conversation, PastTurn, Topic
from model.turn.events import RouteChosen, TurnFinished
from onboarding.assistant.guide import MAX_CHARS, MAX_TURNS
from onboarding.assistant.turns import Turn
from onboarding.ui.kit.markdown import safe_url
from rag.types import Passage, SearchResult

STORAGE_KEY = "qubinode-conversations"
STORAGE_SALT = "qubinode-navigator"  # no secret: every browser gets it; fixed, to outlive a restart
MAX_BYTES = 48_000  # the list travels with each question; edge/allowlist.py lets 256 KiB through
MAX_CONVERSATIONS = 20
TITLE_LENGTH = 60


class SavedJudgement(BaseModel, frozen=True):
    """A sentence that was marked or left out, and its place in the answer."""

    at: int = Field(ge=0, le=20_000)
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
    """A question and its finished answer."""

    question: str = Field(max_length=MAX_CHARS)
    answer: str = Field(max_length=20_000)
    route: str = Field(default="", max_length=40)
    label: str = Field(default="", max_length=60)
    sources: tuple[tuple[str, str], ...] = Field(default=(), max_length=12)  # (title, address)
    judged: tuple[SavedJudgement, ...] = Field(default=(), max_length=100)
    stands_for: str = Field(default="", max_length=MAX_CHARS)
    topic: SavedTopic | None = None  # of the last turn only: what comes next leans on no other


class SavedConversation(BaseModel, frozen=True):
    """One conversation and its title in the list."""

    id: str = Field(max_length=40)
    title: str = Field(max_length=200)
    turns: tuple[SavedTurn, ...] = Field(min_length=1, max_length=MAX_TURNS)


class ConversationList(BaseModel, frozen=True):
    """All conversations of one browser, the latest first; `open_id` names the one on the page."""

    open_id: str = Field(default="", max_length=40)
    items: tuple[SavedConversation, ...] = Field(default=(), max_length=200)

    def get(self, conversation_id: str) -> SavedConversation | None:
        """Return the conversation of that id, or None."""
        return next((item for item in self.items if item.id == conversation_id), None)

    def put(self, item: SavedConversation) -> ConversationList:
        """Return the list with `item` first and open; the oldest give way until it fits."""
        kept = [item, *(other for other in self.items if other.id != item.id)][:MAX_CONVERSATIONS]
        saved = ConversationList(open_id=item.id, items=tuple(kept))
        while len(saved.items) > 1 and saved.size > MAX_BYTES:
            saved = ConversationList(open_id=item.id, items=saved.items[:-1])
        return saved if saved.size <= MAX_BYTES else _shortened(saved)

    def without(self, conversation_id: str) -> ConversationList:
        """Return the list without the conversation of that id."""
        open_id = "" if self.open_id == conversation_id else self.open_id
        return ConversationList(open_id=open_id, items=tuple(item for item in self.items if item.id != conversation_id))

    def renamed(self, conversation_id: str, title: str) -> ConversationList:
        """Return the list with another title for one conversation; an empty title changes nothing."""
        title = " ".join(title.split())[:TITLE_LENGTH]
        item = self.get(conversation_id)
        if not item or not title:
            return self
        new = item.model_copy(update={"title": title})
        return self.model_copy(update={"items": tuple(new if i.id == new.id else i for i in self.items)})

    @property
    def size(self) -> int:
        """Return the bytes of the list as JSON."""
        return len(self.model_dump_json().encode())


def _shortened(saved: ConversationList) -> ConversationList:
    """Return the list with the oldest turns of its first conversation dropped until it fits."""
    item = saved.items[0]
    while len(item.turns) > 1 and saved.size > MAX_BYTES:
        item = item.model_copy(update={"turns": item.turns[1:]})
        saved = saved.model_copy(update={"items": (item,)})
    return saved if saved.size <= MAX_BYTES else ConversationList()


def read_saved(value: object) -> ConversationList:
    """Return the list that the browser sent, or an empty one when it does not validate."""
    try:
        return ConversationList.model_validate(value)
    except ValidationError:
        return ConversationList()


def saved_conversation(conversation_id: str, turns: Sequence[Turn], title: str = "") -> SavedConversation | None:
    """Return the finished turns of a conversation as it is saved, or None when there are none."""
    done = [turn for turn in turns if turn.phase == "done"]
    kept = tuple(_saved_turn(turn, last=turn is done[-1]) for turn in done)
    if not kept:
        return None
    return SavedConversation(id=conversation_id, title=title or _title(kept[0].question), turns=kept)


def _saved_turn(turn: Turn, *, last: bool) -> SavedTurn:
    route = turn.route or RouteChosen("", "", 1.0)
    sources = tuple((passage.title, safe_url(passage.url)) for passage in turn.sources[:12])
    judged = tuple(_saved_judgement(at, one) for at, one in turn.judged[:100])
    topic = turn.finished.conversation.topic if turn.finished and last else None
    return SavedTurn(
        question=turn.question, answer=turn.text, route=route.name, label=route.label, sources=sources, judged=judged,
        stands_for=route.stands_for, topic=_saved_topic(topic) if topic else None,
    )  # fmt: skip


def _saved_topic(topic: Topic) -> SavedTopic:
    cut = replace(topic, question=topic.question[:MAX_CHARS], title=topic.title[:200], page=topic.page[:200])
    return SavedTopic(**asdict(cut))


def _saved_judgement(at: int, judged: Judged) -> SavedJudgement:
    return SavedJudgement(at=at, **asdict(judged) | {"evidence": judged.evidence[:2_000]})


def _title(question: str) -> str:
    words = " ".join(question.split())
    return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"


def restore(item: SavedConversation) -> tuple[Conversation, list[Turn]]:
    """Return the conversation as the model may continue it, and its turns as the page shows them.

    The passages behind an answer are not saved, so a terminal escape that its sources held becomes harmless too.
    """
    conversation, turns = Conversation(item.id), []
    for number, kept in enumerate(item.turns):
        past = kept.model_copy(update={"answer": harmless(kept.answer.replace(PLACE, ""))})
        topic = Topic(**past.topic.model_dump()) if past.topic else None
        asked, before = user_message(past.question, []), conversation
        said = PastTurn(past.question, past.answer, past.route, asked, topic=topic)
        conversation = before.with_turn(said)
        turns.append(_restored(f"{item.id}-{number}", past, before, conversation))
    return conversation, turns


def _restored(turn_id: str, past: SavedTurn, before: Conversation, after: Conversation) -> Turn:
    passages = [Passage("", "", title, (), "", (0, 0), safe_url(url), 0.0, "") for title, url in past.sources]
    return Turn(
        id=turn_id,
        question=past.question,
        before=before,
        route=RouteChosen(past.route, past.label, 1.0, stands_for=past.stands_for) if past.label else None,
        found=SearchResult(passages, 1.0, ""),
        text=past.answer,
        judged=tuple((min(one.at, len(past.answer)), _judged(one)) for one in sorted(past.judged, key=_place)),
        finished=TurnFinished(past.answer, "stop", Counts(), Timings(), "", bool(passages), after),
    )


def _judged(saved: SavedJudgement) -> Judged:
    words, evidence = harmless(saved.words), harmless(saved.evidence)
    return Judged(saved.kind, words, saved.source, evidence, saved.command)


def _place(saved: SavedJudgement) -> int:
    return saved.at
