"""An index is built, renewed and loaded; every error names the command that mends it."""

import json
import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from rag.errors import IndexCorrupt, IndexMissing, IndexStale, RagError, TargetRefused
from rag.index import dense as dense_index
from rag.index.build import build
from rag.index.dense import build_dense
from rag.index.store import FORMAT, load, read_manifest, remedy, sha256
from rag.search.abstain import load_calibration
from rag.search.retriever import Retriever, open_or_build
from rag.types import Embedded
from tests.rag_fakes import WordHashEncoder

PORTS = "---\ntitle: Ports\nsources: [a.md]\nquestions: [which door is open]\n---\n\n## Airflow\n\nAirflow listens on 8888.\n"
DISKS = "# Disks\n\n## Guests\n\nName the disk for guests in the inventory.\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "ports.md").write_text(PORTS)
    (folder / "disks.md").write_text(DISKS)
    return folder


def test_a_built_index_loads_with_everything_in_it(corpus: Path, tmp_path: Path) -> None:
    encoder = WordHashEncoder()
    manifest = build(corpus, tmp_path / "index", encoder)
    index = load(tmp_path / "index", encoder)
    assert [unit.path for unit in index.units] == ["disks.md", "ports.md"]
    assert index.units[1].questions == ("which door is open",)
    assert (manifest.units, manifest.chunks, manifest.questions) == (2, 2, 1)
    assert len(index.dense.vectors) == 2 + 2 + 1
    np.testing.assert_allclose(np.linalg.norm(index.dense.vectors, axis=1), 1.0, rtol=1e-5)


def test_progress_counts_up_to_the_total(corpus: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    build(corpus, tmp_path / "index", WordHashEncoder(), lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_second_build_embeds_only_what_changed(corpus: Path, tmp_path: Path) -> None:
    encoder = WordHashEncoder()
    build(corpus, tmp_path / "index", encoder)
    encoder.encoded.clear()
    (corpus / "disks.md").write_text(DISKS + "\nA second disk is best.\n")
    build(corpus, tmp_path / "index", encoder)
    assert encoder.encoded
    assert all("second disk" in text for text in encoder.encoded)


def test_an_unchanged_corpus_is_opened_without_embedding(corpus: Path, tmp_path: Path) -> None:
    encoder = WordHashEncoder()
    open_or_build(corpus, tmp_path / "index", encoder)
    encoder.encoded.clear()
    open_or_build(corpus, tmp_path / "index", encoder)
    assert encoder.encoded == []


def test_a_changed_corpus_is_built_anew(corpus: Path, tmp_path: Path) -> None:
    open_or_build(corpus, tmp_path / "index", WordHashEncoder())
    (corpus / "new.md").write_text("# New\n\nKcli makes machines.\n")
    retriever = open_or_build(corpus, tmp_path / "index", WordHashEncoder())
    assert "new.md" in {unit.path for unit in retriever.index.units}


def test_questions_listed_by_heading_go_to_that_section(corpus: Path, tmp_path: Path) -> None:
    listed = "---\nquestions:\n  Host: [where does the system live]\n  Gone: [lost]\n---\n\n"
    (corpus / "disks.md").write_text(listed + DISKS + "\n## Host\n\n" + "The host keeps its own disk. " * 20)
    build(corpus, tmp_path / "index", WordHashEncoder())
    units = load(tmp_path / "index", WordHashEncoder()).units
    assert {unit.headings: unit.questions for unit in units if unit.path == "disks.md"} == {
        ("Guests",): (),
        ("Host",): ("where does the system live",),
    }


def test_near_duplicates_are_folded_and_the_other_page_is_remembered(corpus: Path, tmp_path: Path) -> None:
    text = "## Same\n\n" + "One and the same paragraph of some length about bridges and networks. " * 3
    (corpus / "a.md").write_text(text)
    (corpus / "b.md").write_text(text + "Indeed.")
    build(corpus, tmp_path / "index", WordHashEncoder())
    same = [unit for unit in load(tmp_path / "index", WordHashEncoder()).units if "bridges" in unit.text]
    assert [(unit.path, unit.also) for unit in same] == [("a.md", ("b.md",))]


@pytest.mark.parametrize("held", ["notes.txt", "manifest.json", ".git/config", "units.jsonl"])
def test_a_folder_that_holds_no_index_of_ours_is_refused_and_keeps_its_files(
    corpus: Path, tmp_path: Path, held: str
) -> None:
    mine = tmp_path / "mine" / held
    mine.parent.mkdir(parents=True)
    mine.write_text("{}")
    with pytest.raises(TargetRefused, match="give --out another folder"):
        build(corpus, tmp_path / "mine", WordHashEncoder())
    with pytest.raises(TargetRefused):
        build(corpus, corpus, WordHashEncoder())
    assert mine.read_text() == "{}"
    assert sorted(path.name for path in corpus.iterdir()) == ["disks.md", "ports.md"]


@pytest.mark.parametrize("odd", ["body/notes.txt", "body/deep/a.index.json", "units.jsonl/a"])
def test_files_of_ones_own_inside_an_index_are_kept(corpus: Path, tmp_path: Path, odd: str) -> None:
    build(corpus, tmp_path / "index", WordHashEncoder())
    mine = tmp_path / "index" / odd
    if odd.startswith("units"):
        mine.parent.unlink()
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(TargetRefused, match="no index of ours"):
        build(corpus, tmp_path / "index", WordHashEncoder())
    assert mine.read_text() == "mine"


def test_a_link_is_not_replaced_by_an_index(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(TargetRefused):
        build(corpus, tmp_path / "link", WordHashEncoder())
    assert (tmp_path / "link").is_symlink()


def test_right_checksums_over_wrong_content_are_a_corrupt_index(corpus: Path, tmp_path: Path) -> None:
    manifest = build(corpus, tmp_path / "index", WordHashEncoder())
    (tmp_path / "index" / "units.jsonl").write_text("{}\n")
    files = manifest.files | {"units.jsonl": sha256(tmp_path / "index" / "units.jsonl")}
    (tmp_path / "index" / "manifest.json").write_text(json.dumps(asdict(manifest) | {"files": files}))
    with pytest.raises(IndexCorrupt, match="python -m rag build"):
        load(tmp_path / "index", WordHashEncoder())


def test_a_damaged_index_is_still_ours_and_is_built_anew(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "index", WordHashEncoder())
    (tmp_path / "index" / "manifest.json").unlink()
    assert build(corpus, tmp_path / "index", WordHashEncoder()).units == 2


def names_the_command(refused: pytest.ExceptionInfo[RagError], index: Path) -> bool:
    command = remedy(index)
    return command in str(refused.value) and "python -m rag build" in command and str(index) in command


def test_no_index_names_the_command_that_builds_one(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing) as refused:
        load(tmp_path / "index", WordHashEncoder())
    assert names_the_command(refused, tmp_path / "index")


@pytest.mark.parametrize(
    ("other", "said"),
    [(WordHashEncoder("another"), "not with 'another'"), (WordHashEncoder(dimension=32), "64 dimensions")],
)
def test_an_index_of_another_model_is_refused(corpus: Path, tmp_path: Path, other: WordHashEncoder, said: str) -> None:
    build(corpus, tmp_path / "index", WordHashEncoder())
    with pytest.raises(IndexStale, match=f"{said}.*python -m rag build"):
        load(tmp_path / "index", other)


def test_an_index_of_another_format_is_refused(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "index", WordHashEncoder())
    path = tmp_path / "index" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1}))
    with pytest.raises(IndexStale) as refused:
        load(tmp_path / "index", WordHashEncoder())
    assert names_the_command(refused, tmp_path / "index")


@pytest.mark.parametrize("name", ["vectors.faiss", "vectors.npz", "units.jsonl", "vocabulary.json"])
def test_one_altered_byte_is_noticed(corpus: Path, tmp_path: Path, name: str) -> None:
    build(corpus, tmp_path / "index", WordHashEncoder())
    assert read_manifest(tmp_path / "index").source == str(corpus)
    path = tmp_path / "index" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IndexCorrupt, match=f"{name} was altered") as refused:
        load(tmp_path / "index", WordHashEncoder())
    assert names_the_command(refused, tmp_path / "index")


def test_a_missing_file_and_a_broken_manifest_are_noticed(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "index", WordHashEncoder())
    (tmp_path / "index" / "vectors.npz").unlink()
    with pytest.raises(IndexCorrupt, match="is missing"):
        load(tmp_path / "index", WordHashEncoder())
    (tmp_path / "index" / "manifest.json").write_text("{")
    with pytest.raises(IndexCorrupt, match="cannot be read"):
        read_manifest(tmp_path / "index")


def test_a_corrupt_index_is_replaced_when_opened(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "index", WordHashEncoder())
    (tmp_path / "index" / "units.jsonl").write_text("")
    assert len(open_or_build(corpus, tmp_path / "index", WordHashEncoder()).index.units) == 2


def test_nothing_but_the_index_is_left_after_a_build(corpus: Path, tmp_path: Path) -> None:
    for _ in range(2):
        build(corpus, tmp_path / "index", WordHashEncoder())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "index"]


def test_searches_from_several_threads_agree(corpus: Path, tmp_path: Path) -> None:
    retriever = open_or_build(corpus, tmp_path / "index", WordHashEncoder())
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(retriever.explain("airflow listens where")[0].passage.path))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["ports.md"] * 8


def test_many_vectors_go_into_a_graph_that_finds_the_same_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_index, "EXACT_LIMIT", 5_000)  # the graph of 50,000 takes many seconds
    count = 5_001
    vectors = np.random.default_rng(1).standard_normal((count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    dense = build_dense(vectors, np.arange(count), np.zeros(count), np.zeros((count, 16), np.uint8))
    assert hasattr(dense.index, "hnsw")
    np.testing.assert_allclose(dense.vectors[123], vectors[123])
    exact = np.argsort(-(vectors @ vectors[123]))[:10]
    assert len(set(exact) & set(dense.nearest(vectors[123], 20))) >= 9


@pytest.fixture
def searched(corpus: Path, tmp_path: Path) -> tuple[Retriever, WordHashEncoder]:
    """A retriever whose encoder lists the texts of searches only."""
    encoder = WordHashEncoder()
    retriever = open_or_build(corpus, tmp_path / "index", encoder)
    encoder.encoded.clear()
    return retriever, encoder


def test_a_question_that_is_embedded_already_is_not_embedded_again(searched: tuple[Retriever, WordHashEncoder]) -> None:
    retriever, encoder = searched
    question = "airflow listens where"
    vector = WordHashEncoder().encode([question])[0]
    given = retriever.search(question, 2, Embedded(question, vector))
    assert encoder.encoded == []
    own = retriever.search(question, 2)
    assert encoder.encoded == [question]
    assert given.nearest[0].path == "ports.md"
    assert (given.nearest, given.answerable) == (own.nearest, own.answerable)


def test_the_vector_of_another_text_than_the_corrected_one_is_not_used(
    searched: tuple[Retriever, WordHashEncoder],
) -> None:
    retriever, encoder = searched
    wrong = WordHashEncoder().encode(["name the disk for guests"])[0]
    given = retriever.search("airlfow listens where", 2, Embedded("airlfow listens where", wrong))
    assert encoder.encoded == ["airflow listens where"]
    assert given.nearest == retriever.search("airflow listens where", 2).nearest
    assert retriever.rank("airlfow", Embedded("airflow", wrong)).vector is wrong


def test_a_search_abstains_below_the_threshold_it_was_given(corpus: Path, tmp_path: Path) -> None:
    question = "airflow listens where"
    fitted = open_or_build(corpus, tmp_path / "index", WordHashEncoder()).search(question)
    least, most = (
        open_or_build(corpus, tmp_path / "index", WordHashEncoder(), threshold=value).search(question)
        for value in (fitted.answerable, fitted.answerable + 1e-6)
    )
    assert [passage.path for passage in least.passages] == ["ports.md", "disks.md"]
    assert "8888" in least.extract
    assert (most.passages, most.extract, most.answerable) == ([], "", fitted.answerable)


def test_the_fitted_threshold_counts_where_none_is_given(corpus: Path, tmp_path: Path) -> None:
    encoder = WordHashEncoder()
    build(corpus, tmp_path / "index", encoder)
    fitted = load_calibration(encoder.digest).threshold
    for question in ("airflow listens where", "disk for guests", "pizza dough"):
        found = Retriever(load(tmp_path / "index", encoder), encoder).search(question)
        assert bool(found.passages) == (found.answerable >= fitted)
