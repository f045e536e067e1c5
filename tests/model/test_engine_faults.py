"""What llama.cpp may answer besides a computed batch, and a machine with too little memory: nobody else's answer ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from model.engine.events import Finished
from model.engine.llama import DECODED, NO_SLOT, BatchRow, ContextOptions, Llama
from model.engine.local import EngineOptions, LocalEngine
from model.engine.protocol import Generation, ModelInfo, Options
from model.kv_cache.prefix_cache import PrefixCache
from tests.model.test_engine import SHORT, finish, prompt

FAILED = -3  # what llama_decode returns when computing the graph fails
MB = 1_000_000

Fault = Callable[[Sequence[BatchRow]], int]
OpenFaulty = Callable[..., LocalEngine]


class Faulty(Llama):
    """The real thing, but `fault` says what a batch ends with; DECODED computes it."""

    def __init__(self, path: Path, fault: Fault) -> None:
        self._fault: Fault = lambda _: DECODED
        super().__init__(path, ContextOptions(cells=2048, sequences=12))
        self._fault = fault

    def decode(self, rows: Sequence[BatchRow]) -> int:
        status = self._fault(rows)
        return super().decode(rows) if status == DECODED else status


@pytest.fixture
def open_faulty(smol: Path) -> Iterator[OpenFaulty]:
    opened: list[LocalEngine] = []

    def open_one(fault: Fault, ram: int = 64 * MB) -> LocalEngine:
        info = ModelInfo("smol", "SmolLM2", 98, stand_in=True)
        opened.append(LocalEngine(lambda: Faulty(smol, fault), PrefixCache(ram), info, EngineOptions()))
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.close()


def once(rows_wanted: int, status: int) -> Fault:
    """`status` for the first batch of at least so many rows."""
    left = [status]
    return lambda rows: left.pop() if left and len(rows) >= rows_wanted else DECODED


def test_a_batch_that_fails_ends_its_own_answers_with_a_reason_and_the_next_go_on(open_faulty: OpenFaulty) -> None:
    engine = open_faulty(once(20, FAILED))
    _, failed = finish(engine.submit(prompt("Is RHEL 8 accepted?"), SHORT))
    assert (failed.reason, failed.error) == ("error", "The model failed on this answer; please ask again.")
    text, after = finish(engine.submit(prompt("Is RHEL 8 accepted?"), SHORT))
    assert after.reason in ("stop", "length")
    assert text


def test_without_a_free_cell_the_youngest_gives_way_and_the_others_finish(open_faulty: OpenFaulty) -> None:
    def together(rows: Sequence[BatchRow]) -> int:
        """No slot while three visitors share a batch."""
        return NO_SLOT if len({row.sequence for row in rows}) == 3 else DECODED

    engine = open_faulty(together)
    options = Options(max_tokens=40, ignore_end=True)
    generations = [engine.submit(prompt(f"Question {number}"), options) for number in range(3)]
    ends = collect(generations)
    assert [end.reason for end in ends] == ["length", "length", "error"]
    assert "memory is full" in ends[2].error


def test_no_slot_once_gives_up_what_is_parked_and_computes(open_faulty: OpenFaulty) -> None:
    engine = open_faulty(once(100, NO_SLOT), ram=0)  # where RAM has no room, conversations rest in their cells
    finish(engine.submit(prompt("Short", passage="Short. "), SHORT))  # parked afterwards
    _, last = finish(engine.submit(prompt("Is RHEL 8 accepted?", passage="word " * 150), SHORT))
    assert last.reason in ("stop", "length")


def test_a_context_that_does_not_fit_the_memory_is_made_smaller_and_said(smol: Path) -> None:
    script = """
import logging, resource, sys
from pathlib import Path
from model.engine.llama import ContextOptions, Llama
logging.basicConfig(stream=sys.stdout, format="%(message)s")
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 700_000_000, resource.RLIM_INFINITY))
print("cells", Llama(Path(sys.argv[1]), ContextOptions(cells=131072)).cells)
"""
    run = [sys.executable, "-c", script, str(smol)]
    said = subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
    cells = int(said.split()[-1])
    assert 1024 <= cells < 131072
    assert "does not fit the memory, trying" in said


def collect(generations: Sequence[Generation]) -> list[Finished]:
    """The last event of each; the engine waits for no reader, so one after the other will do."""
    return [finish(generation)[1] for generation in generations]
