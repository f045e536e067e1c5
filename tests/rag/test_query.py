"""A question is read with its identifiers, its spelling and its everyday words."""

import pytest

from rag.index.lexical import build_lexical, terms
from rag.search.query import MAX_CHARS, Query, load_glossary, prepare
from rag.types import Chunk, Unit

TEXTS = (
    "Trigger the DAG freeipa_deployment in Airflow. Airflow is on 8888.",
    "Airflow needs QUBINODE_ENABLE_AIRFLOW=true before deploying; Airflow then starts.",
    "libvirtd answers virsh. Start libvirtd with systemctl.",
    "Delete a virtual machine with kcli delete vm.",
)


def unit(number: int, text: str) -> Unit:
    return Unit(f"{number:016}", text, "Page", (), f"{number}.md", (1, 1), "", (Chunk(text, ()),))


LEXICAL = build_lexical([unit(number, text) for number, text in enumerate(TEXTS)])


def read(text: str) -> Query:
    return prepare(text, LEXICAL, load_glossary(), {"where", "which", "pizza", "state"}.__contains__)


def test_identifiers_are_found_whole_and_by_their_parts() -> None:
    assert {"freeipa_deployment", "freeipa", "deploy"} <= set(terms("freeipa_deployment"))
    assert {"java-21-openjdk", "java", "21"} <= set(terms("java-21-openjdk"))


def test_a_word_and_its_number_also_count_as_one() -> None:
    assert "rhel8" in terms("RHEL 8")
    assert "rhel8" in terms("rhel8")


def test_inflected_words_share_a_term() -> None:
    assert set(terms("deploying")) == set(terms("deployed"))


@pytest.mark.parametrize(
    ("typed", "meant"), [("airlfow", "airflow"), ("libvrtd", "libvirtd"), ("freeipa_deploymnt", "freeipa_deployment")]
)
def test_a_misspelt_name_is_read_as_the_known_one(typed: str, meant: str) -> None:
    query = read(f"where is {typed}")
    assert query.corrections == ((typed, meant),)
    assert meant in query.spelled


def test_ordinary_words_and_short_ones_are_left_alone() -> None:
    assert read("which pizza state vmm").corrections == ()


def test_a_name_also_finds_its_other_names() -> None:
    assert "vm" in read("delete my virtual machine").expansions or "vm" in read("delete my virtual machine").terms
    assert {"rhel10", "stream"} <= set(read("python on el10").expansions)


def test_an_everyday_word_also_finds_what_documentation_says() -> None:
    assert "delet" in read("get rid of it").expansions
    assert "delet" not in read("rid").expansions


def test_a_visitors_own_word_is_not_repeated_as_an_expansion() -> None:
    query = read("delete the vm")
    assert not set(query.terms) & set(query.expansions)


def test_an_endless_question_is_cut() -> None:
    assert len(read("x" * 100_000).text) == MAX_CHARS


@pytest.mark.parametrize("text", ["", "???", "the of and", "\x00", "💥"])
def test_a_question_without_words_has_no_terms(text: str) -> None:
    assert read(text).terms == ()


def test_a_unit_scores_in_the_field_that_holds_the_term() -> None:
    assert LEXICAL.scores(terms("virsh"))["body"].argmax() == 2
    assert LEXICAL.scores(terms("virsh"))["heading"].max() == 0.0
    assert LEXICAL.scores(["unheard"])["body"].tolist() == [0.0] * len(TEXTS)
