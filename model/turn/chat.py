"""Run one chat turn, from question to checked answer, as a stream of frozen events."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from model.checking.answer_filter import AnswerFilter
from model.checking.grounding import Given
from model.checking.terminal_escapes import lenders
from model.engine.events import Counts, Finished, FinishReason, Prefill, Queued, TextDelta, Timings
from model.engine.protocol import Engine, Options, QueueFull, Sampling
from model.prompting.assemble import place, prompt_for, tool_text, user_message
from model.prompting.conversation import Conversation, MessagePart, PastTurn
from model.prompting.system_prompts import PromptTexts
from model.turn.events import Notice, SourcesFound, ToolFinished, ToolStarted, TurnEvent, TurnFinished
from model.turn.limits import USUAL_LIMITS, TurnLimits
from model.turn.retrieval import Searcher, look_up
from model.turn.stand_in import MAX_TOKENS as STAND_IN_MAX_TOKENS
from model.turn.stand_in import without_code
from model.turn.tool_calling import ToolMenu, choose
from model.turn.wording import NO_SOURCES, NOT_LOADED, STAND_IN_ADDS, Words, abstention, ending, lead, marks, nearness
from rag.types import Embedded, Passage, SearchResult
from tools.diagnosis.summary import is_whole_run
from tools.types import ToolCall, ToolResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """The question of a turn, with all that the router decided about it."""

    text: str
    conversation: Conversation
    route: str
    system_prompt: str = ""  # the route's
    search: str = ""  # what to search for if not `text`: the English words of a question in another language
    words: Words = field(default_factory=Words)
    hint: str = ""  # the topic, for a conversation that began on another route
    reply: str = ""  # a fixed answer; the turn then ignores the rest
    calls: tuple[ToolCall, ...] = ()  # checks to run; without any, the documentation is searched
    menu: ToolMenu | None = None  # the router is unsure: the model chooses, and `calls` are the second best
    host: str = ""  # of the calls a model chooses
    embedded: Embedded | None = None  # what is looked up, with its vector where somebody has embedded it already


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """The record of how a turn went, without a word of question or answer."""

    route: str
    model: str
    reason: FinishReason
    counts: Counts
    timings: Timings
    passages: tuple[str, ...]  # ids
    tools: tuple[str, ...]
    abstained: bool
    removed: int  # citations and addresses that were taken out
    at: float = field(default_factory=time.time)  # seconds since the epoch


@dataclass(slots=True)
class _Turn:
    """The state of a turn so far."""

    engine: Engine | None  # the same for the whole turn: its tokens and its name must be those of one model
    result: SearchResult | None = None
    results: list[ToolResult] = field(default_factory=list)  # of the tools
    calls: list[ToolCall] = field(default_factory=list)
    said: AnswerFilter = field(default_factory=AnswerFilter)
    finished: Finished = field(default_factory=lambda: Finished("stop"))
    asked: tuple[MessagePart, ...] = ()
    abstained: bool = False
    model: str = ""

    def say(self, text: str) -> Iterator[TextDelta]:
        """Yield the app's own words as they may be shown."""
        yield from _delta(self.said.say(text))


class Chat:
    """The chat that answers questions. Any part may be missing for a while; then the answer says so and does without.

    engine_for: the engine that serves a conversation, or None while it loads; called once a turn. searcher: retrieval,
    or None. run_tool: runs a call in the sandbox. texts: what the model is told. record: takes the record of each turn.
    """

    def __init__(
        self,
        engine_for: Callable[[Conversation], Engine | None],
        searcher: Callable[[], Searcher | None],
        run_tool: Callable[[ToolCall], ToolResult],
        texts: PromptTexts,
        record: Callable[[TurnRecord], None] = lambda _record: None,
        limits: TurnLimits = USUAL_LIMITS,
    ) -> None:
        self._engine_for = engine_for
        self._searcher = searcher
        self._run_tool = run_tool
        self._texts = texts
        self._record = record
        self._limits = limits

    def answer(self, ask: Ask) -> Iterator[TurnEvent]:
        """Yield the events of one turn, TurnFinished last; close the iterator to stop the computing."""
        turn, started = _Turn(self._engine_for(ask.conversation)), time.monotonic()
        try:
            if ask.reply:
                yield from turn.say(ask.reply)
            else:
                yield from self._look(ask, turn)
                found = turn.result.passages if turn.result else []
                turn.said.lend(lenders(found, turn.calls, turn.results))
                yield from self._reply(ask, turn)
            yield self._end(ask, turn, started)
        except GeneratorExit:
            turn.finished = Finished("cancelled", turn.finished.counts, turn.finished.timings)
            raise
        finally:
            self._record(_record(ask, turn))

    def _look(self, ask: Ask, turn: _Turn) -> Iterator[TurnEvent]:
        """Gather the evidence first: sources and tool results reach the page before the prefill starts."""
        engine = turn.engine
        if ask.menu and engine and not engine.info.stand_in:
            yield from self._let_choose(ask, ask.menu, engine, turn)
        else:
            for call in ask.calls:
                yield from self._check(call, turn)
        searcher = None if turn.results else self._searcher()
        if searcher:
            translate = self._texts.translate
            turn.result = yield from look_up(
                searcher, engine, ask.text, ask.search, translate, self._limits, ask.embedded
            )
            yield SourcesFound(turn.result, nearness(ask.words.near, turn.result))

    def _check(self, call: ToolCall, turn: _Turn) -> Iterator[TurnEvent]:
        yield ToolStarted(call)
        result = self._run_tool(call)
        turn.calls.append(call)
        turn.results.append(result)
        yield ToolFinished(call, result)

    def _let_choose(self, ask: Ask, menu: ToolMenu, engine: Engine, turn: _Turn) -> Iterator[TurnEvent]:
        """Run what the model chooses, each call once; if its queue is full, run the router's best guess."""
        done: list[ToolCall] = []
        try:
            while len(done) < self._limits.tool_rounds:
                call = yield from choose(engine, menu, ask.text, turn.results, ask.host, self._limits)
                if call is None or call in done:
                    return
                done.append(call)
                yield from self._check(call, turn)
        except QueueFull:
            for call in () if done else ask.calls:
                yield from self._check(call, turn)

    def _reply(self, ask: Ask, turn: _Turn) -> Iterator[TurnEvent]:
        result = turn.result
        if not turn.results and not (result and result.passages):
            turn.abstained = True
            yield from turn.say(abstention(result, ask.words) if result else NO_SOURCES)
            return
        engine = turn.engine
        first = lead(turn.results, result, time.time())
        if near := nearness(ask.words.near, result):
            yield from turn.say(f"{near}\n\n")
        if engine is None:
            yield from turn.say(first or NOT_LOADED)
            if first:
                yield Notice(NOT_LOADED)
            return
        if engine.info.stand_in and turn.results:
            yield from turn.say(first)  # the rules read a result better than a model of this size
            return
        turn.model = engine.info.label
        if engine.info.stand_in and first:
            yield from turn.say(f"{first}\n\n{STAND_IN_ADDS} ")
        elif is_whole_run(turn.results):  # the rules' diagnosis is worth more than any model's
            yield from turn.say(first + "\n\n")
        yield from self._generate(ask, turn, engine)

    def _generate(self, ask: Ask, turn: _Turn, engine: Engine) -> Iterator[TurnEvent]:
        limits = self._limits
        given = chosen(turn.result.passages if turn.result else [], engine.info.stand_in, limits)
        told = tool_text(turn.results, time.time(), limits.tool_result_chars) if turn.results else ""
        hint = ask.hint if ask.conversation.visible else ""
        turn.asked = user_message(
            ask.text, given, cite=self._texts.cite, told=told, hint=hint,
            near=nearness(self._texts.near, turn.result), question_tokens=limits.question_tokens,
        )  # fmt: skip
        turn.said.expect(_evidence(given, told, ask.text), [place(passage) for passage in given])
        try:
            prompt = prompt_for(engine, ask.conversation, ask.system_prompt, turn.asked)
            generation = engine.submit(prompt, _options(engine, limits))
            for event in without_code(generation) if engine.info.stand_in else generation:
                if isinstance(event, Finished):
                    turn.finished = event
                elif isinstance(event, TextDelta):
                    yield from _delta(turn.said.feed(event.text))
                elif isinstance(event, Queued | Prefill):
                    yield event
        except QueueFull as full:
            turn.finished = Finished("error")
            yield Notice(str(full), "full")
        yield from _delta(turn.said.flush())
        yield from ending(turn.finished)
        if turn.finished.reason not in ("error", "cancelled"):
            yield from marks(turn.said, foreign=bool(ask.search))

    def _end(self, ask: Ask, turn: _Turn, started: float) -> TurnFinished:
        finished, answer = turn.finished, turn.said.answer
        timings = finished.timings if turn.model else Timings(0.0, None, time.monotonic() - started)
        grounded = bool(turn.results or (turn.result and turn.result.passages))
        conversation = ask.conversation
        if finished.reason != "error":
            wrote = turn.engine.info.name if turn.engine and finished.tokens else ""
            past = PastTurn(ask.text, answer, ask.route, turn.asked, finished.tokens, wrote)
            conversation = conversation.with_turn(past, system_prompt=ask.system_prompt, dropped=finished.dropped_turns)
        return TurnFinished(answer, finished.reason, finished.counts, timings, turn.model, grounded, conversation)


def chosen(passages: Sequence[Passage], stand_in: bool, limits: TurnLimits = USUAL_LIMITS) -> list[Passage]:
    """Return the passages the model reads: the lead, then those that still fit; always a prefix, so numbers agree."""
    given: list[Passage] = []
    room = limits.room
    for passage in passages[: 1 if stand_in else limits.passages]:
        room -= len(passage.text)
        if given and room < 0:
            break
        given.append(passage)
    return given


def _delta(text: str) -> Iterator[TextDelta]:
    if text:
        yield TextDelta(text)


def _evidence(given: Sequence[Passage], told: str, question: str) -> Given:
    """Return what the answer may draw on; a passage's headings count as its words."""
    passages = tuple(f"{place(passage)}\n{passage.text}" for passage in given)
    return Given(passages, tuple(filter(None, [*(passage.url for passage in given), told])), question)


def _options(engine: Engine, limits: TurnLimits) -> Options:
    if engine.info.stand_in:
        most = min(STAND_IN_MAX_TOKENS, limits.answer_tokens)
        return Options(most, Sampling(repeat_penalty=1.15), limits.deadline_s)
    return Options(limits.answer_tokens, Sampling(repeat_penalty=1.05), limits.deadline_s)


def _record(ask: Ask, turn: _Turn) -> TurnRecord:
    passages = tuple(passage.id for passage in turn.result.passages) if turn.result else ()
    finished = turn.finished
    return TurnRecord(
        ask.route, turn.model, finished.reason, finished.counts, finished.timings, passages,
        tuple(result.tool_name for result in turn.results), turn.abstained, turn.said.removed,
    )  # fmt: skip
