"""Thoughts are told apart from the answer, however the text is cut into pieces."""

from __future__ import annotations

import pytest

from model.streaming.thoughts import Thoughts

ANSWERS = [
    ("Yes, it is.", "Yes, it is."),
    ("<think>Hm, is it?</think>Yes.", "Yes."),
    ("\n<think>\n\n</think>\n\nYes.", "Yes."),
    ("<THINK>Hm</THINK> Yes.", "Yes."),
    ("<thinking>Hm</thinking>Yes.", "Yes."),
    ("<thought>\nHm\n</thought>\nYes.", "Yes."),
    ("<reasoning>Hm</reasoning>Yes.", "Yes."),
    ("[THINK]Hm[/THINK]Yes.", "Yes."),
    ("<think>One</think>\n<think>Two</think>Yes.", "Yes."),
    ("<think>A </b> and </thinking> within</think>Yes.", "Yes."),
    ("<think>Is `<think>` a tag?</think>It is.", "It is."),
    ("My log says <think> and </think>.", "My log says <think> and </think>."),
    ("<th> is a cell of a table.", "<th> is a cell of a table."),
    ("<thin", "<thin"),
    ("  indented", "  indented"),
    ("<think>It never ends", ""),
    ("<think>Only a thought</think>", ""),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "answer"), ANSWERS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_only_the_answer_is_passed_on(text: str, answer: str, size: int) -> None:
    assert passed_on(Thoughts(), text, size) == answer


@pytest.mark.parametrize(("text", "answer"), [
    *ANSWERS, ("Hm, is it?</think>\n\nYes.", "Yes."), ("Hm</think><think>again</think>Yes.", "Yes."),
])  # fmt: skip
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_text_that_may_begin_within_a_thought_waits_for_its_end(text: str, answer: str, size: int) -> None:
    assert passed_on(Thoughts(may_open=True), text, size) == answer


def test_a_closing_tag_without_an_opening_one_is_noted_for_the_next_time() -> None:
    surprised = Thoughts()
    assert passed_on(surprised, "Hm, is it?</think>Yes.", 3) == "Hm, is it?</think>Yes."
    assert surprised.lacked_opening
    told = Thoughts()
    passed_on(told, "Write <think> before and </think> after it.", 3)
    assert not told.lacked_opening


def passed_on(thoughts: Thoughts, text: str, size: int) -> str:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return "".join([*map(thoughts.feed, pieces), *thoughts.rest()])
