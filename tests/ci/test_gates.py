"""The bill of materials, the benchmark gate, the thresholds, the waivers and the search for credentials."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sbom
import waivers
from sbom import BillIncomplete, complete, missing, pinned

from rag.secrets.find import find_secrets
from tests.benchmarks import gate as perf_gate
from tests.benchmarks.gate import RunsUnfit, judge
from tests.evals import answers
from tests.evals import gate as eval_gate

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
    once = complete(bill(*FULL), pinned(PINS), [model, embedding])
    twice = complete(once, pinned(PINS), [model, embedding])
    added = [part for part in twice["components"] if part["type"] == "machine-learning-model"]
    assert [part["hashes"][0]["content"] for part in added] == [
        hashlib.sha256(b"GGUF").hexdigest(),
        hashlib.sha256(b"weights").hexdigest(),
    ]
    assert twice == once
    with pytest.raises(BillIncomplete, match="no weights"):
        complete(bill(*FULL), pinned(PINS), [])


@pytest.mark.parametrize("tree", [{}, {"bomFormat": "SPDX", "components": [1]}, {"bomFormat": "CycloneDX"}])
def test_what_is_no_bill_is_refused(tmp_path: Path, tree: dict[str, Any]) -> None:
    path = tmp_path / "bill.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(BillIncomplete, match="CycloneDX"):
        sbom.main([str(path), str(tmp_path / "out.json"), str(ROOT / "requirements.txt")])
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
    old = files(tmp_path, "old", runs(*STEADY))
    same = files(tmp_path, "same", runs(*STEADY))
    assert perf_gate.main(["--old", *old, "--new", *same]) == 0
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
    arguments = [str(tmp_path / "r.json"), str(tmp_path / "t.toml")]
    assert eval_gate.main(["retrieval", *arguments]) == 2
    assert eval_gate.main(["routing", *arguments]) == 1


def test_every_evaluation_that_a_target_judges_has_committed_thresholds() -> None:
    judged = re.findall(r"tests\.evals\.gate (\w+) ", (ROOT / ".github" / "ci.mk").read_text())
    assert set(judged) == set(tomllib.loads((ROOT / ".github" / "thresholds.toml").read_text()))
    assert {"retrieval", "routing", "tools", "answers"} <= set(judged)


def test_the_nightly_thresholds_name_figures_that_a_run_gives() -> None:
    """A figure that a result lacks fails the gate, and nobody sees these results before the night."""
    thresholds = tomllib.loads((ROOT / ".github" / "thresholds.toml").read_text())["answers"]
    assert {name.removesuffix(eval_gate.CEILING) for name in thresholds} <= answers.measure([]).keys()


PLANTED = ("tests/redaction_rows.py",)  # secrets made up on purpose


def test_the_tracked_files_hold_no_credential() -> None:
    """What trufflehog does on GitHub with the whole history, here with the finder that guards publishing."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    found, read = list[str](), 0
    for name in set(listed.stdout.split("\0")) - {"", *PLANTED}:
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in data[:8000]:
            read += 1
            found += [f"{name}:{hit.line}: {hit.kind}" for hit in find_secrets(data.decode("utf-8", "replace"))]
    assert found == []
    assert read > 400
    assert [hit.kind for hit in find_secrets("token hf_" + "abcdefghijklmnopqrstuvwxyzABCDEF12")] == [
        "Hugging Face token"
    ]


TODAY = date(2026, 1, 1)


def waiver(**changed: str) -> str:
    rows = {"id": '"CVE-2026-1111"', "reason": '"TLS ends at the proxy"', "expires": "2026-02-01"} | changed
    return "[[waiver]]\n" + "".join(f"{key} = {value}\n" for key, value in rows.items() if value)


def test_a_waiver_reaches_each_scanner_in_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(waiver())
    assert waivers.main(["grype", str(path)], TODAY) == 0
    rule = {"vulnerability": "CVE-2026-1111", "reason": "TLS ends at the proxy"}
    assert json.loads(capsys.readouterr().out) == {"ignore": [rule]}
    assert waivers.main(["pip-audit", str(path)], TODAY) == 0
    assert capsys.readouterr().out == "--ignore-vuln CVE-2026-1111\n"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"reason": ""}, "give id, reason and expires"),
        ({"expires": ""}, "give id, reason and expires"),
        ({"expires": '"soon"'}, "give id, reason and expires"),
        ({"expires": "2026-02-01T00:00:00Z"}, "give id, reason and expires"),
        ({"id": ""}, "give id, reason and expires"),
        ({"reason": '"later"'}, "has no reason"),
        ({"expires": "2025-12-31"}, "must end within 90 days"),
        ({"expires": "2026-04-02"}, "must end within 90 days"),
    ],
)
def test_a_waiver_without_reason_or_end_stops_the_scan(
    tmp_path: Path, changed: dict[str, str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(waiver(**changed))
    assert waivers.main(["grype", str(path)], TODAY) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert why in said.err


def test_a_waiver_may_run_ninety_days_to_the_day_and_the_committed_ones_are_read(tmp_path: Path) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(waiver(expires="2026-04-01"))
    assert waivers.main(["grype", str(path)], TODAY) == 0
    assert isinstance(tomllib.loads((ROOT / ".github/waivers.toml").read_text()).get("waiver", []), list)


def test_a_scan_fails_on_a_fixable_high_and_on_nothing_that_cannot_be_mended() -> None:
    recipes = (ROOT / ".github/ci.mk").read_text()
    assert "--config grype.json --fail-on high --only-fixed\n" in recipes
    assert "pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip" in recipes


def test_granites_file_is_the_one_that_fetch_names(tmp_path: Path) -> None:
    """The recipe takes the path out of what `python -m model fetch` prints."""
    file = tmp_path / "granite-4.0-micro-Q4_K_M.gguf"
    file.write_text("")
    said = f"some progress: 10 %\nGranite-4.0-Micro Q4_K_M: {file}\n"
    done = subprocess.run(["sed", "-n", "$s/^[^:]*: //p"], input=said, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(file)
    recipes = (ROOT / ".github/ci.mk").read_text()
    assert "sed -n '$$s/^[^:]*: //p' $(BUILD)/fetched" in recipes
    assert recipes.count('--model "$$(cat $(BUILD)/granite)"') == 2
    printed = 'print(f"{one.label}: {path}")'
    assert printed in (ROOT / "model/__main__.py").read_text()
