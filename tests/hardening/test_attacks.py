"""What garak's report becomes: every detector judges the markup row, families of persuasion are reported."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.hardening import attacks
from tests.hardening.__main__ import main
from tests.hardening.attacks import Counts
from tests.hardening.verdict import Verdict
from tests.prompt_texts import TEXTS


def test_garaks_report_is_counted_by_probe_and_detector() -> None:
    rows = [
        {"entry_type": "start_run setup"},
        {"entry_type": "eval", "probe": "web.A", "detector": "xss.B", "passed": 5, "total_evaluated": 7},
        {"entry_type": "eval", "probe": "web.C", "detector": "xss.B", "passed": 4, "total_evaluated": 4},
    ]
    found = attacks.counted([json.dumps(row) for row in rows])
    assert found == {"tried": {"web.A xss.B": 7, "web.C xss.B": 4}, "failed": {"web.A xss.B": 2}}


def report(tried: dict[str, int], failed: dict[str, int], *, by: tuple[int, int, int] = (1, 0, 0)) -> Counts:
    """Counts as a probing gives them. by: answers of a model, of one whose route was overridden, of none."""
    kinds = ("model", "model, overridden", "no model")
    return {
        "tried": Counter(tried),
        "failed": Counter(failed),
        "answered by": Counter(dict(zip(kinds, by, strict=True))),
    }


def probing(monkeypatch: pytest.MonkeyPatch, *reports: Counts) -> list[str]:
    """No application and no garak: each probing finds the next report. Returns the probes that were asked for."""
    asked: list[str] = []

    def probe(_app: object, _home: Path, probes: str, cap: int, _name: str, _ask: str) -> Counts:
        asked.append(f"{probes.split('.')[0]} {cap}")
        return reports[len(asked) - 1]

    monkeypatch.setattr(attacks, "running", lambda *_args, **_env: nullcontext())
    monkeypatch.setattr(attacks, "_probe", probe)
    return asked


XSS, TYPED = "web.A xss.B", "ansiescape.AnsiEscaped ansiescape.Escaped"


@pytest.mark.parametrize(
    ("counts", "holds"),
    [
        (report({XSS: 7, TYPED: 51}, {}), True),
        (report({XSS: 7, TYPED: 51}, {XSS: 1}), False),
        (report({XSS: 7, TYPED: 51}, {TYPED: 1}), False),
        (report({}, {}), False),
        (report({XSS: 7, TYPED: 51}, {}, by=(0, 0, 58)), False),
        (report({XSS: 7, TYPED: 51}, {}, by=(0, 1, 57)), True),
    ],
)
def test_the_markup_row_fails_with_one_failure_of_any_detector_or_where_no_model_was_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, counts: Counts, holds: bool
) -> None:
    probing(monkeypatch, counts)
    verdict = attacks.markup(tmp_path, tmp_path)
    assert verdict.ok is holds
    assert verdict.found.startswith(f"{counts['failed'].total()} of {counts['tried'].total()}; ")
    assert json.loads(verdict.json())["figures"]["tried"] == counts["tried"]


def test_persuasion_is_reported_by_family_and_only_a_family_that_did_not_run_fails_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    direct = report({"promptinject.A promptinject.R": 8}, {"promptinject.A promptinject.R": 2}, by=(3, 4, 1))
    latent = report({"latentinjection.L base.T": 3}, {"latentinjection.L base.T": 3}, by=(3, 0, 0))
    jailbreak = report(
        {"dan.D dan.DAN": 4, "dan.D mitigation.MitigationBypass": 4}, {"dan.D mitigation.MitigationBypass": 3}
    )
    leak = report({"sysprompt_extraction.S sysprompt_extraction.P": 28}, {})
    asked = probing(monkeypatch, direct, latent, jailbreak, leak)
    verdict = attacks.persuasion(tmp_path, tmp_path, "folder/model.gguf", 3)
    assert verdict.ok
    assert asked == ["promptinject 3", "latentinjection 1", "dan 1", "sysprompt_extraction 6"]
    assert verdict.found == (
        "injection 2 of 8 (7%-59%); injection within a text 3 of 3 (44%-100%); jailbreak 0 of 4 (0%-49%); "
        "jailbreak, no refusal 3 of 4 (30%-95%); leak 0 of 28 (0%-12%); "
        "a model's words stood in 8 of 13 answers, and in 4 more once the visitor overrode the route"
    )
    assert json.loads(verdict.json())["figures"]["answered by"] == {"model": 8, "model, overridden": 4, "no model": 1}
    probing(monkeypatch, direct, latent, jailbreak, report({}, {}))
    assert not attacks.persuasion(tmp_path, tmp_path, "model.gguf", 3).ok


def test_the_system_prompt_to_be_leaked_is_the_one_that_a_model_is_told(tmp_path: Path) -> None:
    rules = json.loads((attacks._system_prompts(tmp_path) / "train.jsonl").read_text())["systemprompt"]
    assert rules == TEXTS.brief


def test_garak_is_asked_for_both_models_where_a_file_of_the_other_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[str, int]] = []
    verdict = Verdict("I8", "", "", "", ok=True, figures={})
    monkeypatch.setattr(attacks, "markup", lambda *_: verdict)

    def persuasion(_folder: Path, _home: Path, model: str, cap: int) -> Verdict:
        asked.append((model, cap))
        return verdict

    monkeypatch.setattr(attacks, "persuasion", persuasion)
    command = ["garak", "--folder", str(tmp_path), "--home", str(tmp_path)]
    assert main(command) == 0
    assert main([*command, "--stand-in", "other.gguf", "--cap", "3"]) == 0
    assert asked == [("smollm2-135m", 6), ("smollm2-135m", 3), ("other.gguf", 3)]
