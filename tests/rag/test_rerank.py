"""Reranking: reading the best candidates adds what their vectors and counts do not say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.index import lexical
from rag.index.build import build
from rag.index.store import load
from rag.search.fusion import FUSION_FEATURES
from rag.search.rerank import RERANK_CANDIDATES, RERANK_FEATURES, RERANK_ONLY
from rag.search.retriever import Ranking, Retriever, Weights
from tests.rag_fakes import WordHashEncoder

RIGHT = "The lighthouse keeper stores lamp oil in the cellar."
PARTS = (FUSION_FEATURES, RERANK_FEATURES)
LISTED = ("nearest", "worded")  # features of the questions that a unit lists
PAGE = "# Harbour\n\n## {0}\n\n{1}\n"


def retriever(tmp_path: Path, **worth: float) -> Retriever:
    """Return a retriever over forty pages about one harbour and the one with the oil; only `worth` counts."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(40):
        filler = f"The lighthouse of pier {number} has a keeper and a lamp. " * 3
        (corpus / f"p{number:02}.md").write_text(PAGE.format(f"Pier {number}", filler), "utf-8")
    (corpus / "right.md").write_text(PAGE.format("Supplies", RIGHT), "utf-8")
    encoder = WordHashEncoder()
    build(corpus, tmp_path / "index", encoder)
    fusion = np.array([float(name == "body") for name in FUSION_FEATURES], dtype=np.float32)
    rerank = np.array([worth.get(name, 0.0) for name in RERANK_FEATURES], dtype=np.float32)
    return Retriever(load(tmp_path / "index", encoder), encoder, Weights(fusion, rerank))


def page(found: Retriever, ranking: Ranking) -> str:
    path: str = found.index.units[ranking.found.units[ranking.order[0]]].path
    return path


@pytest.mark.parametrize("feature", [name for name in RERANK_ONLY if name not in LISTED])
def test_each_feature_alone_finds_the_page_that_says_it(tmp_path: Path, feature: str) -> None:
    found = retriever(tmp_path, **{feature: 1.0})
    assert page(found, found.rank("where does the lighthouse keeper store lamp oil")) == "right.md"


def test_only_the_best_of_the_fusion_are_reranked(tmp_path: Path) -> None:
    ranking = retriever(tmp_path, held=1.0).rank("lighthouse keeper lamp oil")
    assert ranking.found.features.shape == (RERANK_CANDIDATES, len(RERANK_FEATURES))
    assert len(ranking.scored) == len(ranking.order) == RERANK_CANDIDATES


def test_a_unit_that_holds_every_term_is_told_so(tmp_path: Path) -> None:
    found = retriever(tmp_path, held=1.0)
    ranking = found.rank("lamp oil cellar supplies")  # the last one stands in the heading
    assert ranking.relevance[ranking.order[0]] == pytest.approx(1.0)
    assert ranking.relevance[ranking.order[1]] < 0.5


def test_a_question_of_unknown_words_still_ranks(tmp_path: Path) -> None:
    ranking = retriever(tmp_path, held=1.0).rank("zzyzx")
    assert ranking.found.features[:, RERANK_FEATURES.index("held")].max() == 0.0


def test_a_question_that_a_section_lists_leads_with_it_whatever_its_words_say(tmp_path: Path) -> None:
    corpus, asked = tmp_path / "corpus", "who wipes the panes in the morning"
    corpus.mkdir()
    (corpus / "glass.md").write_text("# Glass\n\nA boy wipes the panes in the morning.\n", "utf-8")
    listed = f"---\nquestions:\n  Staff:\n    - {asked}\n---\n"
    (corpus / "staff.md").write_text(f"{listed}# Staff\n\nThe harbour pays two people.\n", "utf-8")
    encoder = WordHashEncoder()
    build(corpus, tmp_path / "index", encoder)
    fusion, rerank = (
        np.array([float(name == "body") for name in names]) for names in (FUSION_FEATURES, RERANK_FEATURES)
    )
    found = Retriever(load(tmp_path / "index", encoder), encoder, Weights(fusion, rerank))
    assert page(found, found.rank(f"{asked} please")) == "glass.md"
    assert page(found, found.rank(asked)) == "staff.md"


def listing(tmp_path: Path, listed: dict[str, str], *features: str) -> Retriever:
    """Return a retriever over pages by name that list a question each; only `features` count in the rerank."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name, question in listed.items():
        text = PAGE.format(name, f"The harbour has a rule for {name}.")
        (corpus / f"{name}.md").write_text(f"---\nquestions:\n  {name}:\n    - {question}\n---\n{text}", "utf-8")
    encoder = WordHashEncoder()
    build(corpus, tmp_path / "index", encoder)
    fusion = np.array([float(name == "question") for name in FUSION_FEATURES], dtype=np.float32)
    rerank = np.array([float(name in features) for name in RERANK_FEATURES], dtype=np.float32)
    return Retriever(load(tmp_path / "index", encoder), encoder, Weights(fusion, rerank))


@pytest.mark.parametrize("feature", LISTED)
def test_a_short_question_leads_with_the_section_that_lists_its_words_and_no_others(
    tmp_path: Path, feature: str
) -> None:
    listed = {
        "fire": "lamp oil not found in the cellar of the harbour",
        "supplies": "how is lamp oil stored",
        "boats": "lamp of a boat",
    }
    found = listing(tmp_path, listed, feature)
    assert page(found, found.rank("lamp oil stored")) == "supplies.md"


def test_only_the_nearest_listed_question_of_all_counts_as_nearest(tmp_path: Path) -> None:
    found = listing(tmp_path, {"fire": "lamp oil burns", "supplies": "store lamp oil", "tea": "cake"}, "nearest")
    values = found.rank("store the lamp oil").found.features[:, RERANK_FEATURES.index("nearest")]
    assert sorted(values) == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("feature", LISTED)
def test_where_no_question_is_listed_such_features_say_nothing(tmp_path: Path, feature: str) -> None:
    ranking = retriever(tmp_path, held=1.0).rank("lamp oil cellar")
    assert ranking.found.features[:, RERANK_FEATURES.index(feature)].max() == 0.0


def test_neighbouring_words_count_only_where_no_question_is_listed(tmp_path: Path) -> None:
    found = retriever(tmp_path, pairs=1.0)
    assert found.rank("keeper stores lamp oil").relevance.max() == pytest.approx(1.0)
    keyed = replace(found.index, manifest=replace(found.index.manifest, questions=1))
    listing = Retriever(keyed, WordHashEncoder(), Weights(*(np.ones(len(names)) for names in PARTS)))
    features = listing.rank("keeper stores lamp oil").found.features
    assert features[:, RERANK_FEATURES.index("pairs")].max() == 0.0


def test_a_search_finds_the_terms_of_every_segment_read_ahead(tmp_path: Path) -> None:
    found = retriever(tmp_path, held=1.0)
    lexical._term_set.cache_clear()
    found.read_ahead()
    read = lexical._term_set.cache_info().currsize
    found.rank("lighthouse keeper lamp oil")
    assert lexical._term_set.cache_info().currsize == read > len(found.index.units)
