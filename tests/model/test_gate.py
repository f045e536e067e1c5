"""Nothing comes out before it is judged; what is marked or left out is told at its place, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from model.checking.answer_filter import AnswerFilter, Piece
from model.checking.gate import PLACE, Gate, Judged
from model.checking.verdict import Verdict
from model.statements.evidence import Given
from tests.turn_fakes import LenientChecker

GIVEN = Given(("Airflow listens on port 8888.",), question="Which port?")
WRONG, NEW = Verdict("against", 1, "Airflow listens on port 8888."), Verdict("not_found")


class ByWord(LenientChecker):
    """Judges by a word: FALSE goes against the evidence, NEW is in none."""

    def judge(self, sentence: str, before: str = "", after: str = "") -> Verdict:
        if "REFUTED" in sentence and "says so" in after:
            return WRONG
        known = int("port 8888" in sentence and "[2]" not in sentence)
        return WRONG if "FALSE" in sentence else NEW if "NEW" in sentence else Verdict("holds", known)

    def judge_command(self, line: str) -> Verdict:
        return self.judge(line)


def pieces(text: str, step: int = 1000) -> list[Piece]:
    said = AnswerFilter()
    said.expect(GIVEN, [], Gate(ByWord()))
    out = [piece for at in range(0, len(text), step) for piece in said.feed(text[at : at + step])] + said.flush()
    assert said.answer == said.generated == "".join(piece for piece in out if isinstance(piece, str))
    return out


def shown(text: str, step: int = 1000) -> str:
    """The answer with {+words} where something is marked and {-words} where it was left out."""
    return "".join(
        piece if isinstance(piece, str) else f"{{{'+' if piece.kind == 'not_found' else '-'}{piece.words}}}"
        for piece in pieces(text, step)
    )


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("It is so. A FALSE thing. It ends.", "It is so. {-A FALSE thing.} It ends."),
        ("It is so. A NEW thing. It ends.", "It is so. A NEW thing.{+A NEW thing.} It ends."),
        ("- one FALSE\n- two\n- three NEW\n", "- {-one FALSE}\n- two\n- three NEW{+three NEW}\n"),
        ("Yes. It is FALSE. End here.", "{-Yes. It is FALSE.} End here."),
        ("Yes. It is so.", "Yes. It is so."),
        ("Yes, REFUTED. The page says so.", "{-Yes, REFUTED.} The page says so."),
        ("Yes, REFUTED.\n\nThe page says so.\n", "{-Yes, REFUTED.}\n\nThe page says so.\n"),
        ("Yes, REFUTED.", "Yes, REFUTED."),
        ("Yes, REFUTED.\n\n- The page says so.\n", "Yes, REFUTED.\n\n- The page says so.\n"),
        ("Yes [1]. It is FALSE [1].", "{-Yes. It is FALSE.}"),
        ("[1] It is FALSE.", "{-It is FALSE.}"),
        ("Yes.\n\nIt is FALSE.\n", "{-Yes.\n\nIt is FALSE.}\n"),
        ("## A FALSE title\n\nText is here.\n", "{-## A FALSE title}\n\nText is here.\n"),
        ("Airflow listens on port 8888.", "Airflow listens on port 8888 [1]."),
    ],
)
def test_a_sentence_is_marked_or_left_out_in_its_place(written: str, seen: str) -> None:
    assert {shown(written, step) for step in (1, 2, 3, 1000)} == {seen}


def test_a_table_keeps_its_form_and_what_was_a_row_is_told_behind_it() -> None:
    table = "| a | b |\n|---|---|\n| x | FALSE |\n| y | NEW |\n| z | w |\n"
    told = "{-| x | FALSE |}"
    assert shown(table + "\nText follows.") == (
        f"| a | b |\n|---|---|\n| y | NEW{{+| y | NEW |}} |\n| z | w |\n\n{told}\n\n\nText follows."
    )


def test_a_block_keeps_its_form_and_its_lines_are_told_behind_it() -> None:
    block = "```bash\nls\n$ rm FALSE\nrun NEW \\\n  --all\n```\nText follows."
    assert {shown(block, step) for step in (1, 4, 1000)} == {
        "```bash\nls\nrun NEW \\\n  --all\n```\n\n{-rm FALSE}{+run NEW --all}\n\nText follows."
    }
    assert [piece.command for piece in pieces(block) if isinstance(piece, Judged)] == [True, True]


def test_a_block_of_which_nothing_stands_goes_whole() -> None:
    assert shown("Do this:\n\n```bash\nrm FALSE\n```\n") == "Do this:\n\n\n{-rm FALSE}\n\n"


def test_a_block_that_is_cut_off_is_closed_before_what_is_told_behind_it() -> None:
    assert shown("```bash\nls\nrun NEW") == "```bash\nls\nrun NEW\n```\n\n{+run NEW}\n\n"


def test_a_block_in_a_list_item_is_told_within_the_item() -> None:
    assert shown("1. Do:\n   ```bash\n   run NEW\n   ```\n").endswith("   ```\n\n   {+run NEW}\n\n")


def test_code_that_is_no_command_is_not_judged() -> None:
    text = "```python\nFALSE = 1\n```\n"
    assert shown(text) == text


def test_no_word_comes_out_before_its_sentence_has_ended() -> None:
    said = AnswerFilter()
    said.expect(GIVEN, [], Gate(ByWord()))
    assert said.feed("It may still turn FALSE") == []
    assert said.feed(". Next one") != []
    assert said.generated.strip() == ""


def test_what_is_told_holds_no_escape_and_no_private_character() -> None:
    told = [piece for piece in pieces(rf"A FALSE{PLACE} thing, \e[2J.") if isinstance(piece, Judged)]
    assert [one.words for one in told] == ["A FALSE thing, ␛[2J."]
    assert shown(f"Its {PLACE} is gone.") == "Its  is gone."


def test_only_what_stands_counts() -> None:
    gate = Gate(ByWord())
    said = AnswerFilter()
    said.expect(GIVEN, [], gate)
    said.feed("Here is how:\n\nA FALSE thing. ")
    said.flush()
    assert (gate.standing, gate.left_out) == (0, 1)


PARTS = [
    "Airflow listens on port 8888", "a FALSE thing", "a NEW thing", "Yes", " [1]", " [7]", ". ", "!", "\n", "\n\n", "```\n",
    "```bash\n", "   ~~~\n", "- ", "1. ", "# ", ": ", "| ", " |\n", "|---|\n", "[", "](x)", "**", "`", "rm FALSE\n", "run NEW\n", "\\\n",
    r"\e[2J", "\\", " https://evil.example/x ", "    ", PLACE,
]  # fmt: skip


@settings(deadline=None)  # a loaded machine makes single runs slow
@cases(st.lists(st.sampled_from(PARTS), max_size=16), st.integers(1, 9))
def test_nothing_false_stands_and_nothing_depends_on_how_the_stream_is_cut(parts: list[str], step: int) -> None:
    text = "".join(parts)
    out = pieces(text, step)
    assert shown(text, step) == shown(text)
    stands = "".join(piece for piece in out if isinstance(piece, str))
    assert "[7]" not in outside_of_code(stands)
    assert "evil.example" not in stands
    assert r"\e[" not in stands
    assert PLACE not in stands
    assert "FALSE" not in outside_of_code(stands) or "|" in stands  # a table's first row is its heading


def outside_of_code(text: str) -> str:
    """Return what Markdown shows outside of blocks of code, in which only a shell's lines are judged, and inline code."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    children = (child for token in tokens for child in token.children or () if child.type != "code_inline")
    return "\n".join(child.content for child in children)
