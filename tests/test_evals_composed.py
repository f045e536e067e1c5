"""The comparison of answers from laid passages with those from passages read in full."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.evals.composed import Arm, compare, likeliest


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
    first, other = ([likeliest(row) for row in rows] for rows in (logits, logits + 5))
    found = compare({"full1": items, "laid1": items}, {"full1": first, "laid1": other})["arms"]["laid1"]
    assert found["against_full1"]["facts_in_text"] == (0.0, 0.0, 0.0)
    assert found["against_full1"]["marked_of_shown"] == (0.0, 0.0, 0.0)
    assert found["kl_median"] == found["kl_p90"] == 0.0  # a constant on all logits changes no distribution


def test_differences_stand_with_their_intervals() -> None:
    full = [judged([True]) for _ in range(20)]
    laid = [judged([number % 2 == 0], marked=number % 2) for number in range(20)]
    even, uneven = likeliest(np.zeros(2)), likeliest(np.array([math.log(3.0), 0.0]))  # 0.75 and 0.25 for 0.5 and 0.5
    found = compare({"full1": full, "laid1": laid}, {"full1": [even] * 20, "laid1": [uneven] * 20})["arms"]["laid1"]
    difference, low, high = found["against_full1"]["facts_in_text"]
    assert difference == -0.5
    assert -0.8 < low < -0.5 < high < -0.2
    assert found["against_full1"]["marked_of_shown"][0] == 0.25
    assert found["kl_median"] == pytest.approx(0.5 * math.log(4 / 3), abs=1e-3)


def test_tokens_that_only_one_arm_finds_likely_count_as_the_rest() -> None:
    logits = np.zeros(200)
    logits[:3] = 9.0, 8.0, 7.0
    other = logits.copy()
    other[100] = 8.5  # was one of the many
    items = [judged([True])]
    first = {"full1": [likeliest(logits)], "laid1": [likeliest(other)]}
    found = compare({"full1": items, "laid1": items}, first)["arms"]["laid1"]
    p, q = (np.exp(one) / np.exp(one).sum() for one in (logits, other))
    exact = float((p * np.log(p / q)).sum())
    assert 0.8 * exact < found["kl_median"] < exact  # what is told apart less differs less
