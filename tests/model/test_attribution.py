"""Sentences get the number of the passage that says them, however the stream is cut; other text stays as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given as cases
from hypothesis import strategies as st

from model.checking.attribution import Attribution
from model.checking.grounding import Given

PASSAGES = Given(
    (
        "RHEL 8 is refused by the deployment script: it prints an error and ends with status 1.",
        "Airflow listens on port 8888. KVM and kcli work without Airflow. Set QUBINODE_ENABLE_AIRFLOW=false to skip it.",
    ),
    question="Do I need Airflow?",
)
PLACES = ("RHEL 8 > Status", "Airflow > Ports")


def attributed(text: str, step: int = 1000) -> str:
    attribution = Attribution(PASSAGES, PLACES)
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    return "".join(map(attribution.feed, pieces)) + attribution.flush()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("RHEL 8 is refused by the deployment script.", "RHEL 8 is refused by the deployment script [1]."),
        ("Airflow listens on port 8888", "Airflow listens on port 8888 [2]"),
        (
            "Airflow listens on port 8888. RHEL 8 is refused by the script!",
            "Airflow listens on port 8888 [2]. RHEL 8 is refused by the script [1]!",
        ),
        ("- Airflow listens on port 8888\n- and so on\n", "- Airflow listens on port 8888 [2]\n- and so on\n"),
        # what the model cites is kept, in its place, where the passage says so
        ("KVM and kcli work without Airflow [2].", "KVM and kcli work without Airflow [2]."),
        ("KVM and kcli work without Airflow. [2] RHEL 8", "KVM and kcli work without Airflow. [2] RHEL 8"),
        ("[2] KVM and kcli work without Airflow.", "[2] KVM and kcli work without Airflow."),
        # and put right where another passage does
        ("KVM and kcli work without Airflow [1].", "KVM and kcli work without Airflow [2]."),
        ("KVM and kcli work without Airflow. [1] Yes.", "KVM and kcli work without Airflow [2]. Yes."),
        # headings that the model only repeats
        ("[2] Airflow > Ports\nAirflow listens on port 8888.", "Airflow listens on port 8888 [2]."),
    ],
)
def test_the_passage_that_says_it_is_named(written: str, shown: str) -> None:
    assert {attributed(written, step) for step in (1, 2, 3, 1000)} == {shown}


@pytest.mark.parametrize(
    "text",
    [
        "Airflow listens on port 9999.",  # another figure
        "Airflow is written in Python by many people.",  # no passage says it
        "RHEL 8 is supported by the deployment script.",  # against the passage
        "Yes.",
        "Set it like this: e.g. in the shell",
        "# RHEL 8 is refused by the deployment script\n",
        "| Airflow listens on port 8888 | yes |\n",
        "```bash\nAirflow listens on port 8888\n```\n",
        "The deployment script prints an error and ends so:\n",
    ],
)
def test_what_no_passage_surely_says_stays_as_it_is(text: str) -> None:
    assert {attributed(text, step) for step in (1, 4, 1000)} == {text}


def test_a_number_nobody_can_vouch_for_stays_and_counts_as_cited() -> None:
    attribution = Attribution(PASSAGES, PLACES)
    text = "Bananas ripen faster beside apples [1]."
    assert attribution.feed(text) + attribution.flush() == text
    assert attribution.cited == {1}


@cases(
    st.lists(
        st.sampled_from(
            ["Airflow listens on port 8888", "RHEL 8 is refused by the deployment script", "Hm", " [1]", " [2]", ". ", "!",
             "\n", "```\n", "- ", "# ", ": ", "| ", "[", "](x)", "e.g. ", "**", "[2] Airflow > Ports\n", "9.", " "]
        ),
        max_size=14,
    ),
    st.integers(1, 9),
)  # fmt: skip
def test_nothing_but_numbers_and_echoes_is_changed(parts: list[str], step: int) -> None:
    text = "".join(parts)
    shown = attributed(text, step)
    assert shown == attributed(text)
    assert bare(shown) == bare(text)


def bare(text: str) -> str:
    """Without citations, white space, and headings that may go."""
    return re.sub(r"\[\d+\]|\s|Airflow > Ports", "", text)
