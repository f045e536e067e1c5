"""The benchmark's workload at a small scale: counts are exact, times are not looked at; and the regression guard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.engine.events import Finished
from model.engine.local import EngineOptions
from model.engine.protocol import Options
from model.prompting.template import ChatTemplate
from onboarding.edge.allowlist import is_known
from onboarding.routing.language.text import clip, fold
from tests.benchmarks import compare, lookup, path, retrieval
from tests.benchmarks import workload as texts
from tests.benchmarks.workload import Message, prompt, workload
from tests.conftest import OpenEngine


def test_every_turn_reads_only_its_own_tokens_once_the_brief_is_warm(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "SYSTEM_WORDS", 120)  # a third of the benchmark's
    monkeypatch.setattr(texts, "PASSAGE_WORDS", 32)
    visitors, turns = 2, 2
    engine = open_engine(cells=4096, options=EngineOptions())
    template = ChatTemplate(engine.chat_template, engine.bos, engine.eos)
    system, message = workload(visitors, turns)
    limit = Options(max_tokens=6, ignore_end=True)
    list(engine.submit(prompt(template, system, [Message("Hello")], []), limit))
    asked: dict[int, list[Message]] = {v: [] for v in range(visitors)}
    answers: dict[int, list[tuple[int, ...]]] = {v: [] for v in range(visitors)}
    held = dict.fromkeys(range(visitors), 0)
    for turn in range(turns):
        for visitor in range(visitors):
            asked[visitor].append(message(visitor, turn))
            events = engine.submit(prompt(template, system, asked[visitor], answers[visitor]), limit)
            last = next(event for event in events if isinstance(event, Finished))
            answers[visitor].append(last.tokens)
            new = last.counts.prompt - held[visitor]
            assert last.counts.read == new if turn else last.counts.read < last.counts.prompt / 2
            held[visitor] = last.counts.prompt + len(last.tokens) - 1  # the last written token is not computed


OLD = {"model": "m", "first_token_sum_s": 100.0, "decode_tokens_per_s": 10.0, "restart_read_tokens": 20}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"first_token_sum_s": 115.0, "decode_tokens_per_s": 9.0}, 0),
        ({"first_token_sum_s": 125.0}, 1),
        ({"decode_tokens_per_s": 8.0}, 1),
        ({"restart_read_tokens": 500}, 1),
        ({"model": "another"}, 2),
    ],
)
def test_the_guard_fails_on_what_got_worse(tmp_path: Path, changes: dict[str, object], code: int) -> None:
    (tmp_path / "old.json").write_text(json.dumps(OLD))
    (tmp_path / "new.json").write_text(json.dumps({**OLD, **changes}))
    assert compare.main([str(tmp_path / "old.json"), str(tmp_path / "new.json"), "--tolerance", "0.2"]) == code


def test_a_file_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    assert compare.main([str(tmp_path / "broken.json"), str(tmp_path / "broken.json")]) == 2


def test_prompt_lookup_is_replayed_step_by_step() -> None:
    prompt, answer = [1, 2, 3, 4, 5, 9], [1, 2, 3, 4, 7]
    assert lookup.lookup([*prompt, 1, 2], ngram=2, draft=2) == [3, 4]
    assert lookup.lookup(prompt, ngram=2, draft=2) == []
    # 1 and 2 alone, then 3 4 proposed and taken with 7 as the step's own token: rows 1, 1, 3
    assert lookup.replay(prompt, answer, ngram=2, draft=2) == [1, 1, 3]
    costs = [0.0, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert lookup.gain([(prompt, answer)], 2, 2, costs) == {
        "ngram": 2,
        "draft": 2,
        "tokens_a_step": 1.67,
        "speed": 1.25,
    }


def test_retrieval_is_timed_over_a_real_index(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# Ports\n\nAirflow listens on 8888.\n\n# Dough\n\nFlour, water and salt.\n")
    figures = retrieval.run(tmp_path, ["which port does airflow use"] * 3)
    assert figures["chunks"] >= 2
    timed = {name for name in compare.LOWER_IS_BETTER if name in figures}
    assert timed == {"build_s", "load_s", "search_ms", "search_p95_ms"}


def test_a_question_is_embedded_once_and_takes_no_detours(tmp_path: Path) -> None:
    counts = path.run(tmp_path)
    assert counts["encoder_calls"] == 1
    assert 100 < counts["moves"] <= 1_400  # each sentence of the answer is judged as it ends
    assert counts["files"] <= 56


def test_a_walk_counts_what_is_called_and_every_way_from_file_to_file() -> None:
    walk = path.Walk()
    with walk.watched():
        fold("Größe")
        clip("short")
        is_known("/", "GET")
    report = walk.report()
    assert (report["files"], report["moves"]) == (2, 1)
    assert report["busiest"] == {"onboarding/edge/allowlist.py <-> onboarding/routing/language/text.py": 1}
