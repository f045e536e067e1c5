"""The bill of materials, the benchmark gate, the thresholds and the search for credentials."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import eval_gate
import perf_gate
import pytest
import sbom
import secret_scan
from perf_gate import RunsUnfit, judge
from sbom import BillIncomplete, complete, missing, pinned

ROOT = Path(__file__).parents[2]
PINS = "gradio==6.31.0\n# a comment\ntorch==2.13.0\nJinja2==3.1.6 \\\n    --hash=sha256:00\nwinonly==1 ; sys_platform == 'win32'\n"


def bill(*parts: tuple[str, str]) -> dict[str, Any]:
    return {"bomFormat": "CycloneDX", "components": [{"type": "library", "name": n, "version": v} for n, v in parts]}


FULL = (("gradio", "6.31.0"), ("torch", "2.13.0+cpu"), ("jinja2", "3.1.6"))


def test_the_pins_are_read_with_names_normalised_and_markers_obeyed() -> None:
    assert pinned(PINS) == {"gradio": "6.31.0", "torch": "2.13.0", "jinja2": "3.1.6"}


def test_the_projects_own_requirements_are_all_pinned() -> None:
    assert pinned((ROOT / "requirements.txt").read_text())["gradio"]


@pytest.mark.parametrize("line", ["gradio>=6", "gradio", "not a requirement"])
def test_a_line_that_pins_nothing_is_refused(line: str) -> None:
    with pytest.raises(BillIncomplete):
        pinned(line)


def test_every_pin_must_be_listed_with_its_version() -> None:
    assert missing(bill(*FULL), pinned(PINS)) == []
    assert missing(bill(("gradio", "6.30.0"), *FULL[1:]), pinned(PINS)) == ["gradio==6.31.0"]
    assert missing(bill(*FULL[:2]), pinned(PINS)) == ["jinja2==3.1.6"]


def test_weights_are_added_with_their_digest_and_only_once(tmp_path: Path) -> None:
    model, embedding = tmp_path / "a.gguf", tmp_path / "model.safetensors"
    model.write_bytes(b"GGUF")
    embedding.write_bytes(b"weights")
    once = complete(bill(*FULL), pinned(PINS), [model], [embedding])
    twice = complete(once, pinned(PINS), [model], [embedding])
    added = [part for part in twice["components"] if part["type"] == "machine-learning-model"]
    assert [part["hashes"][0]["content"] for part in added] == [
        hashlib.sha256(b"GGUF").hexdigest(),
        hashlib.sha256(b"weights").hexdigest(),
    ]
    assert twice == once


@pytest.mark.parametrize("tree", [{}, {"bomFormat": "SPDX", "components": [1]}, {"bomFormat": "CycloneDX"}])
def test_what_is_no_bill_is_refused(tmp_path: Path, tree: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bill.json"
    path.write_text(json.dumps(tree))
    assert sbom.main([str(path), str(tmp_path / "out.json"), "--requirements", str(ROOT / "requirements.txt")]) == 1
    assert "CycloneDX" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def runs(*figures: float, name: str = "first_token_sum_s", model: str = "smol") -> list[dict[str, Any]]:
    return [{"model": model, name: figure} for figure in figures]


STEADY = (10.0, 10.1, 9.9, 10.2, 9.8)


@pytest.mark.parametrize(
    ("old", "new", "fails"),
    [
        (STEADY, STEADY, False),
        (STEADY, (11.9, 11.8, 11.9, 12.0, 11.7), False),  # worse by less than a fifth
        (STEADY, (13.0, 13.1, 12.9, 13.0, 13.0), True),
        (STEADY, (30.0, 30.0, 10.0, 10.0, 10.0), False),  # two outliers do not move a median
        ((10.0, 10.0, 10.0, 14.0, 10.0), (13.0,) * 5, False),  # main itself gave 14
        (STEADY, (5.0,) * 5, False),
    ],
)
def test_a_slowdown_fails_beyond_a_fifth_and_outside_the_spread(
    old: tuple[float, ...], new: tuple[float, ...], fails: bool
) -> None:
    assert [verdict.fails for verdict in judge(runs(*old), runs(*new))] == [fails]


def test_fewer_tokens_a_second_are_worse() -> None:
    speed = "decode_tokens_per_s"
    assert judge(runs(*STEADY, name=speed), runs(*[5.0] * 5, name=speed))[0].fails
    assert not judge(runs(*STEADY, name=speed), runs(*[20.0] * 5, name=speed))[0].fails


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (runs(*STEADY[:4]), runs(*STEADY), "4 old"),
        (runs(*STEADY), runs(*STEADY[:4]), "4 new"),
        (runs(*STEADY), runs(*STEADY, model="other"), "different models"),
        ([{"model": "smol"}] * 5, runs(*STEADY), "share no figure"),
        (runs(*STEADY), [{"model": "smol"}] * 5, "lack first_token_sum_s"),
    ],
)
def test_runs_that_cannot_be_compared_are_no_pass(
    old: list[dict[str, Any]], new: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(RunsUnfit, match=why):
        judge(old, new)


def files(folder: Path, name: str, *lists: list[dict[str, Any]]) -> list[str]:
    paths = []
    for number, run in enumerate(run for one in lists for run in one):
        paths.append(folder / f"{name}{number}.json")
        paths[-1].write_text(json.dumps(run))
    return [str(path) for path in paths]


def test_the_benchmark_gate_answers_with_its_exit_code(tmp_path: Path) -> None:
    old, charts = files(tmp_path, "old", runs(*STEADY)), tmp_path / "charts"
    same = files(tmp_path, "same", runs(*STEADY))
    assert perf_gate.main(["--old", *old, "--new", *same, "--history", str(charts)]) == 0
    chart = [{"name": "smol: first_token_sum_s", "unit": "s", "value": 10.0}]
    assert json.loads((charts / "smaller.json").read_text()) == chart
    assert json.loads((charts / "bigger.json").read_text()) == []
    assert perf_gate.main(["--old", *old, "--new", *files(tmp_path, "slow", runs(*[20.0] * 5))]) == 1
    assert perf_gate.main(["--old", *old, "--new", *files(tmp_path, "few", runs(20.0))]) == 2
    assert perf_gate.main(["--old", *old, "--new", str(tmp_path / "none.json")]) == 2


def test_several_benchmarks_are_judged_each_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def search(*figures: float) -> list[dict[str, Any]]:
        return runs(*figures, name="search_ms", model="retrieval")

    old = files(tmp_path, "old", runs(*STEADY), search(*STEADY))
    slow = files(tmp_path, "slow", runs(*STEADY), search(*[30.0] * 5))
    assert perf_gate.main(["--old", *old, "--new", *slow]) == 1
    said = capsys.readouterr().out
    assert "SLOWER" in next(line for line in said.splitlines() if "search_ms" in line)
    assert "SLOWER" not in next(line for line in said.splitlines() if "first_token_sum_s" in line)
    only = files(tmp_path, "only", runs(*STEADY))
    assert perf_gate.main(["--old", *only, "--new", *old]) == 0
    assert "retrieval: main does not have it yet" in capsys.readouterr().out
    assert perf_gate.main(["--old", *old, "--new", *only]) == 2


@pytest.mark.parametrize(
    ("result", "limits", "said"),
    [
        ({"accuracy": 0.9}, {"accuracy": 0.9}, []),
        ({"accuracy": 0.89}, {"accuracy": 0.9}, ["accuracy is 0.89, under 0.9"]),
        ({"alarms": 0.2}, {"alarms_max": 0.1}, ["alarms is 0.2, over 0.1"]),
        ({"by": {"en": 1}}, {"by.en": 1}, []),
        ({}, {"accuracy": 0}, ["accuracy is not in the result"]),
        ({"accuracy": True}, {"accuracy": 0}, ["accuracy is not in the result"]),
    ],
)
def test_a_threshold_is_a_floor_or_a_ceiling(result: dict[str, Any], limits: dict[str, float], said: list[str]) -> None:
    assert eval_gate.breaches(result, limits) == said


def test_an_evaluation_without_thresholds_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")
    (tmp_path / "t.toml").write_text("[routing]\naccuracy = 0.9\n")
    arguments = [str(tmp_path / "r.json"), "--thresholds", str(tmp_path / "t.toml")]
    assert eval_gate.main(["retrieval", *arguments]) == 2
    assert eval_gate.main(["routing", *arguments]) == 1


def test_every_evaluation_that_a_target_judges_has_committed_thresholds() -> None:
    judged = re.findall(r"eval_gate\.py (\w+) ", (ROOT / ".github" / "ci.mk").read_text())
    assert set(judged) == set(tomllib.loads((ROOT / ".github" / "thresholds.toml").read_text()))
    assert {"retrieval", "routing", "tools", "answers"} <= set(judged)


def test_a_credential_is_found_in_the_tree_and_after_its_removal_in_the_history(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    (tmp_path / "notes.txt").write_text("first\ntoken hf_" + "abcdefghijklmnopqrstuvwxyzABCDEF12\n")
    git("add", ".")
    git("commit", "-qm", "one")
    assert secret_scan.main(["--root", str(tmp_path)]) == 1
    (tmp_path / "notes.txt").write_text("first\n")
    git("commit", "-qam", "two")
    assert secret_scan.main(["--root", str(tmp_path)]) == 0
    assert secret_scan.main(["--root", str(tmp_path), "--history"]) == 1
    found = secret_scan.findings(secret_scan.added(tmp_path), [])
    assert [one.partition(":")[2] for one in found] == ["notes.txt:2: Hugging Face token"]
    (tmp_path / "allow").write_text("# planted on purpose\nnotes.txt\n")
    allowing = ["--allow", str(tmp_path / "allow")]
    assert secret_scan.main(["--root", str(tmp_path), "--history", *allowing]) == 0


def test_a_search_of_nothing_is_no_pass(tmp_path: Path) -> None:
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    assert secret_scan.main(["--root", str(tmp_path), "--history"]) == 2


def test_the_repository_holds_no_credential() -> None:
    assert secret_scan.main(["--root", str(ROOT)]) == 0
