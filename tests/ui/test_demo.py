"""The demonstration's script: real turns without a model, which nothing records; and the film that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.engine.events import TextDelta
from model.prompting.conversation import Conversation
from model.turn.events import SourcesFound, ToolFinished, TurnFinished
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.assistant.rehearsal import Rehearsal
from onboarding.ui.kit.languages import LANGUAGES, Translator
from onboarding.ui.page.demo import CHECK, HOST, QUESTION, Demo
from onboarding.usage.counted import CountedSandbox
from onboarding.usage.recorder import Usage, usage_of_project
from tests.browser.demo import FILM, MAX_BYTES, PICTURE, SHOWN, digest, in_words, loaded_guide
from tools.sandbox.sandbox import Sandbox
from tools.types import ToolResult

FOLDER = Path(__file__).parents[2] / ".github"
ANEW = "the demonstration changed; film it anew: make demo BUILD=.github"


@pytest.fixture(scope="module")
def usage() -> Usage:
    return usage_of_project()


@pytest.fixture(scope="module")
def guide(usage: Usage, own_index: Path) -> Iterator[Guide]:
    """Our own pages with everything counted that can be; the guide's own engine would answer "You asked: ..."."""
    with loaded_guide(CountedSandbox(usage), usage.turn, own_index) as guide:
        yield guide


def test_the_film_shows_what_the_page_shows_now(guide: Guide) -> None:
    told: dict[str, Any] = json.loads((FOLDER / SHOWN).read_text(encoding="utf-8"))
    assert in_words(Demo(guide).script()) == told["steps"], ANEW
    assert (digest(FOLDER / FILM), digest(FOLDER / PICTURE)) == (told["film"], told["card"]), ANEW
    assert (FOLDER / FILM).stat().st_size <= MAX_BYTES


def test_what_a_film_shows_follows_pages_captions_and_checks(guide: Guide) -> None:
    script = Demo(guide).script()
    before = in_words(script)
    for step, part in (("sources", "evidence"), ("result", "steps")):
        changed = json.loads(json.dumps(script))
        one = next(one for one in changed if one["key"] == step)
        frame = next(frame for frame in one["frames"] if part in frame["parts"])
        frame["parts"][part] = frame["parts"][part].replace("libvirt", "lxd").replace("service_status", "x")
        assert in_words(changed) != before
    assert in_words(Demo(guide).script(Translator("de"))) != before
    assert in_words(Demo(guide).script()) == before  # and no time that passes changes it


def test_a_question_is_answered_from_the_pages_by_a_quote_of_a_source(guide: Guide) -> None:
    events = list(Rehearsal(guide).question(QUESTION))
    found = next(event.result for event in events if isinstance(event, SourcesFound))
    assert guide.retriever
    assert [one.id for one in found.passages] == [one.id for one in guide.retriever.search(QUESTION).passages]
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert said.strip() == f"{found.passages[2].excerpt} [3]"
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].model == "Scripted answers, no model"
    assert events[-1].timings.first_token_s is None


def test_a_question_that_the_pages_do_not_answer_ends_too(guide: Guide) -> None:
    *_, last = Rehearsal(guide).question("how do I bake sourdough bread")
    assert isinstance(last, TurnFinished)
    assert not last.grounded


def test_a_check_runs_on_the_simulated_host_and_rules_read_its_result(guide: Guide) -> None:
    events = list(Rehearsal(guide).check(CHECK, HOST))
    done = next(event for event in events if isinstance(event, ToolFinished))
    assert (done.call.host, done.result.success) == (HOST, True)
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].answer.startswith("No: libvirtd has failed")
    assert events[-1].model == ""


def test_nothing_of_it_is_counted_or_noted(guide: Guide, usage: Usage) -> None:
    def counted() -> dict[str, float]:
        names = {s.name: s.value for m in usage.registry.collect() for s in m.samples if not s.labels}
        runs = {str(s.labels): s.value for m in usage.registry.collect() for s in m.samples if s.labels}
        return {name: value for name, value in (names | runs).items() if "process" not in name and "memory" not in name}

    before, leads = counted(), guide._leads.most_used(9)
    Demo(guide).script()
    assert (counted(), guide._leads.most_used(9)) == (before, leads)
    list(guide.ask(CHECK, Conversation.new(), host=HOST))
    assert counted() != before  # a visitor's own turn is


def test_the_turns_are_played_once_for_a_language_but_again_after_a_check_that_failed(
    guide: Guide, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, run, tried = Demo(guide), Sandbox.call, []

    def failing_at_first(self: Sandbox, *args: Any) -> ToolResult:
        result = run(self, *args)
        tried.append(result)
        return result if len(tried) > 1 else replace(result, success=False, error="The sandbox is busy.")

    monkeypatch.setattr(Sandbox, "call", failing_at_first)
    failed, played = demo.script(), demo.script()
    assert len(tried) == 2 and failed != played
    assert demo.script() is played and len(tried) == 2
    assert demo.script(Translator("de")) != played and len(tried) == 3


def test_before_the_search_is_there_question_and_check_are_left_out(tmp_path: Path) -> None:
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path))
    assert [step["key"] for step in Demo(Guide(parts)).script()] == ["hello", "loading", "tour", "end"]
    parts.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_as_long_in_every_language_and_shorter_than_a_minute(guide: Guide, language: str) -> None:
    script, english = Demo(guide).script(Translator(language)), Demo(guide).script()
    assert [(step["key"], step["ms"]) for step in script] == [(step["key"], step["ms"]) for step in english]
    assert 30_000 <= sum(step["ms"] for step in script) <= 45_000
    assert language == "en" or not {step["say"] for step in script} & {step["say"] for step in english}
