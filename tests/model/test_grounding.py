"""Generated sentences that the evidence does not bear out are found; those it does bear out pass."""

from __future__ import annotations

import pytest

from model.checking.grounding import Given, unsupported

EVIDENCE = [
    "RHEL 8 is refused by the deployment script of Qubinode Navigator: it prints an error and ends with status 1.",
    "The script accepts RHEL 9, RHEL 10, CentOS Stream 9 and Rocky 9. Airflow listens on port 8888.",
    "Upstream's assistant needs at least 6 GB of memory and runs without a GPU.",
]


def told(*texts: str) -> Given:
    return Given(others=texts)


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
    assert unsupported(sentence, told(*EVIDENCE)) == [sentence]


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
    assert unsupported(sentence, told(*EVIDENCE)) == []


def test_code_is_not_judged_as_prose() -> None:
    assert unsupported("```\nexport PORT=12345\n```", told(*EVIDENCE)) == []


RESULTS = ['{"cpu":{"usage_percent":97.438,"cores":16},"disk":{"free_gb":1.25,"total_kb":1048576},"up":"10.0.0.17"}']


@pytest.mark.parametrize(
    "sentence",
    ["The processor is at 97 %.", "The processor is at 97.4 %.", "16 cores.", "Free: 1.3 GB of 1,048,576 kB.",
     "It answers at 10.0.0.17.", "1. The processor is at 97.44 %."],
)  # fmt: skip
def test_a_figure_of_the_result_or_its_rounding_passes(sentence: str) -> None:
    assert unsupported(sentence, told(*RESULTS, "processor free answers cores")) == []


@pytest.mark.parametrize(
    "sentence",
    ["The processor is at 98 %.", "The processor is at 7 %.", "6 cores.", "Free: 12.5 GB.", "It is 10.0.0.1.",
     "The load is 97.5 %."],
)  # fmt: skip
def test_a_figure_that_is_in_no_result_is_marked_even_where_its_digits_occur(sentence: str) -> None:
    assert len(unsupported(sentence, told(*RESULTS, "processor free cores load"))) == 1


def test_a_number_may_be_spelt_in_the_evidence_and_written_in_the_answer() -> None:
    evidence = ["The plugin has three methods, and a fourth that is optional."]
    assert unsupported("The plugin has 3 methods.", told(*evidence)) == []
    assert len(unsupported("The plugin has 5 methods.", told(*evidence))) == 1


def test_the_numbers_of_a_list_are_no_figures() -> None:
    answer = "Do this:\n\n1. Run the preflight check.\n7. Run the deploy script.\n- 8) Read the log.\n"
    assert unsupported(answer, told("Run the preflight check, then the deploy script, then read the log.")) == []
    assert unsupported("7 hosts run the deploy script.", told("Run the deploy script on the hosts.")) != []


PASSAGES = Given(("RHEL 8 is refused by the deployment script.", "Airflow listens on port 8888 of the host."))


@pytest.mark.parametrize(
    ("sentence", "marked"),
    [
        ("Airflow listens on port 8888 of the host [2].", False),
        ("Airflow listens on port 8888 of the host. [2]", False),
        ("Airflow listens on port 8888 of the host [1].", True),
        ("Airflow listens on port 8888 of the host [1][2].", False),
        ("Airflow listens on port 8888 of the host.", False),
    ],
)
def test_a_sentence_that_cites_is_held_against_what_it_cites(sentence: str, marked: bool) -> None:
    assert bool(unsupported(sentence, PASSAGES)) is marked


def test_an_echo_of_the_question_is_not_borne_out_by_it() -> None:
    given = Given(
        ("The default mode is the cloud: Gemini answers.",), question="are my files sent to some partner company?"
    )
    assert unsupported("No, your files are not sent to some partner company.", given)
    assert not unsupported("The default mode is the cloud, so Gemini answers.", given)


def test_a_figure_of_the_question_may_be_repeated() -> None:
    given = Given(("RHEL is accepted in its newer releases only.",), question="What about RHEL 8?")
    assert not unsupported("RHEL 8 is none of the newer releases, only those are accepted.", given)


def test_words_that_are_only_scattered_over_the_evidence_prove_nothing() -> None:
    scattered = (
        "Files are kept. The default is a cloud. The port is 8080. Logs are sent off. It needs a key. Chat is one mode."
    )
    assert unsupported("Your files are never sent to the cloud by the chat assistant.", told(scattered))


def test_a_list_may_be_summed_up() -> None:
    listed = (
        "It deploys:\n\n- FreeIPA for identity\n- VyOS for routing\n- Step-CA for certificates\n- OpenShift clusters"
    )
    assert not unsupported("It deploys FreeIPA, VyOS, Step-CA and OpenShift clusters.", told(listed))
