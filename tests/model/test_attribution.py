"""A sentence gets the number of the passage that says it, where it belongs; other text stays as it is."""

from __future__ import annotations

import pytest

from model.checking.attribution import citations, numbered
from model.checking.gate import Gate
from model.checking.sentences import Splitter
from model.checking.verdict import Verdict
from tests.turn_fakes import LenientChecker


class ByName(LenientChecker):
    """Finds RHEL 8 in the first passage and Airflow in the second, where a sentence cites that one or none."""

    def judge(self, sentence: str, before: str = "", after: str = "") -> Verdict:
        number = 1 if "RHEL 8" in sentence else 2 if "Airflow" in sentence else 0
        cited = citations(sentence)
        return Verdict("holds", number) if not cited or number in cited or not number else Verdict("not_found")


def attributed(text: str) -> tuple[str, set[int]]:
    gate, splitter = Gate(ByName()), Splitter()
    shown = "".join(map(gate.take, [*splitter.feed(text), *splitter.flush()])) + gate.flush()
    return shown, gate.cited


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("It is so.", "It is so [2]."),
        ("It is so\n", "It is so [2]\n"),
        ("> **It is so.**\n", "> **It is so [2].**\n"),
        ("It is so. [1] ", "It is so [2]. "),
        ("It [3] is so [1]!", "It is so [2]!"),
        ("Run `ls`", "Run `ls` [2]"),
        ("[1] It is so.", "It is so [2]."),
        ("それは本当です。", "それは本当です [2]。"),
        ("It goes so:\n", "It goes so:\n"),
    ],
)
def test_the_number_stands_before_the_end_of_the_sentence(written: str, shown: str) -> None:
    assert numbered(written, 2) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("RHEL 8 is refused by the deployment script.", "RHEL 8 is refused by the deployment script [1]."),
        (
            "Airflow listens on port 8888. RHEL 8 is refused by the script!",
            "Airflow listens on port 8888 [2]. RHEL 8 is refused by the script [1]!",
        ),
        ("- Airflow listens on port 8888\n- and so on\n", "- Airflow listens on port 8888 [2]\n- and so on\n"),
        # what the model cites is kept, in its place, where the passage says so
        ("KVM and kcli work without Airflow [2].", "KVM and kcli work without Airflow [2]."),
        ("KVM and kcli work without Airflow. [2] Yes", "KVM and kcli work without Airflow. [2] Yes"),
        ("[2] KVM and kcli work without Airflow.", "[2] KVM and kcli work without Airflow."),
        # and put right where another passage does
        ("KVM and kcli work without Airflow [1].", "KVM and kcli work without Airflow [2]."),
    ],
)
def test_the_passage_that_says_it_is_named(written: str, shown: str) -> None:
    assert attributed(written)[0] == shown


@pytest.mark.parametrize(
    "text",
    [
        "Well.",
        "# RHEL 8 is refused by the deployment script\n",
        "| Airflow listens on port 8888 | yes |\n",
        "```bash\n# Airflow listens on port 8888\n```\n",
        "Airflow listens on port 8888 like this:\n",
    ],
)
def test_what_carries_no_citation_stays_as_it_is(text: str) -> None:
    assert attributed(text)[0] == text


def test_a_number_nobody_can_vouch_for_counts_as_cited() -> None:
    assert attributed("Bananas ripen faster beside apples [1].")[1] == {1}
