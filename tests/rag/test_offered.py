"""Every question that the page offers is judged once and leads with the section that answers it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from model.prompting.system_prompts import load_prompt_texts
from onboarding.tours.content import load_tours
from rag.embedding.embedder import Embedder
from rag.search.retriever import Retriever, open_or_build
from tests.evals.retrieval import heading_hit, read_rows

JUDGED = {row["question"]: row for row in read_rows(Path("tests/evals/offered.jsonl"))}
TOOLS = {row["question"] for row in read_rows(Path("tests/evals/offered_tools.jsonl"))}  # they run a check instead


def offered() -> Iterator[str]:
    """Yield what starters, follow-ups and tour steps ask."""
    for route in load_prompt_texts(Path("onboarding/prompts")).routes.values():
        yield from (*route.starters, *route.follow_ups)
    for tour in load_tours().values():
        for step in tour.steps:
            yield from (question for question in (step.ask, *step.topics) if question)


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    return open_or_build(Path("rag/corpus"), tmp_path_factory.mktemp("offered") / "index", Embedder())


def test_every_offered_question_is_judged() -> None:
    assert {question for question in offered() if question not in JUDGED and question not in TOOLS} == set()


@pytest.mark.parametrize("question", JUDGED)
def test_an_offered_question_leads_with_the_section_that_answers_it(retriever: Retriever, question: str) -> None:
    found = retriever.search(question).passages
    assert found, "refused"
    assert heading_hit(JUDGED[question], found[:1]), [(one.path, one.headings) for one in found[:3]]
