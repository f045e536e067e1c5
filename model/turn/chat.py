"""Run one chat turn, from question to checked answer, as a stream of frozen events."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

from model.checking.answer_filter import AnswerFilter, Piece
from model.checking.gate import Gate, Judge, Judged
from model.checking.terminal_escapes import lenders
from model.checking.verdict import SentenceChecker
from model.engine.events import Counts, Finished, FinishReason, Prefill, Queued, TextDelta, Timings
from model.engine.protocol import Engine, ModelInfo, Options, QueueFull, Sampling
from model.prompting.assemble import heading, place, prompt_for, tool_text, user_message
from model.prompting.conversation import Conversation, MessagePart, PastTurn, Topic
from model.prompting.system_prompts import PromptTexts
from model.prompting.template import TemplateUnusable
from model.statements.evidence import Given
from model.turn.events import Notice, SourcesFound, ToolFinished, ToolStarted, TurnEvent, TurnFinished
from model.turn.held_to_rules import WithRules
from model.turn.limits import USUAL_LIMITS, TurnLimits
from model.turn.retrieval import Searcher, look_up
from model.turn.stand_in import MAX_TOKENS as STAND_IN_MAX_TOKENS
from model.turn.stand_in import OnlyWhatAdds, without_code
from model.turn.tool_calling import ToolMenu, choose
from model.turn.wording import (
    ALL_LEFT_OUT,
    NO_SOURCES,
    NOT_LOADED,
    STAND_IN_ADDS,
    Words,
    abstention,
    ending,
    lead,
    nearness,
    remarks,
)
from rag.types import Embedded, Passage, SearchResult, State
from tools.diagnosis.reading import ResultReading, read
from tools.diagnosis.summary import is_whole_run
from tools.types import ToolCall, ToolResult

ENGLISH = "en"  # of the pages and the rules
EARLIER_TURNS = 2  # whose passages an answer may still draw on
_MARKUP = re.compile(r"</?(?:documents?|tool_response)\b[^>]*>")

_EMPTY_ITEM = re.compile(r"^[ \t>]*(?:[-*+]|\d+[.)])?[ \t]*\n(?=[ \t>]*(?:[-*+]|\d+[.)])[ \t])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ask:
    """The question of a turn, with all that the router decided about it."""

    text: str
    conversation: Conversation
    route: str
    search: str = ""  # what to search for if not `text`: the English words of a question in another language
    words: Words = field(default_factory=Words)
    reply: str = ""  # a fixed answer; the turn then ignores the rest
    calls: tuple[ToolCall, ...] = ()  # checks to run; without any, the documentation is searched
    menu: ToolMenu | None = None  # the router is unsure: the model chooses, and `calls` are the second best
    host: str = ""  # of the calls a model chooses
    embedded: Embedded | None = None  # what is looked up, with its vector where somebody has embedded it already
    language: str = ENGLISH  # code of the question's language
    found: SearchResult | None = None  # what it finds where somebody has searched already
    topic: Topic | None = None  # of the talk up to this question

    @property
    def foreign(self) -> bool:
        """Return True where the question is in another language than the sources and the rules."""
        return self.language != ENGLISH


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
    shown: int = 0  # sentences, table rows and commands of the model that came out
    left_out: int = 0  # those that did not
    language: str = ENGLISH  # code of the question's
    state: State | None = None  # of the search; None where nothing was searched for
    at: float = field(default_factory=time.time)  # seconds since the epoch


@dataclass(slots=True)
class _Turn:
    """The state of a turn so far."""

    engine: Engine | None  # the same for the whole turn: its tokens and its name must be those of one model
    result: SearchResult | None = None
    results: list[ToolResult] = field(default_factory=list)  # of the tools
    calls: list[ToolCall] = field(default_factory=list)
    reading: ResultReading = field(default_factory=ResultReading)  # of the tools' results, by rules
    said: AnswerFilter = field(default_factory=AnswerFilter)
    finished: Finished = field(default_factory=lambda: Finished("stop"))
    asked: tuple[MessagePart, ...] = ()
    abstained: bool = False
    model: str = ""

    def say(self, text: str) -> Iterator[TurnEvent]:
        """Yield the app's own words as they may be shown."""
        yield from _shown([self.said.say(text)])

    @property
    def stands_whole(self) -> bool:
        """True where the model said something and nothing of it was left out."""
        return bool(self.said.gate and self.said.generated and not self.said.gate.left_out)


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
        checker: Callable[..., Judge] = SentenceChecker,
    ) -> None:
        self._engine_for = engine_for
        self._searcher = searcher
        self._run_tool = run_tool
        self._texts = texts
        self._record = record
        self._limits = limits
        self._checker = checker

    def answer(self, ask: Ask) -> Generator[TurnEvent, None, None]:
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
                searcher, engine, ask.text, ask.search, translate, self._limits, ask.embedded, ask.found
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
        engine, now = turn.engine, time.time()
        first = self._first(ask, turn, now)
        near = nearness(ask.words.near, result)
        yield from turn.say(f"{near}\n\n" if near else "")
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
            yield from turn.say(first)
        elif turn.results:  # the rules' sentence, or their diagnosis, is worth more than any model's
            yield from turn.say((first if is_whole_run(turn.results) else turn.reading.text or first) + "\n\n")
        before = turn.said.answer
        yield from self._generate(ask, turn, engine, now)
        gate = turn.said.gate
        if gate and gate.left_out and not gate.standing and not engine.info.stand_in:
            yield from self._left_out(
                turn, first if turn.said.answer.strip() == before.strip() and not turn.results else ""
            )

    def _left_out(self, turn: _Turn, first: str) -> Iterator[TurnEvent]:
        """Say that nothing of the model's text stands; `first` takes its place, unless it stands there already."""
        yield from turn.say(first)
        yield Notice(ALL_LEFT_OUT)

    def _first(self, ask: Ask, turn: _Turn, now: float) -> str:
        """Return the answer without a model; the rules' sentence on tools' results stands before their summary."""
        first = lead(turn.results, turn.result, now)
        if not turn.results:
            return first
        # The rules read English only; of another language's question they say what the results show.
        reading = read("" if ask.foreign else ask.search or ask.text, turn.results, now)
        turn.reading = replace(reading, text="") if ask.foreign else reading
        opening = turn.reading.text + (" " if turn.reading.text in ("Yes.", "No.") else "\n\n")
        return opening + first if turn.reading.text else first

    def _generate(self, ask: Ask, turn: _Turn, engine: Engine, now: float) -> Iterator[TurnEvent]:
        limits, said = self._limits, turn.said
        given = chosen(turn.result.passages if turn.result else [], engine.info, limits)
        told = tool_text(turn.results, now, limits.tool_result_chars) if turn.results else ""
        if told and turn.reading.text:
            told = f"{turn.reading.text}\n{told}"
        turn.asked = user_message(
            ask.text, given, cite=self._texts.cite, told=told, checked=self._texts.checked,
            near=nearness(self._texts.near, turn.result), question_tokens=limits.question_tokens,
        )  # fmt: skip
        self._expect(ask, turn, _evidence(given, told, ask, turn.result), given, stand_in=engine.info.stand_in)
        try:
            prompt = prompt_for(engine, ask.conversation, self._texts.brief, turn.asked)
            generation = engine.submit(prompt, _options(engine, limits))
            for event in without_code(generation) if engine.info.stand_in else generation:
                if isinstance(event, Finished):
                    turn.finished = event
                elif isinstance(event, TextDelta):
                    yield from _shown(said.feed(event.text))
                elif isinstance(event, Queued | Prefill):
                    yield event
        except QueueFull as full:
            turn.finished = Finished("error")
            yield Notice(str(full), "full")
        except TemplateUnusable as error:  # of this conversation's shape; a model's first turns are tried out at load
            turn.finished = Finished("error", error=str(error))
        yield from _shown(said.flush())
        yield from ending(turn.finished)
        if turn.finished.reason not in ("error", "cancelled"):
            yield from remarks(said)

    def _expect(self, ask: Ask, turn: _Turn, evidence: Given, given: Sequence[Passage], *, stand_in: bool) -> None:
        """Let the filter of the answer expect the model's part: what it may draw on, and who judges it."""
        checker = self._checker(evidence, foreign=ask.foreign, before=turn.said.answer or ask.text)
        judge = WithRules(checker, turn.reading) if turn.results else checker
        gate = OnlyWhatAdds(judge, evidence.passages, turn.said.answer) if stand_in else Gate(judge)
        opening = f"\n\n{STAND_IN_ADDS} " if stand_in and turn.said.answer else ""
        turn.said.expect(evidence, [heading(passage) for passage in given], gate, opening)

    def _end(self, ask: Ask, turn: _Turn, started: float) -> TurnFinished:
        finished, answer = turn.finished, turn.said.answer
        silent = bool(turn.engine and turn.engine.info.stand_in and not turn.said.generated.strip())
        model = "" if silent else turn.model  # a stand-in that added nothing did not answer
        timings = finished.timings if model else Timings(0.0, None, time.monotonic() - started)
        grounded = bool(turn.results or (turn.result and turn.result.passages))
        conversation = ask.conversation
        if finished.reason != "error":
            # Tokens as the model wrote them would bring back what was left out.
            tokens = finished.tokens if turn.stands_whole else ()
            wrote = turn.engine.info.name if turn.engine and tokens else ""
            said, topic = _EMPTY_ITEM.sub("", answer), _topic(ask, turn)
            past = PastTurn(ask.text, said, ask.route, turn.asked, tokens, wrote, topic)
            conversation = conversation.with_turn(past, dropped=finished.dropped_turns)
        return TurnFinished(
            answer, finished.reason, finished.counts, timings, model, grounded, conversation, turn.said.generated
        )


def chosen(passages: Sequence[Passage], model: ModelInfo, limits: TurnLimits = USUAL_LIMITS) -> list[Passage]:
    """Return the passages the model reads: the lead, then those that still fit; always a prefix, so numbers agree."""
    given: list[Passage] = []
    room = limits.room
    most = 1 if model.stand_in else min(limits.passages, model.passages or limits.passages)
    for passage in passages[:most]:
        room -= len(passage.text)
        if given and room < 0:
            break
        given.append(passage)
    return given


def _topic(ask: Ask, turn: _Turn) -> Topic | None:
    """Return the topic of the talk after a turn, for the questions that lean on it."""
    result = turn.result
    lead = result.passages[0] if result and result.passages else None
    return ask.topic.answered(lead, turn.said.answer, result.extract if result else "") if ask.topic else None


def _shown(pieces: Sequence[Piece]) -> Iterator[TurnEvent]:
    for piece in pieces:
        if isinstance(piece, Judged):
            yield piece
        elif piece:
            yield TextDelta(piece)


def _evidence(given: Sequence[Passage], told: str, ask: Ask, found: SearchResult | None) -> Given:
    """Return what the answer may draw on; a passage's headings count as its words.

    What earlier turns gave the model to read counts too, for it still reads that; a check of a host stands for itself.
    """
    passages = tuple(f"{place(passage)}\n{passage.text}" for passage in given)
    earlier = [] if told else [_read_in(turn) for turn in ask.conversation.visible[-EARLIER_TURNS:]]
    others = filter(None, [*(passage.url for passage in given), told, *earlier])
    standing = ask.topic.question if ask.topic else ""  # what "and debian?" asks
    question = ask.text if standing in ("", ask.text) else f"{ask.text}\n{standing}"
    return Given(passages, tuple(others), question, answers=not (found and found.missing))


def _read_in(turn: PastTurn) -> str:
    """Return the passages that a turn gave the model to read."""
    return _MARKUP.sub("", "".join(part.text for part in turn.asked if not part.private))


def _options(engine: Engine, limits: TurnLimits) -> Options:
    if engine.info.stand_in:
        most = min(STAND_IN_MAX_TOKENS, limits.answer_tokens)
        return Options(most, Sampling(repeat_penalty=1.15), limits.deadline_s)
    return Options(limits.answer_tokens, Sampling(repeat_penalty=1.05), limits.deadline_s)


def _record(ask: Ask, turn: _Turn) -> TurnRecord:
    passages = tuple(passage.id for passage in turn.result.passages) if turn.result else ()
    finished, gate = turn.finished, turn.said.gate
    shown, left_out = (gate.standing, gate.left_out) if gate else (0, 0)
    return TurnRecord(
        ask.route, turn.model, finished.reason, finished.counts, finished.timings, passages,
        tuple(result.tool_name for result in turn.results), turn.abstained, turn.said.removed, shown, left_out,
        ask.language, turn.result.state if turn.result else None,
    )  # fmt: skip
