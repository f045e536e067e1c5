"""One chat turn, from question to checked answer, as a stream of frozen events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from model.assemble import build, user_message
from model.citations import CitationFilter
from model.conversation import Block, Conversation, PastTurn
from model.events import (
    Counts,
    Finished,
    FinishReason,
    Notice,
    Prefill,
    Queued,
    SourcesFound,
    TextDelta,
    Timings,
    ToolCall,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFinished,
)
from model.generation import Engine, Options, QueueFull
from model.llama import Sampling
from model.support import unsupported
from model.template import ChatTemplate
from rag.types import Passage, SearchResult
from tools.summary import summary
from tools.types import ToolResult

logger = logging.getLogger(__name__)

MAX_PASSAGES = 3  # that the model reads; the page shows all that were found
PASSAGE_CHARS = 2200  # together, about 600 tokens: half a minute of reading on two cores when nothing is cached
STAND_IN_TOKENS = 120  # the embedded model rambles; what it adds to the extract stays short
ABSTAIN = "The documentation I have does not answer this, so I would be guessing."
STAND_IN_ADDS = "*The stand-in model adds:*"
NOT_LOADED = "The model is not ready yet, so this comes straight from the documentation or the tool."
NO_SOURCES = (
    "The documentation cannot be searched right now, and without sources I would be guessing. While the page says that "
    "the index is being built, ask again in a minute; if it says that it failed, the operator runs: python -m rag build"
)


class Searcher(Protocol):
    """What a turn needs of retrieval."""

    def search(self, text: str, k: int = 5) -> SearchResult:
        """The passages that answer `text`, or none."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question with all that was decided about it before the model is asked."""

    text: str
    conversation: Conversation
    route: str
    brief: str = ""  # the route's system message
    hint: str = ""  # said before the question when the conversation began on another route
    reply: str = ""  # a fixed answer; then nothing else is looked at
    search: bool = True
    tool: ToolCall | None = None


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """How a turn went, without a word of what was said."""

    route: str
    model: str
    reason: FinishReason
    counts: Counts
    timings: Timings
    passages: tuple[str, ...]  # ids
    tool: str
    abstained: bool
    removed: int  # citations and addresses that were taken out
    at: float = field(default_factory=time.time)  # seconds since the epoch


@dataclass(slots=True)
class _Turn:
    """What a turn has gathered so far."""

    result: SearchResult | None = None
    tool: ToolResult | None = None
    answer: str = ""
    finished: Finished = field(default_factory=lambda: Finished("stop"))
    asked: tuple[Block, ...] = ()
    abstained: bool = False
    removed: int = 0
    model: str = ""


class Chat:
    """Answers questions. Every part may be missing for a while; then the answer says so and does without.

    engine_for: the engine that serves a conversation, or None while it loads. searcher: retrieval, or None.
    run_tool: runs a call in the sandbox. record: takes the record of each turn.
    """

    def __init__(
        self,
        engine_for: Callable[[Conversation], Engine | None],
        searcher: Callable[[], Searcher | None],
        run_tool: Callable[[ToolCall], ToolResult],
        record: Callable[[TurnRecord], None] = lambda _record: None,
    ) -> None:
        self._engine_for = engine_for
        self._searcher = searcher
        self._run_tool = run_tool
        self._record = record

    def answer(self, ask: Ask) -> Iterator[TurnEvent]:
        """The events of one turn; closing the iterator stops the computing. The last event is TurnFinished."""
        turn, started = _Turn(), time.monotonic()
        try:
            if ask.reply:
                yield self._say(turn, ask.reply)
            else:
                yield from self._look(ask, turn)
                yield from self._reply(ask, turn)
            yield self._end(ask, turn, started)
        except GeneratorExit:
            turn.finished = Finished("cancelled", turn.finished.counts, turn.finished.timings)
            raise
        finally:
            self._record(_record(ask, turn))

    def _look(self, ask: Ask, turn: _Turn) -> Iterator[TurnEvent]:
        """Evidence first: sources and tool results reach the page before the model starts to read."""
        if ask.tool:
            yield ToolStarted(ask.tool)
            turn.tool = self._run_tool(ask.tool)
            yield ToolFinished(ask.tool, turn.tool)
        searcher = self._searcher() if ask.search else None
        if searcher:
            turn.result = searcher.search(ask.text)
            yield SourcesFound(turn.result)

    def _reply(self, ask: Ask, turn: _Turn) -> Iterator[TurnEvent]:
        result = turn.result
        if turn.tool is None and not (result and result.passages):
            turn.abstained = True
            yield self._say(turn, _abstention(result) if result else NO_SOURCES)
            return
        engine = self._engine_for(ask.conversation)
        lead = _lead(turn)
        if engine is None:
            yield self._say(turn, lead or NOT_LOADED)
            if lead:
                yield Notice(NOT_LOADED)
            return
        turn.model = engine.info.label
        if engine.info.stand_in and lead:
            yield self._say(turn, f"{lead}\n\n{STAND_IN_ADDS} ")
        yield from self._generate(ask, turn, engine)

    def _generate(self, ask: Ask, turn: _Turn, engine: Engine) -> Iterator[TurnEvent]:
        given = chosen(turn.result.passages if turn.result else [], engine.info.stand_in)
        evidence = [*(passage.text for passage in given), *(passage.url for passage in given), ask.text]
        if turn.tool:
            evidence.append(str(turn.tool.data))
        turn.asked = user_message(ask.text, given, turn.tool, ask.hint if ask.conversation.visible else "")
        template = ChatTemplate(engine.chat_template, engine.bos, engine.eos) if engine.chat_template else None
        prompt = build(ask.conversation, ask.brief, turn.asked, template, engine.info.name)
        checked = CitationFilter(len(given), evidence)
        lead = turn.answer
        try:
            for event in engine.submit(prompt, _options(engine)):
                if isinstance(event, Finished):
                    turn.finished = event
                elif isinstance(event, TextDelta):
                    yield from self._show(turn, checked.feed(event.text))
                elif isinstance(event, Queued | Prefill):
                    yield event
        except QueueFull as full:
            turn.finished = Finished("error", error=str(full))
        yield from self._show(turn, checked.flush())
        turn.removed = checked.removed
        yield from _notices(turn, checked, turn.answer[len(lead) :], evidence, bool(given))

    def _show(self, turn: _Turn, text: str) -> Iterator[TextDelta]:
        if text:
            turn.answer += text
            yield TextDelta(text)

    def _say(self, turn: _Turn, text: str) -> TextDelta:
        turn.answer += text
        return TextDelta(text)

    def _end(self, ask: Ask, turn: _Turn, started: float) -> TurnFinished:
        finished = turn.finished
        timings = finished.timings if turn.model else Timings(0.0, None, time.monotonic() - started)
        grounded = bool(turn.tool or (turn.result and turn.result.passages))
        conversation = ask.conversation
        if finished.reason != "error":
            written = (Block(tokens=finished.tokens, boundary=True, private=True),) if finished.tokens else ()
            past = PastTurn(ask.text, turn.answer, ask.route, turn.asked, written, self._name(ask) if written else "")
            conversation = conversation.with_turn(past, brief=ask.brief, dropped=finished.dropped_turns)
        return TurnFinished(turn.answer, finished.reason, finished.counts, timings, turn.model, grounded, conversation)

    def _name(self, ask: Ask) -> str:
        engine = self._engine_for(ask.conversation)
        return engine.info.name if engine else ""


def _lead(turn: _Turn) -> str:
    """What answers without any model: the telling fields of a tool's result, or the extract of the passages."""
    if turn.tool:
        return summary(turn.tool)
    return f"{turn.result.extract} [1]" if turn.result and turn.result.extract else ""


def chosen(passages: Sequence[Passage], stand_in: bool) -> list[Passage]:
    """The passages the model reads: the lead, then those that still fit; always a prefix, so numbers agree."""
    given: list[Passage] = []
    room = PASSAGE_CHARS
    for passage in passages[: 1 if stand_in else MAX_PASSAGES]:
        room -= len(passage.text)
        if given and room < 0:
            break
        given.append(passage)
    return given


def _options(engine: Engine) -> Options:
    if engine.info.stand_in:
        return Options(max_tokens=STAND_IN_TOKENS, sampling=Sampling(repeat_penalty=1.15))
    return Options(sampling=Sampling(repeat_penalty=1.05))


def _abstention(result: SearchResult) -> str:
    pages = [f"- [{p.title}]({p.url})" if p.url.startswith("https://") else f"- {p.title}" for p in result.nearest[:3]]
    return ABSTAIN + ("\n\nThe nearest pages:\n\n" + "\n".join(dict.fromkeys(pages)) if pages else "")


def _notices(
    turn: _Turn, checked: CitationFilter, generated: str, evidence: Sequence[str], cited: bool
) -> Iterator[Notice]:
    finished = turn.finished
    if finished.reason == "error":
        yield Notice(finished.error, "error")
    if finished.reason == "deadline":
        yield Notice("The answer took too long and was ended here; ask for less at a time.", "warning")
    if finished.dropped_turns:
        yield Notice(f"The {finished.dropped_turns} oldest turn(s) no longer fit and were dropped.")
    if finished.reason in ("error", "cancelled"):
        return
    for sentence in unsupported(generated, evidence):
        yield Notice(f"Not found in the sources: \u201c{sentence}\u201d", "warning")
    if checked.removed:
        yield Notice(f"{checked.removed} citation(s) or address(es) that are in no source were taken out.")
    if cited and not checked.cited and STAND_IN_ADDS not in turn.answer:
        yield Notice("The generated text cites no source; compare it with the excerpts above.", "warning")


def _record(ask: Ask, turn: _Turn) -> TurnRecord:
    passages = tuple(passage.id for passage in turn.result.passages) if turn.result else ()
    finished = turn.finished
    return TurnRecord(
        ask.route, turn.model, finished.reason, finished.counts, finished.timings, passages,
        ask.tool.tool if ask.tool else "", turn.abstained, turn.removed,
    )  # fmt: skip
