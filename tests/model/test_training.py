"""The shipped weights are weights that training can write, and its hand-written sentences can be read."""

from __future__ import annotations

import json
from pathlib import Path

from model.checking.signals import NAMES
from model.training.cases import read_cases
from model.training.rule_made import rule_made
from model.training.train import BAD_SIGNS, HAND_WRITTEN, OUT


def test_every_signal_has_a_weight_on_its_own_side() -> None:
    weights = json.loads(OUT.read_text("utf-8"))["bad"]
    assert set(weights) == {*NAMES, ""}
    assert set(BAD_SIGNS) <= set(NAMES)
    assert all(weights[name] * sign >= 0 for name, sign in BAD_SIGNS.items())


def test_hand_written_sentences_stand_on_sections_of_our_pages() -> None:
    cases = read_cases(HAND_WRITTEN)
    assert {case.label for case in cases} == {"holds", "not_found", "against"}
    assert all(case.given.passages and (case.label == "holds") == (not case.kind) for case in cases)


def test_rules_make_the_same_sentences_again(tmp_path: Path) -> None:
    page = "# Ports\n\n## Airflow\n\nThe web page of Airflow listens on port 8888 and is not protected by a login."
    (tmp_path / "ports.md").write_text(f"{page}\n\n## Marquez\n\nThe page of Marquez listens on port 3000.\n", "utf-8")
    made = rule_made(tmp_path, 10)
    assert [case.sentence for case in made] == [case.sentence for case in rule_made(tmp_path, 10)]
    assert any(case.label == "against" for case in made)
