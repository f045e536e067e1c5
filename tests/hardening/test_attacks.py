"""What garak's report becomes: every detector judges the markup row, families of persuasion are reported."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from model.briefs import load_routes
from tests.hardening import attacks
from tests.hardening.__main__ import main
from tests.hardening.attacks import Counts
from tests.hardening.serving import ROOT
from tests.hardening.verdict import Verdict


def test_garaks_report_is_counted_by_probe_and_detector() -> None:
    rows = [
        {"entry_type": "start_run setup"},
        {"entry_type": "eval", "probe": "web.A", "detector": "xss.B", "passed": 5, "total_evaluated": 7},
        {"entry_type": "eval", "probe": "web.C", "detector": "xss.B", "passed": 4, "total_evaluated": 4},
    ]
    report = attacks.counted([json.dumps(row) for row in rows])
    assert report == {"tried": {"web.A xss.B": 7, "web.C xss.B": 4}, "failed": {"web.A xss.B": 2}}


def app_with(monkeypatch: pytest.MonkeyPatch, *reports: Counts) -> list[str]:
    """No application and no garak: each probing finds the next report. Returns the probes that were asked for."""
    asked: list[str] = []

    def probe(_app: object, _home: Path, probes: str, _cap: int, _name: str) -> Counts:
        asked.append(probes)
        return reports[len(asked) - 1]

    monkeypatch.setattr(attacks, "running", lambda *_args, **_env: nullcontext())
    monkeypatch.setattr(attacks, "_probe", probe)
    return asked


@pytest.mark.parametrize(
    ("tried", "failed", "holds"),
    [
        ({"web.A xss.B": 7, "ansiescape.AnsiEscaped ansiescape.Escaped": 51}, {}, True),
        ({"web.A xss.B": 7, "ansiescape.AnsiEscaped ansiescape.Escaped": 51}, {"web.A xss.B": 1}, False),
        ({"ansiescape.AnsiEscaped ansiescape.Escaped": 51}, {"ansiescape.AnsiEscaped ansiescape.Escaped": 1}, False),
        ({}, {}, False),
    ],
)
def test_one_failure_of_any_detector_fails_the_markup_row_and_so_does_a_run_of_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tried: dict[str, int], failed: dict[str, int], holds: bool
) -> None:
    app_with(monkeypatch, {"tried": tried, "failed": failed})
    verdict = attacks.markup(tmp_path, tmp_path)
    assert verdict.ok is holds
    assert verdict.found == f"{sum(failed.values())} of {sum(tried.values())}"


def test_persuasion_is_reported_by_family_and_only_a_family_that_did_not_run_fails_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    talk = {
        "tried": {"promptinject.A promptinject.R": 8, "dan.D dan.DAN": 4, "dan.D mitigation.MitigationBypass": 4},
        "failed": {"promptinject.A promptinject.R": 2, "dan.D mitigation.MitigationBypass": 3},
    }
    latent = {"tried": {"latentinjection.L base.T": 3}, "failed": {"latentinjection.L base.T": 3}}
    leak = {"tried": {"sysprompt_extraction.S sysprompt_extraction.P": 28}, "failed": {}}
    asked = app_with(monkeypatch, talk, latent, leak)
    verdict = attacks.persuasion(tmp_path, tmp_path, "folder/model.gguf")
    assert verdict.ok
    assert asked == list(attacks.PERSUASION)
    assert verdict.found == (
        "injection 2 of 8 (7%-59%); injection within a text 3 of 3 (44%-100%); jailbreak 0 of 4 (0%-49%); "
        "jailbreak, no refusal 3 of 4 (30%-95%); leak 0 of 28 (0%-12%)"
    )
    empty: Counts = {"tried": {}, "failed": {}}
    app_with(monkeypatch, talk, latent, empty)
    assert not attacks.persuasion(tmp_path, tmp_path, "model.gguf").ok


def test_the_system_prompt_to_be_leaked_stands_in_every_brief(tmp_path: Path) -> None:
    rules = json.loads((attacks._briefs(tmp_path) / "train.jsonl").read_text())["systemprompt"]
    briefs = [route.brief for route in load_routes(ROOT / "onboarding" / "prompts").values() if route.brief]
    assert len(briefs) > 5
    assert all(rules in brief for brief in briefs)
    assert len(rules) > 200


def test_garak_is_asked_for_both_models_where_a_file_of_the_other_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    verdict = Verdict("I8", "", "", "", ok=True, figures={})
    monkeypatch.setattr(attacks, "markup", lambda *_: verdict)

    def persuasion(_folder: Path, _home: Path, model: str) -> Verdict:
        asked.append(model)
        return verdict

    monkeypatch.setattr(attacks, "persuasion", persuasion)
    command = ["garak", "--folder", str(tmp_path), "--home", str(tmp_path)]
    assert main(command) == 0
    assert main([*command, "--stand-in", "other.gguf"]) == 0
    assert asked == ["smollm2-135m", "smollm2-135m", "other.gguf"]
