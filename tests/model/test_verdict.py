"""Sentences that their evidence does not bear out are found, and those that it does bear out stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model.checking.verdict import SentenceChecker, Verdict
from model.statements.evidence import Given
from model.statements.subjects import subject_of
from model.statements.words import words

EVIDENCE = (
    "RHEL 8 is refused by the deployment script of Qubinode Navigator: it prints an error and ends with status 1.",
    "The script accepts RHEL 9, RHEL 10, CentOS Stream 9 and Rocky 9. Airflow listens on port 8888.",
    "Upstream's assistant needs at least 6 GB of memory and runs without a GPU.",
)
PAGE = Path("rag/corpus/rhel8-status.md").read_text("utf-8").split("---\n", maxsplit=2)[2]
SECTIONS = tuple(re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:4])  # what a turn on RHEL 8 is given to read


def judged(
    sentence: str, *passages: str, others: tuple[str, ...] = (), question: str = "", before: str = ""
) -> Verdict:
    return SentenceChecker(Given(passages, others, question)).judge(sentence, before)


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
def test_what_the_evidence_does_not_say_is_found(sentence: str) -> None:
    assert judged(sentence, *EVIDENCE).kind != "holds"


@pytest.mark.parametrize(
    "sentence",
    [
        "RHEL 8 is refused by the deployment script.",
        "The script accepts RHEL 9 and Rocky 9 [2].",
        "Airflow listens on port 8888.",
        "Here is how:",
        "The assistant runs without a GPU and needs 6 GB of memory.",
        "- The assistant runs without a GPU.",
        "| --- | --- |",
        "",
    ],
)
def test_what_the_evidence_says_holds(sentence: str) -> None:
    assert judged(sentence, *EVIDENCE).kind == "holds"


@pytest.mark.parametrize(
    "sentence",
    ["Yes, RHEL 8 is supported.", "RHEL 8 is still supported by Qubinode.", "You can deploy on RHEL 8.", "RHEL 8 works fine."],
)  # fmt: skip
def test_affirming_what_the_page_denies_goes_against_it(sentence: str) -> None:
    assert judged(sentence, *SECTIONS).kind == "against"


def test_what_the_page_says_of_another_release_is_marked() -> None:
    assert judged("RHEL 9 or 10 are refused by the deployment script of Qubinode Navigator.", *SECTIONS).kind != "holds"


@pytest.mark.parametrize(
    "sentence",
    [
        "No, RHEL 8 is not supported.",
        "RHEL 8 is refused by the script.",
        "Some documents still list RHEL 8, but the script refuses it.",
        "Upgrade to RHEL 9 or 10.",
    ],
)
def test_what_the_page_says_holds(sentence: str) -> None:
    assert judged(sentence, *SECTIONS).kind == "holds"


@pytest.mark.parametrize(
    ("sentence", "passage", "kind"),
    [
        ("Airflow is mandatory.", "Airflow is optional; the platform deploys without it.", "against"),
        ("Airflow is optional.", "Airflow is optional; the platform deploys without it.", "holds"),
        ("A Hub token is required.", "A Hub token is not required for the public model.", "against"),
        ("A Hub token is not needed.", "A Hub token is not required for the public model.", "holds"),
        ("The RHEL9Plugin is enabled by default.", "The RHEL9Plugin is disabled.", "against"),
        ("CentOS Stream 10 is rejected.", "The script accepts CentOS Stream 10 and RHEL 10.", "against"),
        ("No GPU is needed.", "Qubinode needs no GPU.", "holds"),
        ("A GPU is needed.", "Qubinode needs no GPU.", "against"),
        ("RHEL 10 is refused.", "The script accepts RHEL 9 or 10.", "against"),
        ("RHEL 9 is refused.", "The script accepts RHEL 8, 9 and 10.", "against"),
        ("The assistant is protected by a login.", "The assistant is reached without a login.", "not_found"),
        ("Deleted disks can be restored.", "Disks that were deleted cannot be restored.", "against"),
        ("RHEL 9 or 10 are refused by the script.", "The script has refused RHEL 8, 9 and 10 since May.", "holds"),
        ("OpenShift 4.19 is supported by the agent.", "The agent supports OpenShift 4.17, 4.18 and 4.20.", "not_found"),
    ],
)  # fmt: skip
def test_the_other_side_of_the_same_matter_goes_against(sentence: str, passage: str, kind: str) -> None:
    assert judged(sentence, passage).kind == kind


@pytest.mark.parametrize(
    ("answer", "question", "passage", "kind"),
    [
        ("Yes.", "Do I need a GPU?", "Qubinode needs no GPU.", "against"),
        ("No.", "Do I need a GPU?", "Qubinode needs no GPU.", "holds"),
        ("No.", "Does the script accept RHEL 9?", "The script accepts RHEL 9 and 10.", "against"),
        ("Yes.", "Does the script accept RHEL 9?", "The script accepts RHEL 9 and 10.", "holds"),
        ("Yes.", "Can I install it on RHEL 8?", "RHEL 8 is refused by the script.", "against"),
        ("No.", "Which port does Airflow use?", "Airflow listens on port 8888.", "holds"),
    ],
)
def test_yes_and_no_are_judged_by_the_question(answer: str, question: str, passage: str, kind: str) -> None:
    assert judged(answer, passage, question=question).kind == kind


TABLE = """Guests > Needs
What guests need:

| Guest | Memory | Disk |
| --- | --- | --- |
| FreeIPA | 4 GB | 50 GB |
| OpenShift | 32 GB | 120 GB |
"""


@pytest.mark.parametrize(
    ("sentence", "holds"),
    [
        ("FreeIPA needs 4 GB of memory.", True),
        ("OpenShift needs 120 GB of disk.", True),
        ("FreeIPA needs 32 GB of memory.", False),
        ("FreeIPA needs 50 GB of memory.", False),
    ],
)
def test_a_figure_belongs_to_its_row_and_column(sentence: str, holds: bool) -> None:
    assert (judged(sentence, TABLE).kind == "holds") is holds


RESULTS = ('{"cpu":{"usage_percent":97.438,"cores":16},"disk":{"free_gb":1.25,"total_kb":1048576},"up":"10.0.0.17"}',)


@pytest.mark.parametrize(
    "sentence",
    ["The processor is at 97 %.", "The processor is at 97.4 %.", "16 cores.", "Free: 1.3 GB of 1,048,576 kB.",
     "The processor is at 97.438 %.", "1. The processor is at 97.44 %."],
)  # fmt: skip
def test_a_figure_of_the_result_or_its_rounding_holds(sentence: str) -> None:
    assert judged(sentence, others=(*RESULTS, "processor free answers cores")).kind == "holds"


@pytest.mark.parametrize(
    "sentence",
    ["The processor is at 98 %.", "The processor is at 7 %.", "6 cores.", "Free: 12.5 GB.", "It is 10.0.0.1.",
     "The load is 97.5 %."],
)  # fmt: skip
def test_a_figure_that_is_in_no_result_is_found_even_where_its_digits_occur(sentence: str) -> None:
    assert judged(sentence, others=(*RESULTS, "processor free cores load")).kind != "holds"


def test_a_number_may_be_spelt_in_the_evidence_and_written_in_the_answer() -> None:
    passage = "The plugin has three methods, and a fourth that is optional."
    assert judged("The plugin has 3 methods.", passage).kind == "holds"
    assert judged("The plugin has 5 methods.", passage).kind != "holds"


@pytest.mark.parametrize(
    ("sentence", "holds"),
    [
        ("Airflow listens on port 8888 of the host [2].", True),
        ("Airflow listens on port 8888 of the host. [2]", True),
        ("Airflow listens on port 8888 of the host [1].", False),
        ("Airflow listens on port 8888 of the host [1][2].", True),
        ("Airflow listens on port 8888 of the host.", True),
    ],
)
def test_a_sentence_that_cites_is_held_against_what_it_cites(sentence: str, holds: bool) -> None:
    passages = ("RHEL 8 is refused by the deployment script.", "Airflow listens on port 8888 of the host.")
    assert (judged(sentence, *passages).kind == "holds") is holds


def test_the_verdict_names_the_sentence_that_decides() -> None:
    verdict = judged("A GPU is needed.", EVIDENCE[0], "It starts at once. Qubinode needs no GPU.")
    assert verdict == Verdict("against", 2, "Qubinode needs no GPU.")


def test_an_echo_of_the_question_is_not_borne_out_by_it() -> None:
    passage, question = "The default mode is the cloud: Gemini answers.", "are my files sent to some partner company?"
    assert judged("No, your files are not sent to some partner company.", passage, question=question).kind != "holds"
    assert judged("The default mode is the cloud, so Gemini answers.", passage, question=question).kind == "holds"


def test_a_figure_of_the_question_may_be_repeated() -> None:
    passage, question = "RHEL is accepted in its newer releases only.", "What about RHEL 8?"
    assert (
        judged("For RHEL 8: RHEL is accepted in its newer releases only.", passage, question=question).kind == "holds"
    )


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("The documentation does not say.", "against"),
        ("The documentation does not mention which port Airflow listens on.", "not_found"),
        ("The documentation does not say how fast Airflow is.", "holds"),
        ("The documentation does not mention a GPU.", "holds"),
    ],
)
def test_that_nothing_is_said_is_marked_where_a_passage_says_it(sentence: str, kind: str) -> None:
    assert judged(sentence, *EVIDENCE, question="Which port does Airflow listen on?").kind == kind


def test_words_that_are_only_scattered_over_the_evidence_prove_nothing() -> None:
    scattered = (
        "Files are kept. The default is a cloud. The port is 8080. Logs are sent off. It needs a key. Chat is one mode."
    )
    assert judged("Your files are never sent to the cloud by the chat assistant.", scattered).kind != "holds"


def test_a_list_may_be_summed_up() -> None:
    listed = (
        "It deploys:\n\n- FreeIPA for identity\n- VyOS for routing\n- Step-CA for certificates\n- OpenShift clusters"
    )
    assert judged("It deploys FreeIPA, VyOS, Step-CA and OpenShift clusters.", listed).kind == "holds"


def test_of_another_language_only_figures_and_identifiers_are_compared() -> None:
    checker = SentenceChecker(Given(("Airflow listens on port 8888, set by `AIRFLOW_PORT`.",)), foreign=True)
    assert checker.judge("Airflow lauscht auf Port 8888, gesetzt von `AIRFLOW_PORT`.").kind == "holds"
    assert checker.judge("Airflow lauscht auf Port 8080.").kind == "not_found"
    assert checker.judge("Setze `AIRFLOW_WEB_PORT`.").kind == "not_found"


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("The new installer needs no network.", "The old installer needs a network."),
        ("RHEL 9 is accepted.", "RHEL 8 is refused."),
        ("The port is closed.", "If Airflow is off, the port is open."),
        ("The port is closed unless Airflow is on.", "The port is open when Airflow is on."),
        ("Airflow is not only optional, it is off.", "Airflow is optional and off."),
        ("RHEL 8 is not supported.", "The README says that RHEL 8 is supported."),
        ("It is not impossible to restore the disk.", "The disk can be restored."),
        ("Qubinode works without a GPU.", "Layers can be moved to a GPU with `AI_USE_GPU=true` and `AI_GPU_LAYERS`."),
        ("The default bridge is not correct on many servers.", "The default bridge is wrong on many machines."),
        ("Neither of the two plugins is required.", "Two plugins exist, and neither is needed."),
    ],
)  # fmt: skip
def test_what_only_looks_like_the_reverse_is_not_left_out(sentence: str, passage: str) -> None:
    assert judged(sentence, passage).kind != "against"


PORTS = "The web page of Marquez listens on port 3000 of the host and asks for no password."


@pytest.mark.parametrize(
    ("sentence", "against"),
    [
        ("The web page of Marquez listens on port 9000 of the host.", True),
        ("The web page of Marquez listens on port 3000 of the host.", False),
        ("The web page of Marquez listens on a port such as 9000 of the host.", False),
        ("The metrics of Grafana are shown on port 9000.", False),
    ],
)
def test_a_figure_exchanged_in_a_sentence_that_follows_the_passage_goes_against_it(
    sentence: str, against: bool
) -> None:
    assert (judged(sentence, PORTS).kind == "against") is against


def test_an_amount_in_another_unit_is_no_exchange() -> None:
    passage = "The controller of the lab cluster gets 16 GB of memory from the shipped profile."
    sentence = "The controller of the lab cluster gets 16384 MB of memory from the shipped profile."
    assert judged(sentence, passage).kind != "against"


@pytest.mark.parametrize(
    ("opening", "after", "kind"),
    [
        ("Yes, the script accepts RHEL 8.", "RHEL 8 is refused by the script.", "against"),
        ("Yes, the script accepts RHEL 9.", "RHEL 8 is refused by the script.", "holds"),
        ("Yes, the script accepts RHEL 9.", "", "holds"),
    ],
)
def test_a_yes_that_the_next_sentence_refutes_goes_against_its_evidence(opening: str, after: str, kind: str) -> None:
    passages = ("RHEL 8 is refused by the script.", "The script accepts RHEL 9.", "The old script accepts RHEL 8.")
    assert SentenceChecker(Given(passages)).judge(opening, "", after).kind == kind


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("The documentation provides detailed instructions on this topic.", "holds"),
        ("For more information, refer to the documentation.", "holds"),
        ("The documentation provides detailed instructions on `airflow-turbo`.", "not_found"),
    ],
)
def test_a_sentence_that_only_points_to_the_documentation_claims_nothing(sentence: str, kind: str) -> None:
    assert judged(sentence, *EVIDENCE).kind == kind


def test_a_value_is_no_opposite_whether_or_not_it_stands_in_code() -> None:
    told = "To leave Airflow out, set `QUBINODE_ENABLE_AIRFLOW=false` before the deploy script runs."
    checker = SentenceChecker(Given((told,), (), "how do i turn airflow off"))
    said = "To turn Airflow off, set the variable QUBINODE_ENABLE_AIRFLOW=false before the deploy script runs."
    assert checker.judge(said).kind == "holds"
    assert checker.judge(said.replace("=false", "=true")).kind != "holds"


MARQUEZ = "Marquez has its web page on port 3000, its API on port 5001 and an admin page on port 5002."


@pytest.mark.parametrize(
    ("sentence", "passage", "holds"),
    [
        ("The API of Marquez listens on port 3000.", MARQUEZ, False),
        ("Marquez has its API on port 5001.", MARQUEZ, True),
        ("An empty filter gives an error.", "An empty filter gives an empty list, not an error.", False),
        ("An empty filter gives an empty list.", "An empty filter gives an empty list, not an error.", True),
        ("Airflow has no uninstall script and no tested upgrade.", "Upstream has no uninstall script and no tested upgrade.", False),
        ("Upstream has no uninstall script.", "Upstream has no uninstall script and no tested upgrade.", True),
        ("The parser asks for confirmation before it destroys a service.", "A message can destroy a service, because the parser knows no question, and nobody is asked.", False),
    ],
)  # fmt: skip
def test_a_predicate_belongs_to_its_subject_and_stays_affirmed_or_denied(
    sentence: str, passage: str, holds: bool
) -> None:
    assert (judged(sentence, passage).kind == "holds") is holds


@pytest.mark.parametrize(
    ("before", "holds"), [("`make uninstall` stops Airflow.", True), ("`make_clean_all` stops Airflow.", False)]
)
def test_a_quoted_sentence_holds_for_what_its_pronoun_stands_for(before: str, holds: bool) -> None:
    passage = "The command `make uninstall` removes Airflow. It deletes the database volume with its run history."
    found = judged("It deletes the database volume with its run history.", passage, before=before)
    assert (found.kind == "holds") is holds


def test_an_answer_to_one_half_of_a_question_is_no_echo_of_the_other() -> None:
    passage = "VM disks and cloud images lie in `/var/lib/libvirt/images` of the host."
    question = "where do my vm disks lie and can i put them on another disk"
    assert judged("VM disks are stored in `/var/lib/libvirt/images`.", passage, question=question).kind == "holds"


@pytest.mark.parametrize(
    ("sentence", "subject"),
    [
        ("The `make clean-all` command keeps the database.", {"make", "clean-all"}),
        ("To turn it off, the deploy script reads `.env`.", {"deploy", "script"}),
        ("It deletes the volume.", set()),
        ("You can use the script.", set()),
        ("Run the script as root.", set()),
    ],
)
def test_the_subject_stands_before_the_first_verb(sentence: str, subject: set[str]) -> None:
    assert {word.lower() for word in subject_of(sentence).words} == {
        key for word in subject for key in words(f"`{word}`" if "-" in word or word == "make" else word)
    }


@pytest.mark.parametrize("answers", [True, False])
def test_that_nothing_is_said_stands_where_the_passages_are_only_the_nearest(answers: bool) -> None:
    given = Given(("Airflow listens on port 8888.",), (), "Which port does Airflow listen on?", answers)
    kind = SentenceChecker(given).judge("The documentation does not say.").kind
    assert kind == ("against" if answers else "holds")


UBUNTU = "Ubuntu, Debian and every other system are not supported as hosts. They can run as guests: kcli offers both."
RHEL = "RHEL 8 is refused by the script. RHEL 9 and 10 are accepted."


@pytest.mark.parametrize(
    ("question", "passage", "sentence", "left_out"),
    [
        ("can i run this on ubuntu", UBUNTU, "Yes, you can run this on Ubuntu.", True),
        ("and debian?\ncan i run this on debian", UBUNTU, "Yes, Debian is also supported.", True),
        ("does it work on debian?", UBUNTU, "Yes.", True),
        ("can i run ubuntu as guest", UBUNTU, "Yes, you can run Ubuntu as a guest.", False),
        ("does it work on debian?", UBUNTU, "No, Debian is not supported.", False),
        ("still on rhel 8.10, can i use the script or not", RHEL, "Yes, use it on RHEL 8.10.", True),
        ("can i use the script on rhel 9", RHEL, "Yes, the script accepts RHEL 9.", False),
        ("is airflow optional", "Airflow is not mandatory.", "Yes, Airflow is optional.", False),
    ],
)
def test_a_yes_to_what_the_leading_passage_refuses_is_left_out(
    question: str, passage: str, sentence: str, left_out: bool
) -> None:
    assert (judged(sentence, passage, question=question).kind == "against") == left_out


@pytest.mark.parametrize(
    ("question", "sentence", "repeats"),
    [
        ("the log has just one line in it??", "The log has just one line in it?", True),
        ("reran the script and everything is gone", "You reran the script and everything is gone.", True),
        ("reran the script and everything is gone", "The script deletes a real folder and keeps a link.", False),
        ("does airflow listen on port 8888", "Airflow listens on port 8888.", False),
        ("is the log there", "Yes, the log is there.", False),
    ],
)
def test_a_message_said_again_is_no_answer(question: str, sentence: str, repeats: bool) -> None:
    assert SentenceChecker(Given(("Logs lie on disk.",), (), question)).repeats(sentence) == repeats
