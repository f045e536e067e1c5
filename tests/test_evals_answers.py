"""The figures of whole turns: facts by word stems, citations and marks over what was answered from the pages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.evals.answers import judge, measure
from tests.evals.facts import stated
from tests.rag_fakes import WordHashEncoder

ROW = {"question": "Is RHEL 8 supported?", "kind": "single", "answer_facts": ["RHEL 8 is refused", "upgrade to RHEL 9"]}
ANSWER = {
    "question": ROW["question"],
    "extract": "RHEL 8 is refused by the script.",
    "text": "Yes, RHEL 8 is supported [1].",
    "generated": "Yes, RHEL 8 is supported [1].",
    "judged": [(12, {"kind": "not_found", "words": "Yes."})],
    "shown": 1,
    "left_out": 1,
    "first_words_s": 2.5,
    "grounded": True,
    "tools": [],
    "cited": 1,
    "removed": 0,
    "first_token_s": 1.0,
}


def never(texts: Sequence[str]) -> np.ndarray:
    raise AssertionError(f"{texts} need no vectors: words alone decide")


@pytest.mark.parametrize(
    ("fact", "text", "expected"),
    [
        ("no GPU needed", "It needs no GPU.", True),
        ("QUBINODE_DOMAIN must be set", "The domain must be set.", False),
        ("8 GB of memory", "At least 8 GB of memory.", True),
        ("8 GB of memory", "At least 18 GB of memory.", False),
        ("bananas are yellow", "RHEL 8 is refused.", False),
    ],
)
def test_a_fact_is_stated_in_its_words_with_its_very_figures(fact: str, text: str, expected: bool) -> None:
    assert stated([fact], text, never) == [expected]


def test_a_turn_is_judged_by_facts_citations_and_sentences_without_support() -> None:
    judged = judge(ROW, ANSWER, WordHashEncoder())
    assert judged["in_extract"] == [True, False]
    assert judged["in_answer"] == [True, False]
    assert (judged["shown"], judged["marked"], judged["left_out"]) == (1, 1, 1)


def test_the_shares_count_answers_from_the_pages_and_abstentions_apart() -> None:
    encoder = WordHashEncoder()
    unanswerable = {"question": "price?", "kind": "unanswerable"}
    silent = {**ANSWER, "extract": "", "generated": "", "judged": [], "shown": 0, "grounded": False, "cited": 0}
    turns = [
        judge(ROW, ANSWER, encoder),
        judge(ROW, silent, encoder),
        judge(unanswerable, silent, encoder),
        judge(unanswerable, ANSWER, encoder),
    ]
    figures = measure(turns)
    assert figures["n"] == 4
    assert figures["answered_from_documentation"] == 1
    assert (figures["refused_answerable"], figures["abstained_unanswerable"]) == (0.5, 0.5)
    assert (figures["citations_all_valid"], figures["facts_in_extract"], figures["marked_of_shown"]) == (1.0, 0.5, 1)
    assert (figures["left_out_of_written"], figures["held_back_s"]) == (0.5, 1.5)
