"""The engine over a real model: counts are exact, so no stopwatch is needed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from model.engine.events import Finished, Prefill, Queued, TextDelta
from model.engine.llama import schema_grammar
from model.engine.local import EngineOptions
from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import Generation, Options, QueueFull, Sampling
from tests.conftest import OpenEngine

BRIEF = "You are the guide of a documentation. Answer from the passages and cite them. " * 3
PASSAGE = "Passage one. The script accepts RHEL 9 and RHEL 10 and refuses RHEL 8. " * 3
SHORT = Options(max_tokens=12)


def prompt(question: str, *, passage: str = PASSAGE, system_prompt: str = BRIEF) -> Prompt:
    return Prompt(
        (
            PromptSegment("<|im_start|>system\n", control=True),
            PromptSegment(system_prompt, boundary=True),
            PromptSegment("<|im_end|>\n<|im_start|>user\n", control=True, turn=1),
            PromptSegment(passage, boundary=True, turn=1),
            PromptSegment(question, private=True, turn=1),
            PromptSegment("<|im_end|>\n<|im_start|>assistant\n", control=True, boundary=True, turn=1),
        )
    )


def next_turn(first: Prompt, answer: tuple[int, ...], question: str) -> Prompt:
    return Prompt(
        (
            *first.segments,
            PromptSegment(tokens=answer, boundary=True, private=True, turn=1),
            PromptSegment("<|im_end|>\n<|im_start|>user\n", control=True, turn=2),
            PromptSegment(question, private=True, turn=2),
            PromptSegment("<|im_end|>\n<|im_start|>assistant\n", control=True, turn=2),
        )
    )


def finish(generation: Generation) -> tuple[str, Finished]:
    text = ""
    for event in generation:
        if isinstance(event, TextDelta):
            text += event.text
        if isinstance(event, Finished):
            return text, event
    raise AssertionError("a generation always ends with Finished")


def test_a_first_question_is_read_whole_and_streams_text(open_engine: OpenEngine) -> None:
    events = list(open_engine().submit(prompt("Is RHEL 8 accepted?"), SHORT))
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.counts.read == last.counts.prompt > 80
    assert 1 <= last.counts.generated <= 12
    assert last.timings.first_token_s is not None
    progress = [event for event in events if isinstance(event, Prefill)]
    assert progress[-1].done == progress[-1].total == last.counts.prompt
    assert any(isinstance(event, TextDelta) for event in events)


def test_another_question_on_the_same_passage_reads_only_itself(open_engine: OpenEngine) -> None:
    engine = open_engine()
    _, first = finish(engine.submit(prompt("Is RHEL 8 accepted?"), SHORT))
    _, second = finish(engine.submit(prompt("Which versions work?"), SHORT))
    _, third = finish(engine.submit(prompt("Hello", passage="Something else entirely. "), SHORT))
    assert second.counts.read < 25 < first.counts.read
    assert second.counts.read < third.counts.read < first.counts.read  # the system prompt is shared, the passage is not


def test_the_second_turn_reads_only_what_is_new_even_after_three_other_visitors(open_engine: OpenEngine) -> None:
    engine = open_engine()
    opening = prompt("Is RHEL 8 accepted?")
    _, first = finish(engine.submit(opening, SHORT))
    for other in ("Who made it?", "Where is the log?", "What is a plugin?"):
        finish(engine.submit(prompt(other, passage=f"{other} " * 20), SHORT))
    _, second = finish(engine.submit(next_turn(opening, first.tokens, "And Rocky 9?"), SHORT))
    new = second.counts.prompt - first.counts.prompt - len(first.tokens)
    assert second.counts.read in (new, new + 1)  # one more when the last written token had not been computed


def test_a_restart_begins_warm_and_answers_the_same(open_engine: OpenEngine, tmp_path: Path) -> None:
    question = prompt("Is RHEL 8 accepted?")
    engine = open_engine(tmp_path)
    finish(engine.submit(prompt("Something before"), SHORT))
    computed, before = finish(engine.submit(question, Options(max_tokens=64)))
    engine.close()
    restored, after = finish(open_engine(tmp_path).submit(question, Options(max_tokens=64)))
    assert after.counts.read == before.counts.read < 25
    assert restored == computed


def test_a_restored_prefix_gives_what_a_computed_one_gives(open_engine: OpenEngine, tmp_path: Path) -> None:
    options = Options(max_tokens=64, ignore_end=True)
    computed, cold = finish(open_engine().submit(prompt("Explain the passage."), options))
    finish(open_engine(tmp_path).submit(prompt("Another"), SHORT))
    restored, warm = finish(open_engine(tmp_path).submit(prompt("Explain the passage."), options))
    assert warm.counts.read < cold.counts.read
    assert restored == computed


def test_nothing_a_visitor_typed_reaches_the_disk(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(tmp_path)
    finish(engine.submit(prompt("My secret question"), SHORT))
    engine.close()
    ends = [int.from_bytes(f.read_bytes()[60:64], "little") for f in tmp_path.glob("*/*.kv")]  # see HEADER
    shared = prompt("x").encode(lambda text, _control: list(range(len(text))), 10_000).shared
    assert len(ends) == len(shared) == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "other model", "empty"])
def test_a_damaged_snapshot_is_dropped_and_computed_afresh(
    open_engine: OpenEngine, tmp_path: Path, damage: str
) -> None:
    engine = open_engine(tmp_path)
    computed, cold = finish(engine.submit(prompt("Is RHEL 8 accepted?"), SHORT))
    engine.close()
    for file in tmp_path.glob("*/*.kv"):
        raw = bytearray(file.read_bytes())
        if damage == "flipped":
            raw[len(raw) // 2] ^= 1
        file.write_bytes({"truncated": bytes(raw[: len(raw) // 2]), "empty": b""}.get(damage, bytes(raw)))
    fingerprint = "another" if damage == "other model" else "test"
    again, after = finish(open_engine(tmp_path, fingerprint=fingerprint).submit(prompt("Is RHEL 8 accepted?"), SHORT))
    assert (again, after.counts.read) == (computed, cold.counts.read)


def test_four_visitors_advance_together_and_the_fifth_is_told_its_place(open_engine: OpenEngine) -> None:
    engine = open_engine()
    generations = [engine.submit(prompt(f"Question {i}"), Options(max_tokens=24, ignore_end=True)) for i in range(5)]
    results: dict[int, list[object]] = {}
    threads = [
        threading.Thread(target=lambda i=i, g=g: results.update({i: list(g)})) for i, g in enumerate(generations)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    ends = [end for i in range(5) if isinstance(end := results[i][-1], Finished)]
    assert [end.counts.generated for end in ends] == [24] * 5
    assert isinstance(results[4][0], Queued)
    assert ends[4].timings.queued_s > max(end.timings.queued_s for end in ends[:4])


def test_the_hundred_and_first_waiting_is_refused(open_engine: OpenEngine) -> None:
    engine = open_engine(options=EngineOptions(slots=1, waiting=100))
    running = [engine.submit(prompt("Tell me everything"), Options(max_tokens=400)) for _ in range(101)]
    with pytest.raises(QueueFull, match="queue is full; try again in a minute"):
        engine.submit(prompt("One more"))
    for generation in running:
        generation.cancel()
    assert [finish(generation)[1].reason for generation in running] == ["cancelled"] * 101
    assert engine.load().waiting == 0


def test_who_has_to_wait_is_told_the_true_place_first(open_engine: OpenEngine) -> None:
    engine = open_engine(options=EngineOptions(slots=1))
    generations = [engine.submit(prompt("Tell me everything"), Options(max_tokens=400)) for _ in range(4)]
    first = [next(iter(generation)) for generation in generations[1:]]
    assert [event.ahead for event in first if isinstance(event, Queued)] == [0, 1, 2]
    for generation in generations:
        generation.cancel()


def test_the_end_of_one_answer_aborts_nobody_elses_step() -> None:
    aborted: list[bool] = []
    generation = Generation(lambda: aborted.append(True))
    generation.put(TextDelta("All of it."))
    generation.put(Finished("stop"))
    assert [type(event) for event in generation] == [TextDelta, Finished]
    assert aborted == []


def test_cancel_in_the_middle_of_a_prefill_frees_the_slot_and_keeps_what_was_read(open_engine: OpenEngine) -> None:
    engine = open_engine(cells=4096, options=EngineOptions(slots=1))
    long = prompt("word " * 900)
    generation = engine.submit(long, SHORT)
    seen = next(event for event in generation if isinstance(event, Prefill) and event.done > 100)
    generation.cancel()
    _, other = finish(engine.submit(prompt("Is RHEL 8 accepted?"), SHORT))
    assert other.reason in ("stop", "length")
    _, again = finish(engine.submit(long, SHORT))
    assert again.counts.read <= again.counts.prompt - min(seen.done, 100)


def test_a_caller_that_leaves_its_loop_stops_the_computing(open_engine: OpenEngine) -> None:
    engine = open_engine(options=EngineOptions(slots=1))
    for event in engine.submit(prompt("Tell me everything"), Options(max_tokens=900, ignore_end=True)):
        if isinstance(event, TextDelta):
            break
    assert finish(engine.submit(prompt("Short"), SHORT))[1].reason in ("stop", "length")


def test_a_caller_that_never_reads_holds_nobody_up(open_engine: OpenEngine) -> None:
    engine = open_engine(options=EngineOptions(slots=2))
    silent = engine.submit(prompt("Nobody listens"), Options(max_tokens=50))
    assert finish(engine.submit(prompt("I do"), SHORT))[1].reason in ("stop", "length")
    assert finish(silent)[1].reason in ("stop", "length")


def test_shutdown_while_busy_ends_every_generation(open_engine: OpenEngine) -> None:
    engine = open_engine()
    generations = [engine.submit(prompt("word " * 500), Options(max_tokens=500)) for _ in range(6)]
    engine.close()
    assert {finish(generation)[1].reason for generation in generations} == {"cancelled"}
    with pytest.raises(QueueFull):
        engine.submit(prompt("Too late"))


def test_a_conversation_that_outgrows_the_context_drops_its_oldest_turn_without_reading_again(
    open_engine: OpenEngine,
) -> None:
    engine = open_engine(options=EngineOptions(window=420))
    turns = prompt("Is RHEL 8 accepted?", passage="word " * 60)
    _, last = finish(engine.submit(turns, SHORT))
    for question in ("And 9? " * 20, "And 10? " * 20, "And Rocky? " * 20):
        segments = turns.segments
        turn = segments[-1].turn
        turns = Prompt(
            (
                *segments,
                PromptSegment(tokens=last.tokens, boundary=True, private=True, turn=turn),
                PromptSegment("<|im_end|>\n<|im_start|>user\n", control=True, turn=turn + 1),
                PromptSegment(question, private=True, turn=turn + 1),
                PromptSegment("<|im_end|>\n<|im_start|>assistant\n", control=True, turn=turn + 1),
            )
        )
        _, last = finish(engine.submit(turns, SHORT))
        if last.dropped_turns:
            break
    assert last.dropped_turns == 1
    assert last.reason in ("stop", "length")
    assert last.counts.read < 110 < last.counts.prompt  # only the new question, not the turns that stayed


def test_a_message_longer_than_its_limit_is_refused_with_the_limit(open_engine: OpenEngine) -> None:
    too_long = Prompt((PromptSegment("brief"), PromptSegment("word " * 60, limit=50, turn=1)))
    _, last = finish(open_engine().submit(too_long, SHORT))
    assert last.reason == "error"
    assert "60 tokens" in last.error or "61 tokens" in last.error
    assert "50 are allowed" in last.error


def test_a_grammar_binds_the_answer(open_engine: OpenEngine) -> None:
    schema = '{"type":"object","properties":{"tool":{"enum":["system_info","none"]}},"required":["tool"]}'
    sampling = Sampling(grammar=schema_grammar(schema))
    text, _ = finish(open_engine().submit(prompt("Which tool?"), Options(max_tokens=40, sampling=sampling)))
    assert text.replace(" ", "").strip() in ('{"tool":"system_info"}', '{"tool":"none"}')


def test_a_json_schema_binds_the_answer(open_engine: OpenEngine) -> None:
    number = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    schema = json.dumps(number | {"additionalProperties": False})
    text, _ = finish(
        open_engine().submit(prompt("How many?"), Options(max_tokens=60, sampling=Sampling(schema=schema)))
    )
    assert isinstance(json.loads(text)["count"], int)


def test_an_invalid_grammar_ends_that_generation_and_no_other(open_engine: OpenEngine) -> None:
    engine = open_engine()
    broken = engine.submit(prompt("x"), Options(sampling=Sampling(grammar="root ::= (")))
    assert finish(broken)[1].reason == "error"
    assert finish(engine.submit(prompt("Still there?"), SHORT))[1].reason in ("stop", "length")


def test_prewarming_reads_while_nobody_waits_and_gives_way_to_a_visitor(open_engine: OpenEngine) -> None:
    engine = open_engine(cells=4096)
    engine.prewarm([prompt("", passage="word " * 700), prompt("Warm?", passage="Something warm. " * 10)])
    _, visitor = finish(engine.submit(prompt("I am in a hurry", passage="Short. "), SHORT))
    assert visitor.reason in ("stop", "length")
    deadline = time.monotonic() + 60
    while not engine.is_warm() and time.monotonic() < deadline:
        time.sleep(0.05)
    _, warm = finish(engine.submit(prompt("Warm?", passage="Something warm. " * 10), SHORT))
    assert warm.counts.read == 1


def test_a_prompt_that_does_not_fit_is_not_read_ahead_and_the_engine_goes_on(open_engine: OpenEngine) -> None:
    engine = open_engine(cells=1024)
    engine.prewarm([prompt("", passage="word " * 9_000), prompt("Warm?", passage="Something warm. ")])
    deadline = time.monotonic() + 60
    while not engine.is_warm() and time.monotonic() < deadline:
        time.sleep(0.05)
    _, warm = finish(engine.submit(prompt("Warm?", passage="Something warm. "), SHORT))
    assert (warm.counts.read, warm.reason in ("stop", "length")) == (1, True)


def test_more_conversations_than_the_memory_holds_are_all_answered(open_engine: OpenEngine) -> None:
    engine = open_engine(cells=1024, sequences=8)
    reads = [finish(engine.submit(prompt(f"Question {i}", passage=f"Passage {i}. " * 40), SHORT))[1] for i in range(8)]
    assert {last.reason for last in reads} <= {"stop", "length"}
    again = finish(engine.submit(prompt("Question 0", passage="Passage 0. " * 40), SHORT))[1]
    assert again.counts.read < reads[0].counts.read / 4  # back from RAM, although its cells were given away


def test_two_processes_can_share_a_cache_folder(open_engine: OpenEngine, tmp_path: Path) -> None:
    first, second = open_engine(tmp_path), open_engine(tmp_path)
    finish(first.submit(prompt("Same question"), SHORT))
    finish(second.submit(prompt("Same question"), SHORT))
    first.close()
    second.close()
    assert len(list(tmp_path.glob("*/*.kv"))) == 2
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert finish(open_engine(tmp_path).submit(prompt("Same question"), SHORT))[1].counts.read < 25


def test_a_full_disk_costs_the_snapshot_and_nothing_else(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(tmp_path)
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    folder.rmdir()
    folder.write_text("a file where the folder was: every write fails")
    assert finish(engine.submit(prompt("Is RHEL 8 accepted?"), SHORT))[1].reason in ("stop", "length")
    engine.close()
    assert folder.is_file()


def test_the_disk_tier_stays_under_its_limit(open_engine: OpenEngine, tmp_path: Path) -> None:
    engine = open_engine(tmp_path, disk=6_000_000)
    for i in range(5):
        finish(engine.submit(prompt(f"Question {i}", passage=f"Passage {i}. " * 30), SHORT))
    engine.close()
    assert 0 < sum(f.stat().st_size for f in tmp_path.glob("*/*.kv")) <= 6_000_000


def test_who_waits_hears_something_twice_a_second_and_can_leave() -> None:
    left: list[bool] = []
    generation = Generation(lambda: left.append(True))
    generation.put(Prefill(3, 9, 1.2))
    events = iter(generation)
    heard = [next(events) for _ in range(4)]
    assert all(isinstance(event, Prefill) and (event.done, event.total) == (3, 9) for event in heard)
    assert [round(event.eta_s, 1) for event in heard if isinstance(event, Prefill)] == [1.2, 0.7, 0.2, 0.0]
    assert left == []
    assert isinstance(events, Generator)
    events.close()
    assert left == [True]
