"""All that a turn says passes one filter: the app's own words for escapes only, the model's for its sources too."""

from __future__ import annotations

import pytest

from model.checking.answer_filter import AnswerFilter
from model.checking.grounding import Given

PAGE = r"RHEL 8 is refused by the deployment script, which prints '\e[31m' in red."
WRITTEN = r"RHEL 8 is refused by the deployment script. See [7] at https://evil.example/x or '\e[31m' and '\e[2J'."
SHOWN = (
    "RHEL 8 is refused by the deployment script [1]. See at (address not in the sources) or "
    r"'\e[31m' and '" + "\N{SYMBOL FOR ESCAPE}[2J'."
)


@pytest.mark.parametrize("size", [1, 3, 400])
def test_what_a_model_writes_passes_every_check_however_it_is_cut(size: int) -> None:
    said = AnswerFilter()
    said.lend([PAGE])
    said.expect(Given((PAGE,)), ["RHEL 8"])
    pieces = [said.feed(WRITTEN[at : at + size]) for at in range(0, len(WRITTEN), size)] + [said.flush()]
    assert " ".join("".join(pieces).split()) == SHOWN
    assert said.answer == said.generated == "".join(pieces)
    assert (said.removed, said.uncited) == (2, False)


def test_what_is_safe_comes_out_before_the_end() -> None:
    said = AnswerFilter()
    said.expect(Given((PAGE,)), ["RHEL 8"])
    assert said.feed("The deployment script refuses it, and ") == "The deployment script refuses it, and"


def test_the_apps_own_words_keep_their_numbers_and_addresses_but_no_escape() -> None:
    said = AnswerFilter()
    assert said.say(r"Read [3](https://a.example) and '\e[2J") == (
        "Read [3](https://a.example) and '\N{SYMBOL FOR ESCAPE}[2J"
    )
    said.lend([r"\e[2J"])
    assert said.say(r" or \e[2J") == r" or \e[2J"
    assert (said.removed, said.uncited) == (0, False)


def test_only_a_generated_part_that_had_passages_can_lack_a_citation() -> None:
    said = AnswerFilter()
    said.say("The extract [1]. ")
    said.expect(Given((PAGE,)), ["RHEL 8"])
    assert (said.generated, said.uncited) == ("", False)
    said.feed("Something else altogether")
    said.flush()
    assert (said.generated, said.uncited) == ("Something else altogether", True)
    without = AnswerFilter()
    without.expect(Given(), [])
    without.feed("Something else")
    without.flush()
    assert not without.uncited
