"""The tours' words: they lead somewhere, their questions are answered by the corpus, their commands stand in it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.routing.routing import Routing
from onboarding.tours.content import TOURS, Tour, TourStep, load_tour, load_tours, named_links
from onboarding.tours.contribution import Kind, load_kinds
from rag.embedding.embedder import Embedder
from rag.reading.links import UPSTREAM, UPSTREAM_COMMIT
from rag.search.retriever import Retriever, open_or_build
from tools.simulation.hosts import load_hosts

pytest_plugins = ["tests.routing_parts"]
CORPUS = Path(__file__).parents[2] / "rag" / "corpus"
PAGES = "\n".join(page.read_text(encoding="utf-8") for page in sorted(CORPUS.glob("*.md")))
README = (CORPUS.parents[1] / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)|https?://[^\s)>\"']+")
OWN = re.compile(r"\?tour=({})(&step=\d+)?".format("|".join(load_tours())))
EVERY_STEP = [
    pytest.param(tour, step, id=f"{tour.name}-{number}")
    for tour in load_tours().values()
    for number, step in enumerate(tour.steps, start=1)
]


SOURCE = re.compile(r"(?P<path>[\w./-]+)(#L(?P<first>\d+)(-L(?P<last>\d+))?)?")
CHECKOUT = os.environ.get("UPSTREAM_CHECKOUT", "")  # a clone of upstream at UPSTREAM_COMMIT
KINDS = load_kinds(load_tour("contribute").data).values()


@pytest.fixture(scope="module")
def retriever(own_index: Path) -> Retriever:
    """Over all of our pages."""
    return open_or_build(CORPUS, own_index, Embedder())


@pytest.fixture
def guide(tmp_path: Path) -> Iterator[Guide]:
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path))
    yield Guide(parts)
    parts.close()


def test_there_are_four_tours_and_each_leads_on() -> None:
    tours = load_tours()
    assert set(tours) == {"rhel10", "diagnostics-tour", "plugins", "contribute"}
    assert all(tour.next in {*tours, "chat"} and tour.next != name for name, tour in tours.items())
    assert all(len(tour.steps) >= 5 for tour in tours.values())
    assert all(not tour.host or tour.host in load_hosts() for tour in tours.values())


def test_a_tour_that_leads_nowhere_says_where_it_could_lead(tmp_path: Path) -> None:
    step = '[[steps]]\nname = "One"\ntext = "T"\nask = "Why?"\n'
    (tmp_path / "lost.toml").write_text(f'title = "T"\nlabel = "L"\nnext = "gone"\n{step}')
    with pytest.raises(ValueError, match=r"lost\.toml leads to 'gone'; next must be chat or one of lost"):
        load_tours(tmp_path)


def test_a_tour_file_that_lacks_something_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text('title = "T"\nhost = "healthy"\n[[steps]]\nname = "One"\n')
    with pytest.raises(ValueError, match=r"broken\.toml lacks 'text'"):
        load_tour("broken", tmp_path)


@pytest.mark.parametrize(("tour", "step"), EVERY_STEP)
def test_a_step_has_words_a_question_and_only_links_that_the_corpus_has(tour: Tour, step: TourStep) -> None:
    assert step.name
    assert step.text
    assert step.ask.endswith("?")
    for link in LINK.finditer(step.text):
        target = link[1] or link[0]
        assert target in PAGES or OWN.fullmatch(target), target


@pytest.mark.parametrize(("tour", "step"), EVERY_STEP)
def test_whatever_a_step_asks_is_answered_by_the_corpus_or_by_a_tool(
    tour: Tour, step: TourStep, retriever: Retriever
) -> None:
    asked = [question for question in (step.ask, *step.topics) if "this host" not in question]
    for question in asked:
        if "demo host" in question:
            continue  # a tool answers it
        result = retriever.search(question)
        assert result.passages, question
        assert result.extract, question


@pytest.mark.parametrize(("tour", "step"), EVERY_STEP)
def test_a_step_has_a_source(tour: Tour, step: TourStep) -> None:
    assert step.sources
    check_sources(step.sources)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_a_kind_of_contribution_has_a_source_unless_it_is_about_this_space(kind: Kind) -> None:
    assert bool(kind.sources) == (kind.id != "assistant")
    check_sources(kind.sources)


def check_sources(sources: tuple[str, ...]) -> None:
    """Assert that each is PATH, PATH#L1 or PATH#L1-L2; with UPSTREAM_CHECKOUT, that file and lines are there."""
    for source in sources:
        found = SOURCE.fullmatch(source)
        assert found, source
        assert int(found["first"] or 0) <= int(found["last"] or found["first"] or 0), source
        if CHECKOUT:
            lines = (Path(CHECKOUT) / found["path"]).read_text(encoding="utf-8").splitlines()
            assert int(found["last"] or found["first"] or 0) <= len(lines), source


def test_a_source_is_linked_at_upstreams_commit_with_its_lines() -> None:
    assert named_links(["core/base_plugin.py#L37-L41"]) == [
        ("core/base_plugin.py:37-41", f"{UPSTREAM}/blob/{UPSTREAM_COMMIT}/core/base_plugin.py#L37-L41")
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_the_commands_a_contributor_is_given_stand_in_the_corpus(kind: Kind) -> None:
    for line in kind.check.splitlines():
        stable = re.sub(r"\s+(#.*|airflow/dags/my_dag\.py|-q|tests/unit/.*)|^#.*", "", line).strip()
        assert stable in (README if kind.id == "assistant" else PAGES), line  # that one is about this repository


def test_shell_commands_of_every_tour_name_scripts_that_the_corpus_names() -> None:
    named = {
        script
        for path in TOURS.glob("*.toml")
        for script in re.findall(r"\./[\w/-]+\.sh", str(tomllib.loads(path.read_text(encoding="utf-8"))))
    }
    assert named
    assert [script for script in named if script not in PAGES] == []


def test_steps_that_a_cache_can_answer_are_warmed_and_those_that_run_a_tool_are_not(
    guide: Guide, routing: Routing
) -> None:
    guide.parts.routing = routing
    questions = set(guide._tour_questions())
    assert "Which processor does RHEL 10 need?" in questions
    assert "How do I write a plugin?" in questions
    assert "Is libvirtd running on the demo host?" not in questions
