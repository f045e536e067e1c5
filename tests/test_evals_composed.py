"""The comparison of answers from laid passages with those from passages read in full."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.evals.composed import Arm, compare


def judged(facts: list[bool], standing: int = 2, marked: int = 0) -> dict[str, Any]:
    return {"facts": facts, "read": [True for _ in facts], "standing": standing, "marked": marked, "left_out": 0,
            "tokens": 50, "fresh": 300}  # fmt: skip


def test_an_arm_is_read_from_its_name() -> None:
    assert Arm.parse("laid3-last@16") == Arm("laid3-last@16", laid=True, passages=3, lead_last=True, packed=False)
    assert Arm.parse("full1") == Arm("full1", laid=False, passages=1, lead_last=False, packed=True)


@pytest.mark.parametrize("name", ["laid", "full0", "read3", "laid3@8", "laid3 "])
def test_no_other_name_is_an_arm(name: str) -> None:
    with pytest.raises(ValueError, match="an arm is"):
        Arm.parse(name)


def test_an_arm_like_the_first_differs_by_nothing() -> None:
    items = [judged([True, False]), judged([False], marked=1)]
    logits = np.array([[1.0, 2.0], [0.0, 3.0]])
    found = compare({"full1": items, "laid1": items}, {"full1": logits, "laid1": logits + 5})["arms"]["laid1"]
    assert found["against_full1"]["facts_in_text"] == (0.0, 0.0, 0.0)
    assert found["against_full1"]["marked_of_shown"] == (0.0, 0.0, 0.0)
    assert found["kl_median"] == found["kl_p90"] == 0.0  # a constant on all logits changes no distribution


def test_differences_stand_with_their_intervals() -> None:
    full = [judged([True]) for _ in range(20)]
    laid = [judged([number % 2 == 0], marked=number % 2) for number in range(20)]
    logits = np.zeros((20, 2))
    other = np.tile([math.log(3.0), 0.0], (20, 1))  # 0.75 and 0.25 for 0.5 and 0.5
    found = compare({"full1": full, "laid1": laid}, {"full1": logits, "laid1": other})["arms"]["laid1"]
    difference, low, high = found["against_full1"]["facts_in_text"]
    assert difference == -0.5
    assert -0.8 < low < -0.5 < high < -0.2
    assert found["against_full1"]["marked_of_shown"][0] == 0.25
    assert found["kl_median"] == pytest.approx(0.5 * math.log(4 / 3), abs=1e-3)
