"""Questions put into a page's front matter and taken out again, and not a byte beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.checking.claims import claims_of
from rag.errors import RagError
from rag.reading.page_questions import questions_of, with_question, without_question

PAGE = """---
title: "Doors: a page"
topics: [doors]
questions:
  How doors open:
    - how does a door open   # a comment
    - "open: how?"
  'Locks: a list':
    - which locks are there
sources:
  - doors.sh
---
# Doors: a page

## How doors open

Run `doors.sh`.

## Locks: a list
"""
STRANGE = [
    "plain words",
    "what: this",
    "- dash",
    "# hash",
    "true",
    "12",
    "a \"b\" 'c' \\ [d] {e}",
    "日本語 は？",
    "a: ",
    "@x",
]


@pytest.mark.parametrize("question", STRANGE)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("heading", ["How doors open", "Locks: a list", "A new: one"])
def test_a_question_is_one_line_more_and_its_removal_gives_the_page_back(question: str, heading: str, end: str) -> None:
    page = PAGE.replace("\n", end)
    after = with_question(page, heading, question)
    assert questions_of(after)[heading][-1] == question
    kept = [line for line in after.split("\n") if line in page.split("\n")]
    assert kept == page.split("\n")
    assert len(after.split("\n")) - len(kept) == (1 if heading in questions_of(page) else 2)
    assert without_question(after, question) == page
    assert claims_of("p", after, frozenset())[0].value == claims_of("p", page, frozenset())[0].value == "doors.sh"


def test_of_a_heading_that_stands_twice_the_one_that_counts_is_changed() -> None:
    page = PAGE.replace("  'Locks", "  How doors open:\n    - twice\n  'Locks")
    assert questions_of(with_question(page, "How doors open", "new"))["How doors open"] == ["twice", "new"]


@pytest.mark.parametrize(
    "page",
    [
        "no front matter",
        PAGE.replace("questions:", "asked:"),
        PAGE.replace("    - which locks are there", "    which"),
        "---\ntitle: x\nquestions: {Locks: [a, b]}\n---\n# x\n",
        "---\ntitle: x\nquestions:\n  Locks: [a, b]\n---\n# x\n",
        "---\ntitle: x\nquestions:\n- a\n---\n# x\n",
        "",
    ],
)
def test_a_page_that_is_written_otherwise_is_refused(page: str) -> None:
    with pytest.raises(RagError, match="by hand"):
        with_question(page, "Locks: a list" if "Locks: a" in page else "Locks", "new")
    assert without_question(page, "new") == page


def test_every_page_of_ours_takes_a_question() -> None:
    for path in sorted((Path(__file__).parents[2] / "rag" / "corpus").glob("*.md")):
        page = path.read_bytes().decode()
        heading = list(questions_of(page))[-1]
        assert without_question(with_question(page, heading, "what: new"), "what: new") == page
