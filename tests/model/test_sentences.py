"""Streamed Markdown falls into units that are judged one by one, the same ones however the stream is cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from model.checking.sentences import AnswerUnit, Splitter

ECHO = "[2] Airflow > Ports\n"


def units(text: str, step: int = 1000) -> list[AnswerUnit]:
    splitter = Splitter([ECHO])
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    return [unit for piece in pieces for unit in splitter.feed(piece)] + splitter.flush()


def kinds(text: str) -> list[tuple[str, str]]:
    return [(unit.kind, unit.text) for unit in units(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One is here. Two is there.", ["One is here. ", "Two is there."]),
        ("Use e.g. port 8888. Then go!", ["Use e.g. port 8888. ", "Then go!"]),
        ("1. **Check the host.** Then go on.\n2. Run it", ["1. **Check the host.** ", "Then go on.\n", "2. Run it"]),
        ("Run `a. B` first. Then C.", ["Run `a. B` first. ", "Then C."]),
        ("It is so. [1] Next one [2]. End", ["It is so. [1] ", "Next one [2]. ", "End"]),
        ("RHEL 8は拒否されます。[1]次の文です。", ["RHEL 8は拒否されます。[1]", "次の文です。"]),
        ("Version 1.2 of x.py is here.", ["Version 1.2 of x.py is here."]),
    ],
)
def test_prose_falls_into_sentences(text: str, sentences: list[str]) -> None:
    assert [unit.text for unit in units(text)] == sentences


def test_lists_tables_headings_and_blocks_are_told_apart() -> None:
    text = "## Title\n\n- one\n\n| a | b |\n|---|---|\n| c | d |\n\n```bash\nls -l\n```\n"
    assert [kind for kind, _ in kinds(text)] == [
        *("heading", "blank", "sentence", "blank", "head", "blank", "row", "blank", "open", "code", "close"),
    ]
    assert units(text)[-2].language == "bash"


def test_a_fence_in_a_list_item_closes_where_it_opened() -> None:
    text = "1. Do:\n\n   ```sh\n   ls\n   ```\n   Done now.\n"
    assert kinds(text)[2:] == [
        ("open", "   ```sh\n"),
        ("code", "   ls\n"),
        ("close", "   ```\n"),
        ("sentence", "   Done now.\n"),
    ]


def test_a_longer_fence_holds_a_shorter_one() -> None:
    assert [kind for kind, _ in kinds("````md\n```\nx\n```\n````\n")] == ["open", "code", "code", "code", "close"]


@pytest.mark.parametrize("text", ["> ```sh\n> ls\nOut.\n", "- ```sh\n  ls\nOut.\n"])
def test_a_block_ends_with_the_quote_or_item_in_which_it_stands(text: str) -> None:
    assert [kind for kind, _ in kinds(text)] == ["open", "code", "close", "sentence"]


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_citation_behind_a_closing_fence_moves_below_it(end: str) -> None:
    text = "```bash\nls\n``` [1]" + end
    assert "".join(unit.text for unit in units(text)) == "```bash\nls\n```\n\n[1]" + end


def test_a_citation_behind_a_table_row_moves_into_its_last_cell() -> None:
    assert kinds("| a | b |\n|---|---|\n| c | d | [1]\n[2]\n")[2:] == [("row", "| c | d [1] |\n"), ("blank", "\n[2]\n")]


def test_an_indented_block_is_code_but_not_within_a_list() -> None:
    assert [kind for kind, _ in kinds("So:\n\n    rm -rf x\n")] == ["sentence", "blank", "code"]
    assert [kind for kind, _ in kinds("- a\n\n    More of a.\n")] == ["sentence", "blank", "sentence"]


def test_a_heading_that_is_only_repeated_is_dropped() -> None:
    assert [unit.text for unit in units(ECHO + "Airflow listens.")] == ["Airflow listens."]


PARTS = [
    "Airflow listens on port 8888", "RHEL 8 is refused", "Yes", " [1]", " [2]", ". ", "!", "\n", "```\n", "```bash\n",
    "~~~\n", "- ", "1. ", "# ", ": ", "| ", " |\n", "|---|\n", "[", "](x)", "e.g. ", "**", "`", ECHO, "9.", " ", "    ",
    "。", "> ", "ls -l\n", "\\\n",
]  # fmt: skip


@settings(deadline=None)  # a loaded machine makes single runs slow
@cases(st.lists(st.sampled_from(PARTS), max_size=16), st.integers(1, 9))
def test_the_units_are_the_text_however_it_is_cut(parts: list[str], step: int) -> None:
    text = "".join(parts)
    assert units(text, step) == units(text)
    assert bare("".join(unit.text for unit in units(text))) == bare(text)


def bare(text: str) -> str:
    """Without citations, white space, pipes, which may move, and headings, which may go."""
    return re.sub(r"\[\d+\]|\s|\||Airflow > Ports", "", text)
