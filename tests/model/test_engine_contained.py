"""Whatever fails within a generation ends that generation with a reason; the engine lives and the next is answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from model.engine.events import Finished, TextDelta
from model.engine.llama import BatchRow, ContextOptions, Llama
from model.engine.local import ENDED, FAILED, NO_MEMORY, EngineOptions, LocalEngine
from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import ModelInfo, Options, QueueFull
from model.kv_cache.prefix_cache import DiskTier, PrefixCache
from model.kv_cache.state import UnknownState
from tests.model.test_engine import BRIEF, SHORT, finish, prompt

MB = 1_000_000
POISON = "poisoned"
# Where -> a fault of another kind each; a lack of memory, which is said in words of its own, comes from everywhere.
FAULTS: dict[str, Exception] = {
    "tokenize": RecursionError("too deep"), "decode": RuntimeError("broken"), "new_sampler": KeyError("x"),
    "sample": UnknownState("torn"), "piece": RuntimeError("broken"),
}  # fmt: skip
STATE_FAULTS: dict[str, Exception] = {"save": RuntimeError("broken"), "restore": UnknownState("torn")}

OpenFaulty = Callable[..., LocalEngine]


class Faulty(Llama):
    """The real thing, but `raises[name]` is raised by the method of that name, or by what holds the poison."""

    def __init__(self, path: Path, raises: dict[str, Exception]) -> None:
        self._raises: dict[str, Exception] = {}
        self._poison: set[int] = set()
        super().__init__(path, ContextOptions(cells=2048, sequences=12))
        self._poison = set(self.tokenize(POISON, control=False)[-1:] + self.tokenize(f" {POISON}", control=False)[-1:])
        self._raises = raises

    def _fail(self, name: str) -> None:
        if name in self._raises:
            raise self._raises[name]

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        if POISON in text:
            self._fail("tokenize")
        return super().tokenize(text, control=control)

    def decode(self, rows: Sequence[BatchRow]) -> int:
        if any(row.token in self._poison for row in rows):
            if "status" in self._raises:
                return -3  # computing the graph failed
            self._fail("decode")
        return super().decode(rows)

    def new_sampler(self, sampling: Any) -> object:
        self._fail("new_sampler")
        return super().new_sampler(sampling)

    def sample(self, sampler: object, row: int) -> int:
        self._fail("sample")
        return super().sample(sampler, row)

    def piece(self, token: int) -> bytes:
        self._fail("piece")
        return super().piece(token)

    def save(self, sequence: int) -> bytes:
        self._fail("save")
        return super().save(sequence)

    def restore(self, sequence: int, data: bytes) -> bool:
        self._fail("restore")
        return super().restore(sequence, data)


@pytest.fixture
def open_faulty(smol: Path) -> Iterator[OpenFaulty]:
    opened: list[LocalEngine] = []

    def open_one(raises: dict[str, Exception], cache: PrefixCache | None = None, window: int = 2048) -> LocalEngine:
        info = ModelInfo("smol", "SmolLM2", 98, stand_in=True)
        cache = cache or PrefixCache(64 * MB)
        opened.append(LocalEngine(lambda: Faulty(smol, raises), cache, info, EngineOptions(window=window)))
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.close()


def answers(engine: LocalEngine, question: str = "Is RHEL 8 accepted?") -> bool:
    text, last = finish(engine.submit(prompt(question), SHORT))
    return bool(text) and last.reason in ("stop", "length")


def with_memory_errors(faults: dict[str, Exception]) -> Iterator[tuple[str, Exception]]:
    for where, error in faults.items():
        yield from ((where, error), (where, MemoryError()))


@pytest.mark.parametrize(("where", "error"), with_memory_errors(FAULTS))
def test_a_fault_ends_its_generation_with_a_reason_and_the_next_is_answered(
    open_faulty: OpenFaulty, where: str, error: Exception
) -> None:
    raises = {where: error}
    engine = open_faulty(raises)
    _, last = finish(engine.submit(prompt(POISON), SHORT))
    assert last.reason == "error"
    expected = NO_MEMORY if isinstance(error, MemoryError) and where != "decode" else FAILED
    assert last.error in (expected, str(error))  # a ValueError's text is written for visitors
    raises.clear()
    assert answers(engine)
    assert (engine.load().running, engine.load().waiting) == (0, 0)


def test_a_batch_that_fails_for_one_conversation_ends_that_one_only(open_faulty: OpenFaulty) -> None:
    engine = open_faulty({"status": RuntimeError()})
    long = Options(max_tokens=30, ignore_end=True)
    others = [engine.submit(prompt(f"Question {number}"), long) for number in range(2)]
    poisoned = engine.submit(prompt(f"Say {POISON}"), long)
    assert finish(poisoned)[1].error == FAILED
    assert [finish(other)[1].reason for other in others] == ["length", "length"]
    assert answers(engine)


@pytest.mark.parametrize(("where", "error"), with_memory_errors(STATE_FAULTS))
def test_a_state_that_cannot_be_kept_or_restored_is_computed_afresh(
    open_faulty: OpenFaulty, tmp_path: Path, where: str, error: Exception
) -> None:
    engine = open_faulty({}, PrefixCache(64 * MB, DiskTier(tmp_path, "test", 64 * MB)))
    text, first = finish(engine.submit(prompt("Is RHEL 8 accepted?"), SHORT))
    engine.close()
    again = open_faulty({where: error}, PrefixCache(64 * MB, DiskTier(tmp_path, "test", 64 * MB)))
    told, last = finish(again.submit(prompt("Is RHEL 8 accepted?"), SHORT))
    assert (told, last.reason) == (text, first.reason)
    assert answers(again, "Which versions work?")
    if where == "restore":
        assert last.counts.read == first.counts.read, "what cannot be used is read again"


class BrokenCache(PrefixCache):
    """A cache whose methods raise what the test says."""

    def __init__(self, raises: dict[str, Exception]) -> None:
        super().__init__(64 * MB)
        self._raises = raises

    def __contains__(self, key: bytes) -> bool:
        return bool(self._do("contains", lambda: super(BrokenCache, self).__contains__(key)))

    def get(self, key: bytes) -> Any:
        return self._do("get", lambda: super(BrokenCache, self).get(key))

    def put(self, *given: Any, **named: Any) -> None:
        self._do("put", lambda: super(BrokenCache, self).put(*given, **named))

    def use(self, key: bytes) -> bool:
        return bool(self._do("use", lambda: super(BrokenCache, self).use(key)))

    def _do(self, name: str, work: Callable[[], Any]) -> Any:
        if name in self._raises:
            raise self._raises[name]
        return work()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError()], ids=["disk", "memory"])
@pytest.mark.parametrize("where", ["contains", "get", "put", "use"])
def test_a_broken_cache_costs_time_and_no_answer(open_faulty: OpenFaulty, where: str, error: Exception) -> None:
    raises: dict[str, Exception] = {}
    engine = open_faulty({}, BrokenCache(raises))
    assert answers(engine)
    raises[where] = error
    assert answers(engine, "Which versions work?")
    engine.prewarm([prompt("Ahead")])
    wait_until(engine.is_warm)
    assert answers(engine, "And then?")


@pytest.mark.parametrize("where", ["tokenize", "decode"])
def test_a_fault_in_a_prompt_read_ahead_drops_that_prompt_alone(
    open_faulty: OpenFaulty, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_faulty({where: RuntimeError("broken")})
    engine.prewarm([prompt(f"Say {POISON}"), prompt("Something else")])
    wait_until(engine.is_warm)
    assert len([one for one in caplog.records if one.exc_info]) == 1
    assert finish(engine.submit(prompt("Something else"), SHORT))[1].counts.read < 25, "the other one was read"


def test_an_engine_that_ends_says_so_once_and_to_everybody(
    open_faulty: OpenFaulty, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_faulty({})
    running = engine.submit(prompt("Go on"), Options(max_tokens=500, ignore_end=True))
    events = iter(running)
    while not isinstance(next(events), TextDelta):
        pass
    monkeypatch.setattr(engine, "_loop_once", broken_loop)
    last = [event for event in events if isinstance(event, Finished)][-1]
    assert (last.reason, last.error) == ("error", ENDED)
    wait_until(lambda: engine.load().silent_s > 1e9)
    assert engine.cause == "SystemError: the loop broke"
    assert len([one for one in caplog.records if one.exc_info]) == 1
    with pytest.raises(QueueFull, match="started again"):
        engine.submit(prompt("Hello"))


def broken_loop() -> None:
    raise SystemError("the loop broke")


def test_a_passage_of_too_many_tokens_loses_its_end_and_is_answered(open_faulty: OpenFaulty) -> None:
    """A letter may take four tokens, so what a splitter cut by letters can be longer than the model reads."""
    engine = open_faulty({}, window=512)
    asked = Prompt(
        (
            PromptSegment("<|im_start|>user\n", control=True),
            PromptSegment(BRIEF, boundary=True),
            PromptSegment("🦜" * 1500, boundary=True, passage=True, turn=1),
            PromptSegment("🦜" * 1500, passage=True, turn=1),
            PromptSegment("What is it?", private=True, turn=1),
            PromptSegment("<|im_end|>\n<|im_start|>assistant\n", control=True, turn=1),
        )
    )
    _, last = finish(engine.submit(asked, SHORT))
    assert last.reason in ("stop", "length"), last.error
    assert last.counts.prompt == 512 - SHORT.max_tokens


def wait_until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1200):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError("it never came to that")
