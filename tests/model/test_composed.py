"""Passages that were read once are laid wherever they stand; counts are exact, so no stopwatch is needed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.engine.events import Finished
from model.engine.llama import DECODED, BatchRow, ContextOptions, Llama
from model.engine.local import EngineOptions, LocalEngine
from model.engine.prompt import Encoded, Prompt, PromptSegment
from model.engine.protocol import Generation, Options
from model.kv_cache.state import Rotation, UnknownState, is_packed, moved, packed, turns, unpacked
from tests.conftest import OpenEngine

SHORT = Options(max_tokens=12)
OPTIONS = EngineOptions(composed=True)
HEAD = (
    PromptSegment("<|im_start|>system\n", control=True),
    PromptSegment("You are the guide of a documentation. Answer from the passages. " * 2, boundary=True),
    PromptSegment("<|im_end|>\n<|im_start|>user\n", control=True, turn=1),
    PromptSegment("<documents>\n", boundary=True, turn=1),
)
RHEL, PORTS, LOGS = (
    "# Systems\nThe script accepts RHEL 9 and RHEL 10 and refuses RHEL 8. Rocky 9 is accepted too.\n\n",
    "# Ports\nAirflow listens on port 8888 of the host, and the assistant on port 8080. Cockpit has 9090.\n\n",
    "# Logs\nThe deployment writes its log into the folder tmp of the host, with the date in its name.\n\n",
)


def prompt(question: str, passages: Sequence[str]) -> Prompt:
    """A first question; only its lead passage is a prefix that others share."""
    return Prompt((*HEAD, *asking(question, passages, turn=1)), HEAD)


def asking(question: str, passages: Sequence[str], turn: int) -> list[PromptSegment]:
    return [
        *(PromptSegment(text, passage=True, boundary=at == 0, turn=turn) for at, text in enumerate(passages)),
        PromptSegment("</documents>\n", turn=turn),
        PromptSegment(question, private=True, turn=turn),
        PromptSegment("<|im_end|>\n<|im_start|>assistant\n", control=True, boundary=True, turn=turn),
    ]


def next_turn(first: Prompt, answer: tuple[int, ...], question: str, passages: Sequence[str]) -> Prompt:
    segments = (
        *first.segments,
        PromptSegment(tokens=answer, boundary=True, private=True, turn=1),
        PromptSegment("<|im_end|>\n<|im_start|>user\n", control=True, turn=2),
        PromptSegment("<documents>\n", boundary=True, turn=2),
        *asking(question, passages, turn=2),
    )
    return Prompt(segments, HEAD)


def encoded(llama: Llama, asked: Prompt) -> Encoded:
    return asked.encode(lambda text, control: llama.tokenize(text, control=control), 4000)


def finish(generation: Generation) -> Finished:
    return next(event for event in generation if isinstance(event, Finished))


def read_ahead(engine: LocalEngine, *passages: str) -> None:
    asked = prompt("", passages)
    engine.prewarm([asked.alone(segment) for segment in asked.segments if segment.passage])
    settle(engine)


def settle(engine: LocalEngine) -> None:
    end = time.monotonic() + 60
    while not engine.is_warm():
        assert time.monotonic() < end, "not read in time"
        time.sleep(0.02)


def fresh(engine: LocalEngine, asked: Prompt, known: int = 3) -> int:
    """The tokens to be read when the lead and `known` - 1 passages behind it are known."""
    whole = encoded(engine._llama, asked)
    lead, *others = whole.places[:known]
    return len(whole.tokens) - lead.end - sum(place.end - place.start for place in others)


def test_of_a_first_question_on_known_passages_only_itself_is_read(open_engine: OpenEngine) -> None:
    engine = open_engine(options=OPTIONS)
    read_ahead(engine, RHEL, PORTS, LOGS)
    for order in ([RHEL, PORTS, LOGS], [LOGS, RHEL, PORTS]):
        asked = prompt("Which port is Airflow on?", order)
        last = finish(engine.submit(asked, SHORT))
        assert last.counts.read == fresh(engine, asked) < 60 < last.counts.prompt
        assert last.counts.generated


@pytest.mark.parametrize("passages", [[""], [RHEL, ""], ["Short.\n", RHEL, "One.\n"]])
def test_passages_of_hardly_a_token_are_laid_too(open_engine: OpenEngine, passages: list[str]) -> None:
    engine = open_engine(options=OPTIONS)
    read_ahead(engine, *passages)
    last = finish(engine.submit(prompt("?", passages), SHORT))
    assert last.reason in ("stop", "length")
    assert last.counts.generated


def test_what_is_not_known_is_read_where_it_stands_and_alone_once_nobody_waits(open_engine: OpenEngine) -> None:
    engine = open_engine(options=OPTIONS)
    first = finish(engine.submit(prompt("Which port?", [RHEL, PORTS]), SHORT))
    assert first.counts.read == first.counts.prompt
    settle(engine)
    asked = prompt("Where is the log?", [LOGS.removeprefix("# "), PORTS])
    last = finish(engine.submit(asked, SHORT))
    ports = encoded(engine._llama, asked).places[1]
    assert last.counts.prompt - last.counts.read == encoded(engine._llama, prompt("", [])).boundaries[1] + (
        ports.end - ports.start
    )


def test_a_passage_that_another_turn_brings_again_is_not_read_again(open_engine: OpenEngine) -> None:
    engine = open_engine(options=OPTIONS)
    read_ahead(engine, RHEL, PORTS)
    opening = prompt("Which port?", [RHEL, PORTS])
    first = finish(engine.submit(opening, SHORT))
    asked = next_turn(opening, first.tokens, "And RHEL 8?", [PORTS, RHEL])
    last = finish(engine.submit(asked, SHORT))
    opens, *again = encoded(engine._llama, asked).places[2:]
    assert opens.opens
    new = last.counts.prompt - first.counts.prompt - len(first.tokens)
    laid = opens.end - opens.start + sum(place.end - place.start for place in again)
    assert last.counts.read in (new - laid, new - laid + 1)  # one more where the last written token was not computed


def test_when_the_oldest_turn_is_dropped_only_what_is_new_is_read(open_engine: OpenEngine) -> None:
    engine = open_engine(options=replace(OPTIONS, window=460))
    read_ahead(engine, RHEL, PORTS, LOGS)
    asked = prompt("Which port?", [RHEL, PORTS])
    last = finish(engine.submit(asked, SHORT))
    for turn in range(2, 6):
        segments = (
            *asked.segments,
            PromptSegment(tokens=last.tokens, boundary=True, private=True, turn=turn - 1),
            PromptSegment("<|im_end|>\n<|im_start|>user\n", control=True, turn=turn),
            PromptSegment("<documents>\n", boundary=True, turn=turn),
            *asking("And RHEL 8, then?", [LOGS, RHEL], turn=turn),
        )
        asked = Prompt(segments, HEAD)
        last = finish(engine.submit(asked, SHORT))
        new = encoded(engine._llama, Prompt(tuple(one for one in asked.segments if one.turn == turn)))
        assert last.counts.read <= len(new.tokens) - 2 * len(engine._llama.tokenize(RHEL, control=False))
        if last.dropped_turns:
            break
    assert last.dropped_turns == 1
    assert last.reason in ("stop", "length")


def test_four_visitors_at_once_each_read_only_their_own_question(open_engine: OpenEngine) -> None:
    engine = open_engine(options=OPTIONS)
    read_ahead(engine, RHEL, PORTS, LOGS)
    asked = [prompt(f"Question {number}?", [RHEL, PORTS, LOGS]) for number in range(4)]
    lasts = [finish(one) for one in [engine.submit(one, SHORT) for one in asked]]
    assert [last.counts.read for last in lasts] == [fresh(engine, one) for one in asked]


def test_what_is_computed_behind_a_laid_passage_is_kept_for_nobody_else(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    engine = open_engine(tmp_path, options=OPTIONS)
    read_ahead(engine, RHEL, PORTS)
    asked = prompt("My secret question", [RHEL, PORTS])
    public = replace(asked, segments=tuple(replace(segment, private=False) for segment in asked.segments))
    finish(engine.submit(asked, SHORT))
    finish(engine.submit(public, SHORT))
    engine.close()
    assert len(list(tmp_path.glob("*/*.kv"))) == 4  # system prompt, opening, two passages


def test_a_whole_prompt_is_read_ahead_exactly_though_its_passages_could_be_laid(open_engine: OpenEngine) -> None:
    engine = open_engine(options=OPTIONS, flash=True)
    read_ahead(engine, RHEL, PORTS)
    asked = prompt("Which port?", [RHEL, PORTS])
    finish(engine.submit(asked, SHORT))  # parked, and laid in part
    public = replace(asked, segments=tuple(replace(segment, private=False) for segment in asked.segments))
    engine.prewarm([public])
    settle(engine)
    exact = finish(open_engine(options=EngineOptions()).submit(asked, Options(max_tokens=40)))
    restored = finish(engine.submit(public, Options(max_tokens=40)))
    assert restored.counts.read == 1
    assert restored.tokens == exact.tokens


def test_a_restart_lays_what_the_disk_has_packed_and_drops_a_torn_file(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(tmp_path, options=OPTIONS)
    read_ahead(engine, RHEL, PORTS)
    asked = prompt("Which port?", [RHEL, PORTS])
    engine.close()
    again = open_engine(tmp_path, options=OPTIONS)
    assert finish(again.submit(asked, SHORT)).counts.read == fresh(again, asked, 2)
    whole = encoded(again._llama, asked)
    again.close()
    torn = next(tmp_path.glob(f"*/{whole.places[1].key.hex()}.kv"))
    torn.write_bytes(torn.read_bytes()[:-9])
    last = finish(open_engine(tmp_path, options=OPTIONS).submit(asked, SHORT))
    assert last.counts.read == len(whole.tokens) - whole.places[0].end
    assert last.reason in ("stop", "length")


def test_without_the_switch_or_a_proven_rotation_everything_is_read(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = prompt("Which port?", [RHEL, PORTS])
    exact = open_engine(options=EngineOptions())
    read_ahead(exact, RHEL, PORTS)
    wanted = len(encoded(exact._llama, asked).tokens) - encoded(exact._llama, asked).places[0].end
    assert finish(exact.submit(asked, SHORT)).counts.read == wanted
    monkeypatch.setattr(Llama, "_proven_rotation", lambda _self: None)
    unproven = open_engine(options=OPTIONS)
    read_ahead(unproven, RHEL, PORTS)
    assert finish(unproven.submit(asked, SHORT)).counts.read == wanted


def test_where_no_cells_are_free_a_passage_is_read_or_the_answer_ends_with_a_reason(open_engine: OpenEngine) -> None:
    engine = open_engine(options=OPTIONS)
    read_ahead(engine, RHEL, PORTS)
    engine._llama.restore = lambda *_: False  # type: ignore[method-assign]
    last = finish(engine.submit(prompt("Which port?", [RHEL, PORTS]), SHORT))
    assert last.reason in ("stop", "length")
    assert last.counts.generated


def test_stop_while_passages_are_laid_leaves_the_engine_whole(open_engine: OpenEngine) -> None:
    engine = open_engine(options=OPTIONS)
    read_ahead(engine, RHEL, PORTS, LOGS)
    asked = prompt("Which port?", [RHEL, PORTS, LOGS])
    for _ in range(3):
        generation = engine.submit(asked, SHORT)
        generation.cancel()
        assert finish(generation).reason == "cancelled"
    last = finish(engine.submit(asked, SHORT))
    assert last.reason in ("stop", "length")
    assert last.counts.read <= fresh(engine, asked)


def test_reading_ahead_ends_where_it_would_push_out_what_was_read_first(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    engine = open_engine(tmp_path, options=OPTIONS)
    read_ahead(engine, RHEL)
    disk = engine._cache._disk
    assert disk is not None
    end = time.monotonic() + 20
    while len(kept := {path.name for path in tmp_path.glob("*/*.kv")}) < 3:
        assert time.monotonic() < end, "not stored in time"
        time.sleep(0.02)
    disk.limit = sum(disk._useful.values()) + 10
    read_ahead(engine, PORTS, LOGS)
    engine.close()
    assert {path.name for path in tmp_path.glob("*/*.kv")} == kept


def test_states_of_another_model_do_not_keep_passages_from_being_read(open_engine: OpenEngine, tmp_path: Path) -> None:
    other = open_engine(tmp_path, options=OPTIONS, fingerprint="other")
    read_ahead(other, RHEL, PORTS, LOGS)
    other.close()
    others = {path: path.stat().st_size for path in tmp_path.glob("*/*.kv")}
    # A tenth above what they take: what another run computes packs a few bytes larger or smaller.
    engine = open_engine(tmp_path, options=OPTIONS, disk=int(1.1 * sum(others.values())))
    read_ahead(engine, RHEL, PORTS, LOGS)
    asked = prompt("Which port?", [RHEL, PORTS, LOGS])
    assert finish(engine.submit(asked, SHORT)).counts.read == fresh(engine, asked)
    engine.close()
    assert sum(path.exists() for path in others) < len(others) / 2


# --- states --------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["flash", "transposed"])
def llama(smol: Path, request: pytest.FixtureRequest) -> Llama:
    return Llama(smol, ContextOptions(cells=1024, sequences=6, flash=request.param))


def state(llama: Llama, text: str, start: int) -> bytes:
    tokens = llama.tokenize(text, control=False)
    rows = [BatchRow(token, start + at, 2) for at, token in enumerate(tokens)]
    assert llama.decode(rows) == DECODED
    data = llama.save(2)
    llama.forget(2)
    return data


def test_a_moved_state_is_the_one_that_llama_itself_moves(llama: Llama) -> None:
    assert llama.rotation == Rotation(64, 64, 100_000.0)
    data = state(llama, RHEL, 5)
    assert llama.restore(3, data)
    llama.shift(3, 0, -1, 130)
    llama.decode([BatchRow(1, 0, 4)])  # keys turn at the next decode
    wanted, got = llama.save(3), moved(data, 130, llama.rotation)
    assert wanted[16:-1] != data[16:-1]
    keys = [np.frombuffer(one, "<f2", offset=len(one) % 2).astype(np.float32) for one in (wanted, got)]
    assert np.nanmax(np.abs(keys[0] - keys[1])) < 0.02 * np.nanmax(np.abs(keys[0][np.isfinite(keys[0])]))


def test_a_packed_state_is_a_quarter_as_large_at_most_and_near_the_one_it_came_from(llama: Llama) -> None:
    data = state(llama, RHEL * 4, 5)
    small = packed(data)
    assert is_packed(small) and packed(small) == small and unpacked(data) == data
    assert len(small) < 0.25 * len(data)
    again = unpacked(small)
    assert len(again) == len(data)
    assert llama.restore(3, again) and llama.rotation is not None
    assert turns(llama.rotation, data, data, 0) and turns(llama.rotation, data, moved(data, 0, llama.rotation), 0)
    one, other = (np.frombuffer(part, "<f2", offset=len(part) % 2).astype(np.float32) for part in (data, again))
    finite = np.isfinite(one) & np.isfinite(other)
    assert np.corrcoef(one[finite], other[finite])[0, 1] > 0.99


@pytest.mark.parametrize("kept", [0, 20, -1])
@pytest.mark.parametrize("added", [b"", b"x" * 99])
def test_a_state_that_is_laid_out_otherwise_is_neither_moved_nor_packed(llama: Llama, kept: int, added: bytes) -> None:
    data = state(llama, RHEL, 5)[:kept] + added
    assert llama.rotation is not None
    with pytest.raises(UnknownState):
        packed(data)
    with pytest.raises(UnknownState):
        moved(data, 3, llama.rotation)


@pytest.mark.parametrize("error", [UnknownState("torn"), MemoryError(), RuntimeError("broken")])
def test_a_passage_that_cannot_be_laid_is_read_where_it_stands(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    engine = open_engine(options=OPTIONS)
    read_ahead(engine, RHEL, PORTS)

    def fail(*_given: object) -> bytes:
        raise error

    monkeypatch.setattr("model.engine.sequences.moved", fail)
    asked = prompt("Which port?", [RHEL, PORTS])
    last = finish(engine.submit(asked, SHORT))
    assert last.reason in ("stop", "length")
    assert last.counts.read > fresh(engine, asked, 2), "the passage was read"
    monkeypatch.undo()
    settle(engine)
    again = prompt("Which port is it?", [RHEL, PORTS])
    assert finish(engine.submit(again, SHORT)).reason in ("stop", "length")
