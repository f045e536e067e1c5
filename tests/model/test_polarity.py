"""A sentence that affirms what the evidence denies is found on the very pages; what only sounds alike is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model.checking.grounding import Given, unsupported
from model.checking.polarity import contradicts, of_another, stances

PAGE = Path("rag/corpus/rhel8-status.md").read_text("utf-8").split("---\n", maxsplit=2)[2]
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:4]  # what a turn on RHEL 8 is given to read


@pytest.mark.parametrize(
    "sentence",
    [
        "Yes, RHEL 8 is supported.",
        "RHEL 8 is still supported by Qubinode.",
        "You can deploy on RHEL 8.",
        "RHEL 8 works fine.",
    ],
)
def test_affirming_what_the_page_denies_is_marked(sentence: str) -> None:
    assert unsupported(sentence, Given(tuple(SECTIONS))) == [sentence]


@pytest.mark.parametrize(
    "sentence",
    [
        "No, RHEL 8 is not supported.",
        "RHEL 8 is refused by the script.",
        "Some documents still list RHEL 8, but the script refuses it.",
        "Upgrade to RHEL 9 first.",
    ],
)
def test_what_the_page_says_is_not_marked(sentence: str) -> None:
    assert unsupported(sentence, Given(tuple(SECTIONS))) == []


@pytest.mark.parametrize(
    ("sentence", "given", "expected"),
    [
        ("Airflow is mandatory.", "Airflow is optional; the platform deploys without it.", True),
        ("Airflow is optional.", "Airflow is optional; the platform deploys without it.", False),
        ("A Hub token is required.", "A Hub token is not required for the public model.", True),
        ("A Hub token is not needed.", "A Hub token is not required for the public model.", False),
        ("The RHEL9Plugin is enabled by default.", "The RHEL9Plugin is disabled.", True),
        ("CentOS Stream 10 is rejected.", "The script accepts CentOS Stream 10 and RHEL 10.", True),
        ("CentOS Stream 9 is rejected.", "The script accepts CentOS Stream 10 and RHEL 10.", False),
        ("If RHEL 8 is supported, go on.", "RHEL 8 is refused.", False),
        ("It works without a GPU.", "Qubinode needs no GPU.", False),
        ("A GPU is needed.", "Qubinode needs no GPU.", True),
        ("A vault is required.", "Bridged networks are optional.", False),
        ("RHEL 10 is refused.", "The script accepts RHEL 9 or 10.", True),
        ("RHEL 9 is refused.", "The script accepts RHEL 8, 9 and 10.", True),
        ("RHEL 2 is refused.", "The script accepts RHEL 9 and 2 disks.", False),
    ],
)
def test_only_the_other_side_of_the_same_matter_contradicts(sentence: str, given: str, expected: bool) -> None:
    assert contradicts(stances(sentence), stances(given)) is expected


def test_the_majority_of_the_evidence_decides() -> None:
    given = ["RHEL 8 is refused.", "RHEL 8 is no longer supported.", "RHEL 8 works with the old script."]
    known = stances(*given)
    assert contradicts(stances("RHEL 8 is supported."), known)
    assert not contradicts(stances("RHEL 8 is refused."), known)


@pytest.mark.parametrize(
    ("sentence", "given", "expected"),
    [
        ("RHEL 9 or 10 are refused by the script.", "RHEL 8 is refused by the script.", True),
        ("RHEL 9 or 10 are refused by the script.", "The script has refused RHEL 8, 9 and 10 since May.", False),
        ("RHEL 8 is refused by the script.", "RHEL 8 is refused by the script.", False),
        ("Fedora 44 is refused by the image.", "RHEL 8 is refused by the script.", False),
        ("The script refuses old hosts.", "RHEL 8 is refused by the script.", False),
        ("OpenShift 4.19 is supported by the agent.", "The agent supports OpenShift 4.17, 4.18 and 4.20.", True),
    ],
)
def test_what_is_said_of_one_release_may_not_be_said_of_another(sentence: str, given: str, expected: bool) -> None:
    assert of_another(stances(sentence), stances(given)) is expected


def test_the_wrong_release_in_the_pages_own_words_is_marked() -> None:
    sentence = "RHEL 9 or 10 are refused by the deployment script of Qubinode Navigator."
    assert unsupported(sentence, Given(tuple(SECTIONS))) == [sentence]
