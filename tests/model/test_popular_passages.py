"""Lead passages that are asked for often are read ahead, also after the prefix cache is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from model.engine.scripted import ScriptedEngine
from model.prompting.assemble import OPENING, passage_text
from model.prompting.system_prompts import RouteText
from model.turn.popular_passages import HALVE_AT, SAVE_EVERY, PassageCounts
from model.turn.prewarm import warm_prompts
from tests.fakes import RHEL10
from tests.prompt_texts import TEXTS
from tests.turn_fakes import FakeSearcher

DEPLOY = RouteText("deploy", "Deploying", starters=("How do I deploy?",))


def test_counts_outlive_the_process_and_the_most_used_come_first(tmp_path: Path) -> None:
    counts = PassageCounts(tmp_path / "leads.json")
    for passage in ["b"] * (SAVE_EVERY - 3) + ["a"] * 3:
        counts.note(passage)
    assert PassageCounts(tmp_path / "leads.json").most_used(5) == ["b", "a"]
    assert PassageCounts(tmp_path / "leads.json").most_used(1) == ["b"]


def test_what_was_popular_long_ago_gives_way(tmp_path: Path) -> None:
    counts = PassageCounts(tmp_path / "leads.json")
    for passage in ["once", *["old"] * HALVE_AT, *["new"] * (HALVE_AT // 2 + 1)]:
        counts.note(passage)
    assert counts.most_used(9) == ["new", "old"]


def test_a_folder_that_cannot_be_written_costs_the_counts_alone(tmp_path: Path) -> None:
    elsewhere = PassageCounts(tmp_path / "missing" / "leads.json")
    for _ in range(SAVE_EVERY):
        elsewhere.note("a")
    assert elsewhere.most_used(5) == ["a"]


def test_passages_are_read_ahead_alone_after_what_a_click_asks() -> None:
    lead = RHEL10.passages[2]
    texts = replace(TEXTS, routes={"deploy": DEPLOY})
    prompts = warm_prompts(ScriptedEngine(), texts, FakeSearcher(RHEL10), asked=["A tour's question"], passages=[lead])
    asked = [prompt.messages[-1][1] for prompt in prompts]
    assert [text.rpartition(texts.cite)[2] for text in asked[:3]] == ["", "How do I deploy?", "A tour's question"]
    assert asked[3] == OPENING + passage_text(lead)
    assert prompts[3].segments[-1].boundary
    assert not any(segment.private for prompt in prompts for segment in prompt.segments)
