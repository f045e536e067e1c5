"""All that a turn says passes one filter: the app's own words for escapes only, the model's for its sources too."""

from __future__ import annotations

import pytest

from model.checking.answer_filter import AnswerFilter
from model.checking.gate import Gate, Judged
from model.checking.verdict import Verdict
from model.statements.evidence import Given
from tests.turn_fakes import LenientChecker

PAGE = r"RHEL 8 is refused by the deployment script, which prints '\e[31m' in red."
WRITTEN = r"RHEL 8 is refused by the deployment script. See [7] at https://evil.example/x or '\e[31m' and '\e[2J'."
SHOWN = (
    "RHEL 8 is refused by the deployment script [1]. See at (address not in the sources) or "
    r"'\e[31m' and '" + "\N{SYMBOL FOR ESCAPE}[2J'."
)


class Lenient(LenientChecker):
    """Lets everything pass; the first passage speaks of scripts."""

    def judge(self, sentence: str, before: str = "", after: str = "") -> Verdict:
        return Verdict("holds", int("script" in sentence))


def expecting(given: Given) -> AnswerFilter:
    said = AnswerFilter()
    said.lend(given.passages)
    said.expect(given, ["RHEL 8"], Gate(Lenient()))
    return said


def text_of(pieces: list[str | Judged]) -> str:
    assert all(isinstance(piece, str) for piece in pieces)
    return "".join(piece for piece in pieces if isinstance(piece, str))


@pytest.mark.parametrize("size", [1, 3, 400])
def test_what_a_model_writes_passes_every_check_however_it_is_cut(size: int) -> None:
    said = expecting(Given((PAGE,)))
    pieces = [text_of(said.feed(WRITTEN[at : at + size])) for at in range(0, len(WRITTEN), size)]
    pieces.append(text_of(said.flush()))
    assert " ".join("".join(pieces).split()) == SHOWN
    assert said.answer == said.generated == "".join(pieces)
    assert (said.removed, said.uncited) == (2, False)


def test_a_sentence_comes_out_as_soon_as_it_has_ended() -> None:
    said = expecting(Given((PAGE,)))
    assert said.feed("The script refuses it, and ") == []
    assert text_of(said.feed("that is that. So be ")) == "The script refuses it, and that is that [1]. "


def test_the_apps_own_words_keep_their_numbers_and_addresses_but_no_escape() -> None:
    said = AnswerFilter()
    assert said.say(r"Read [3](https://a.example) and '\e[2J") == (
        "Read [3](https://a.example) and '\N{SYMBOL FOR ESCAPE}[2J"
    )
    said.lend([r"\e[2J"])
    assert said.say(r" or \e[2J") == r" or \e[2J"
    assert (said.removed, said.uncited) == (0, False)


def test_only_a_generated_part_that_had_passages_can_lack_a_citation() -> None:
    said = expecting(Given((PAGE,)))
    assert (said.generated, said.uncited) == ("", False)
    said.feed("Something else altogether")
    said.flush()
    assert (said.generated, said.uncited) == ("Something else altogether", True)
    without = expecting(Given())
    without.feed("Something else")
    without.flush()
    assert not without.uncited


def test_the_apps_opening_stands_before_the_first_words_and_only_before_those() -> None:
    silent, said = AnswerFilter(), AnswerFilter()
    for one in (silent, said):
        one.expect(Given(), [], Gate(Lenient()), opening="It adds: ")
    assert silent.feed(" \n") + silent.flush() == [" \n"]
    assert text_of(said.feed("Words are here. ") + said.flush()) == said.answer == "It adds: Words are here. "
    assert said.generated == "Words are here. "
