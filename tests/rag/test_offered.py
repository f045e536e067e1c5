"""Every question that the page offers is judged once and leads with the section that answers it."""

from pathlib import Path

import pytest

from rag.embedding.embedder import Embedder
from rag.search.retriever import Retriever, open_or_build
from tests.evals.offered import JUDGED, TOOLS, lead_of, offered


@pytest.fixture(scope="module")
def retriever(own_index: Path) -> Retriever:
    return open_or_build(Path("rag/corpus"), own_index, Embedder())


def test_every_offered_question_is_judged() -> None:
    assert {question for question in offered() if question not in JUDGED and question not in TOOLS} == set()


@pytest.mark.parametrize("question", JUDGED)
def test_an_offered_question_leads_with_the_section_that_answers_it(retriever: Retriever, question: str) -> None:
    led = lead_of(retriever, JUDGED[question])
    assert led.fault == "", led.lead
