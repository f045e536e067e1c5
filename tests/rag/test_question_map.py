"""The map turns questions towards their passages; without its file, or with another encoder, nothing moves."""

from pathlib import Path

import numpy as np
import pytest

from rag.embedding.embedder import Embedder
from rag.index.build import build
from rag.index.dense import QUESTION
from rag.index.store import Index, load
from rag.search import question_map
from rag.search.question_map import (
    QuestionMap,
    load_question_map,
    save_question_map,
    with_mapped_questions,
)
from rag.search.retriever import Retriever
from tests.rag_fakes import WordHashEncoder

PAGE = """---
title: Lamps
questions:
  Oil:
    - who fills the lamp
---
# Lamps

## Oil

The keeper pours it in from a can at dusk.

## Glass

A boy wipes the panes in the morning.
"""


@pytest.fixture
def index(tmp_path: Path) -> Index:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "lamps.md").write_text(PAGE, "utf-8")
    encoder = WordHashEncoder()
    build(tmp_path / "corpus", tmp_path / "index", encoder)
    return load(tmp_path / "index", encoder)


def some_map(dimension: int) -> QuestionMap:
    draw = np.random.default_rng(1)
    return QuestionMap(
        draw.normal(0, 0.1, (dimension, dimension)).astype(np.float32),
        draw.normal(0, 0.1, dimension).astype(np.float32),
    )


def test_the_shipped_map_is_the_default_encoders_and_keeps_length_and_kind() -> None:
    embedder = Embedder()
    fitted = load_question_map(embedder.digest)
    assert fitted is not None
    vectors = embedder.encode(["which port does airflow use", "good morning", "wie lösche ich eine VM"])
    mapped = fitted.towards_passages(vectors)
    assert np.linalg.norm(mapped, axis=1) == pytest.approx(1, abs=1e-5)
    assert (mapped * vectors).sum(axis=1).min() > 0.7
    assert fitted.towards_passages(vectors[0]) == pytest.approx(mapped[0], abs=1e-6)


def test_a_map_of_another_encoder_a_missing_or_a_written_one(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    assert load_question_map("digest", path) is None
    written = some_map(8)
    save_question_map(written, "digest", path)
    assert load_question_map("another", path) is None
    read = load_question_map("digest", path)
    assert read is not None
    assert read.matrix == pytest.approx(written.matrix, abs=1e-3)
    assert read.offset == pytest.approx(written.offset, abs=1e-3)


def test_questions_of_an_index_are_mapped_and_passages_are_not(index: Index) -> None:
    by = some_map(index.dense.vectors.shape[1])
    mapped = with_mapped_questions(index, by).dense
    listed = index.dense.kind == QUESTION
    assert listed.sum() == 1
    assert mapped.vectors[~listed] == pytest.approx(index.dense.vectors[~listed])
    assert mapped.vectors[listed] == pytest.approx(by.towards_passages(index.dense.vectors[listed]))
    assert index.dense.vectors[listed] != pytest.approx(mapped.vectors[listed])


def test_a_search_compares_with_the_mapped_vector_once_and_keeps_the_encoders_own(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = WordHashEncoder()
    plain = Retriever(index, encoder).rank("who fills the lamp")
    save_question_map(some_map(encoder.dimension), encoder.digest, tmp_path / "map.npz")
    monkeypatch.setattr(question_map.load_question_map, "__defaults__", (tmp_path / "map.npz",))
    moved = Retriever(index, encoder)
    ranking = moved.rank("who fills the lamp")
    again = Retriever(moved.index, encoder).rank("who fills the lamp")
    assert ranking.vector == pytest.approx(plain.vector)
    assert ranking.found.features != pytest.approx(plain.found.features)
    assert again.found.features == pytest.approx(ranking.found.features)
    at = int(ranking.found.features[:, 2].argmax())
    assert ranking.found.features[at, 2] == pytest.approx(1, abs=1e-5)  # a listed question is still its own key
