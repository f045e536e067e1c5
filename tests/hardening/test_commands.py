"""What the bounded commands rest on: their arithmetic, their visitors, and the clock that stands in for a model."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from model.engine.events import Finished, TextDelta
from model.engine.local import EngineOptions
from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import QueueFull
from tests.hardening.__main__ import Options, main
from tests.hardening.endurance import Sample, _growth
from tests.hardening.memory import NoCgroups, Policy, cgroup
from tests.hardening.paced import WORDS, open_paced
from tests.hardening.verdict import Verdict, quantile, wilson
from tests.hardening.visitors import Page, Visit, never_overtaken

PROMPT = Prompt((PromptSegment("You answer.", boundary=True), PromptSegment("Is RHEL 8 supported?", turn=1)))


def test_wilsons_interval_agrees_with_published_values() -> None:
    assert wilson(1, 10) == pytest.approx((0.0179, 0.4042), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_quantile_is_a_value_that_was_seen() -> None:
    assert [quantile([4, 1, 3, 2], share) for share in (0.25, 0.5, 0.95, 1.0)] == [1, 2, 4, 4]
    assert quantile([], 0.5) == 0.0


def test_a_verdict_is_one_row_whatever_it_says() -> None:
    verdict = Verdict("L1", "a|b", "none lost", "two\nlines", ok=False, figures={"n": 1})
    assert verdict.markdown() == "| L1 | a/b | none lost | two lines | **no** |"
    assert json.loads(verdict.json())["figures"] == {"n": 1}


def test_where_no_cgroup_can_be_made_the_row_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoCgroups, match="has no memory controller"), cgroup((tmp_path,)):
        pass
    with pytest.raises(NoCgroups, match="No such file"), cgroup((tmp_path / "missing",)):
        pass
    assert list(tmp_path.iterdir()) == []
    row = Verdict("F7", "a", "b", "not run: no cgroup", ok=True, figures={}, ran=False).markdown()
    assert row.endswith("| not run |")


def test_the_restart_policy_starts_what_ended_and_says_how_it_ended(tmp_path: Path) -> None:
    policy = Policy([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", dict(os.environ))
    first = policy.process
    first.kill()
    try:
        assert policy.wait_for_end()[1] == -9
        while policy.process is first:
            threading.Event().wait(0.01)
        assert policy.process.poll() is None
    finally:
        policy.stop()
    assert policy.process.wait(30) == -9


def test_growth_is_between_the_first_and_the_last_quarter() -> None:
    flat = [Sample(at, 100.0 + at % 2, 10, 20) for at in range(40)]
    growing = [Sample(at, 100.0 + at, 10, 20) for at in range(40)]
    assert abs(_growth(flat, "rss_mb")) < 0.01
    assert _growth(growing, "rss_mb") > 0.25
    assert _growth(growing, "threads") == 0


def test_who_is_overtaken_sees_more_people_ahead() -> None:
    assert never_overtaken([Visit(places=[3, 2, 2, 0]), Visit(places=[])])
    assert not never_overtaken([Visit(places=[3, 2]), Visit(places=[1, 2])])


@pytest.mark.parametrize(
    ("lines", "outcome", "places"),
    [
        ([{"msg": "process_completed", "success": True, "output": {"data": [{"turns": [{"text": "Yes."}]}]}}], "answered", []),
        ([{"msg": "process_completed", "success": False, "output": {"error": None}}], "lost", []),
        ([{"msg": "process_completed", "success": True, "output": {"data": [{"turns": [{"text": ""}]}]}}], "lost", []),
        (
            [
                {"said": "3 questions ahead of you, about 9 s"},
                {"said": "nobody ahead of you, about 2 s"},
                {"said": "Every seat is taken; try again in about 70 s."},
                {"msg": "process_completed", "success": True, "output": {"data": [{"turns": [{"text": ""}]}]}},
            ],
            "refused",
            [3, 0],
        ),
    ],
)  # fmt: skip
def test_a_visitor_reads_from_the_stream_what_became_of_the_question(
    lines: list[dict[str, object]], outcome: str, places: list[int]
) -> None:
    page, visit = Page("http://127.0.0.1:9"), Visit()
    for line in lines:
        page._take(visit, json.dumps(line), 1.5)
    assert (visit.outcome, visit.places) == (outcome, places)


def test_the_clock_answers_through_the_real_engine_and_its_queue_is_real() -> None:
    engine = open_paced(0.05, options=EngineOptions(slots=1, waiting=1))
    try:
        first, second = engine.submit(PROMPT), engine.submit(PROMPT)
        with pytest.raises(QueueFull):
            engine.submit(PROMPT)
        for generation in (first, second):
            events = list(generation)
            said = "".join(event.text for event in events if isinstance(event, TextDelta))
            assert said.split() == WORDS
            assert isinstance(events[-1], Finished)
            assert events[-1].reason == "stop"
    finally:
        engine.close()


def test_a_row_that_breaks_is_said_and_loses_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(options: Options) -> list[Verdict]:
        assert options.home.is_absolute()  # garak runs in another folder
        raise FileNotFoundError("no garak here")

    monkeypatch.setattr(
        "tests.hardening.__main__.COMMANDS",
        {"garak": breaks, "soak": lambda options: [Verdict("L3", "soak", "a", "b", ok=True, figures={})]},
    )
    monkeypatch.chdir(tmp_path)
    assert main(["all", "--folder", "harden", "--home", "garak", "--report", "report.md"]) == 1
    head, _, *rows = Path("report.md").read_text().splitlines()
    assert "found" in head
    assert rows == ["| garak | garak | runs to its end | FileNotFoundError: no garak here | **no** |", "| L3 | soak | a | b | yes |"]  # fmt: skip
    assert "FileNotFoundError" in capsys.readouterr().err
