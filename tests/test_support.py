"""Generated sentences that the evidence does not bear out are found; those it does bear out pass."""

from __future__ import annotations

import pytest

from model.support import unsupported

EVIDENCE = [
    "RHEL 8 is refused by the deployment script of Qubinode Navigator: it prints an error and ends with status 1.",
    "The script accepts RHEL 9, RHEL 10, CentOS Stream 9 and Rocky 9. Airflow listens on port 8888.",
    "Upstream's assistant needs at least 6 GB of memory and runs without a GPU.",
]


@pytest.mark.parametrize(
    "sentence",
    [
        "Yes, RHEL 8 is supported.",
        "Airflow listens on port 9999.",
        "Set QUBINODE_MAGIC_SWITCH before you start.",
        "The assistant cannot run without a GPU.",
        "Bananas ripen faster beside apples because of ethylene.",
    ],
)
def test_what_the_evidence_does_not_say_is_marked(sentence: str) -> None:
    assert unsupported(sentence, EVIDENCE) == [sentence]


@pytest.mark.parametrize(
    "sentence",
    [
        "RHEL 8 is refused by the deployment script.",
        "The script accepts RHEL 9 and Rocky 9 [1].",
        "Airflow listens on port 8888.",
        "Here is how:",
        "The assistant runs without a GPU and needs 6 GB of memory.",
    ],
)
def test_what_the_evidence_says_passes(sentence: str) -> None:
    assert unsupported(sentence, EVIDENCE) == []


def test_code_is_not_judged_as_prose() -> None:
    assert unsupported("```\nexport PORT=12345\n```", EVIDENCE) == []
