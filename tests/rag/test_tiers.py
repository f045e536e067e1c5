"""Two tiers are one search: our pages lead, upstream's text follows marked, and where it says otherwise that is shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.index.build import build
from rag.index.store import load
from rag.reading.links import UPSTREAM_COMMIT
from rag.search.retriever import NEW_IN_HEADING, READ_BEFORE, SAME_PAGE, Retriever
from rag.search.tiers import TwoTiers
from rag.types import Leaning
from tests.rag_fakes import WordHashEncoder

OURS = "---\ntitle: Doors\nsources: [doors.md]\nquestions:\n  Doors: [which port is airflow on]\ndiffers:\n  Doors:\n    guide.md: names port 8080\n---\n\n# Doors\n\n## Doors\n\n{}\n"
PORT = "Airflow listens on port 8888 of the host, and no key is required for it."
THEIRS = "# Guide\n\n## Doors\n\nAirflow listens on port 8080 of the host, and a key is required for it.\n"
ONLY_THEIRS = "# Cows\n\n## Milk\n\nThe milk quota of a cow is forty litres a day.\n"


def tiers(folder: Path, ours: str = PORT) -> TwoTiers:
    encoder = WordHashEncoder()
    for name, files in (("own", {"doors.md": OURS.format(ours)}), ("up", {"guide.md": THEIRS, "cows.md": ONLY_THEIRS})):
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_text(text)
        build(folder / name, folder / f"{name}-index", encoder)
    commit = load(folder / "up-index", encoder)
    upstream = replace(commit, manifest=replace(commit.manifest, corpus_commit=UPSTREAM_COMMIT))
    own = load(folder / "own-index", encoder)
    return TwoTiers(Retriever(own, encoder, threshold=0.5), Retriever(upstream, encoder, threshold=0.0))


def test_our_page_leads_where_it_answers_and_upstreams_text_follows_marked(tmp_path: Path) -> None:
    found = tiers(tmp_path).search("which port is airflow on")
    assert [(passage.path, passage.reviewed) for passage in found.passages][:2] == [
        ("doors.md", True),
        ("guide.md", False),
    ]
    assert found.extract.startswith("Airflow listens on port 8888")


def test_upstreams_text_leads_where_only_it_answers_and_nothing_differs(tmp_path: Path) -> None:
    search = tiers(tmp_path)
    search._reviewed._threshold = 1.1
    found = search.search("milk quota of a cow")
    assert (found.passages[0].path, found.passages[0].reviewed, found.differs) == ("cows.md", False, ())
    assert "forty litres" in found.extract


def test_where_an_upstream_file_says_otherwise_the_page_leads_and_the_difference_is_told(tmp_path: Path) -> None:
    found = tiers(tmp_path).search("which port is airflow on")
    assert [(other.path, other.says) for other in found.differs] == [("guide.md", "names port 8080")]
    assert found.differs[0].url.endswith(f"/blob/{UPSTREAM_COMMIT}/guide.md")


def test_a_passage_of_either_tier_is_found_by_its_id(tmp_path: Path) -> None:
    search = tiers(tmp_path)
    for passage in search.search("which port is airflow on").passages:
        again = search.passage(passage.id)
        assert again is not None
        assert (again.text, again.reviewed) == (passage.text, passage.reviewed)
    assert search.passage("0" * 16) is None


def test_each_tier_says_what_it_holds(tmp_path: Path) -> None:
    held = [(tier.passages, tier.commit, tier.date, tier.reviewed) for tier in tiers(tmp_path).holdings]
    assert held == [(1, UPSTREAM_COMMIT, "2026-02-24", True), (2, UPSTREAM_COMMIT, "2026-02-24", False)]


def test_upstreams_text_leads_where_only_it_speaks_of_what_the_question_turns_on(tmp_path: Path) -> None:
    search = tiers(tmp_path)
    search._reviewed.missing = lambda look: ("quota", "milk")  # type: ignore[method-assign]
    search._upstream.missing = lambda look: ("milk",)  # type: ignore[method-assign]
    found = search.search("which port is airflow on")
    assert (found.passages[0].reviewed, found.missing) == (False, ("milk",))
    search._upstream.missing = lambda look: ("cow",)  # type: ignore[method-assign]
    found = search.search("which port is airflow on")
    assert (found.passages[0].reviewed, found.missing) == (True, ("quota", "milk"))


def test_a_question_that_leans_prefers_its_page_and_leaves_what_was_read(tmp_path: Path) -> None:
    search = tiers(tmp_path)
    question = "which port is airflow on the host"
    zero = np.zeros(64, dtype=np.float32)
    lead = search.search(question).passages[0]
    plain = search.search(question, leaning=Leaning(zero, zero)).passages[0]
    near = search.search(question, leaning=Leaning(zero, zero, page="doors.md")).passages[0]
    read = search.search(question, leaning=Leaning(zero, zero, read=(lead.id, lead.id))).passages
    assert plain.score == pytest.approx(lead.score)
    assert near.score == pytest.approx(lead.score + SAME_PAGE)
    assert [one.score for one in read if one.id == lead.id] == [pytest.approx(lead.score - 2 * READ_BEFORE, abs=1e-3)]


def test_a_heading_that_holds_what_is_new_in_a_follow_up_leads(tmp_path: Path) -> None:
    search = tiers(tmp_path)._reviewed
    question, zero = "which port is airflow on the host", np.zeros(64, dtype=np.float32)
    lead = search.search(question).passages[0]
    for new, gain in ((lead.headings[-1], NEW_IN_HEADING), ("zeppelin", 0.0), ("", 0.0)):
        found = search.search(question, leaning=Leaning(zero, zero, new)).passages[0]
        assert found.score == pytest.approx(lead.score + gain, abs=1e-3)


def test_leaning_moves_towards_the_message_and_away_from_the_question_before(tmp_path: Path) -> None:
    search = tiers(tmp_path)
    encoder, question = WordHashEncoder(), "which port is airflow on the host"
    said, earlier = encoder.encode(["a key is required", "listens on the host"])
    moved = search._reviewed.search(question, leaning=Leaning(said, earlier)).passages[0]
    assert moved.score != pytest.approx(search._reviewed.search(question).passages[0].score)
    assert search._reviewed.search(question, leaning=Leaning(said, earlier)).answerable == (
        search._reviewed.search(question).answerable
    )


def test_a_section_that_lists_the_very_question_leads_whatever_it_leans_on(tmp_path: Path) -> None:
    search = tiers(tmp_path)._reviewed
    question = "which port is airflow on"
    lead, zero = search.search(question).passages[0], np.zeros(64, dtype=np.float32)
    found = search.search(f"{question}?!", leaning=Leaning(zero, zero, read=(lead.id, lead.id))).passages[0]
    assert found.id == lead.id
    assert found.score == pytest.approx(lead.score)
