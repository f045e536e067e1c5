"""Searches with the real model over a handful of our own pages, the command line, and the evaluation's arithmetic."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rag.cli import main
from rag.embedding.embedder import Embedder
from rag.errors import IndexCorrupt, ModelMissing
from rag.index.store import load
from rag.reading.rows import read_rows
from rag.search.fusion import BEST_PAGE_MOST, varied
from rag.search.retriever import Retriever, open_or_build
from rag.types import Passage
from tests.evals import retrieval
from tests.rag_fakes import WordHashEncoder

CORPUS = Path("rag/corpus")
EVALS = Path("tests/evals")
PAGES = ("kcli.md", "airflow.md", "supported-systems.md", "vault.md", "introduction.md")


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    """Return a retriever over six of our pages; their vectors ship, so that it embeds little."""
    folder = tmp_path_factory.mktemp("retriever")
    corpus = folder / "corpus"
    corpus.mkdir()
    for name in PAGES:
        (corpus / name).write_bytes((CORPUS / name).read_bytes())
    return open_or_build(corpus, folder / "index", Embedder())


def passage(path: str, text: str = "", headings: tuple[str, ...] = ()) -> Passage:
    return Passage("0", text, "Title", headings, path, (1, 2), "", 0.0, "")


@pytest.mark.parametrize(
    ("question", "page", "says"),
    [
        ("which port is the airflow page on", "airflow.md", "8888"),
        ("kcli create a vm with more memory and cpus", "kcli.md", "-P memory"),
        ("my host is still rhel 8, ok?", "supported-systems.md", "RHEL 8"),
        ("vault is sealed after a reboot", "vault.md", "unseal"),
        ("wat is qubinode navigatr", "introduction.md", "hypervisor"),
    ],
)
def test_a_question_leads_to_its_page_and_the_extract_answers_it(
    retriever: Retriever, question: str, page: str, says: str
) -> None:
    result = retriever.search(question)
    assert result.passages[0].path == page
    assert says in result.extract
    assert result.answerable > 0.5


@pytest.mark.parametrize(
    "question", ["whats a good hydration for pizza dough", "write me a poem about the sea", "", "?!"]
)
def test_what_the_pages_do_not_answer_gets_no_passage_but_the_nearest_pages(
    retriever: Retriever, question: str
) -> None:
    result = retriever.search(question)
    assert (result.passages, result.extract) == ([], "")
    assert result.answerable < 0.3
    assert len({near.path for near in result.nearest}) == len(result.nearest) > 0


def test_every_excerpt_is_verbatim_and_every_passage_has_its_link(retriever: Retriever) -> None:
    for found in retriever.search("how do i create a vm").passages:
        assert found.excerpt in found.text
        assert found.url.startswith("https://github.com/")
        assert found.sources[0] == found.url


def test_only_the_best_page_gives_more_than_two_passages_and_others_still_get_their_turn(retriever: Retriever) -> None:
    paths = [found.path for found in retriever.search("vault secrets for airflow").passages]
    assert paths.count(paths[0]) <= BEST_PAGE_MOST
    assert len(set(paths)) > 1
    assert all(paths.count(path) <= 2 for path in set(paths) - {paths[0]})


def test_explaining_names_every_feature_and_agrees_with_the_search(retriever: Retriever) -> None:
    question = "airflow web port"
    explained = retriever.explain(question)
    assert [row.passage.id for row in explained] == [found.id for found in retriever.search(question).passages]
    assert explained[0].features["chunk"] > 0.5


def test_passages_keep_their_ids_between_searches(retriever: Retriever) -> None:
    first, second = (retriever.search("airflow web port").passages[0] for _ in range(2))
    assert first == second


def test_the_command_line_prints_extract_passages_and_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "kcli.md").write_bytes((CORPUS / "kcli.md").read_bytes())
    place = ["--out", str(tmp_path / "index")]
    assert main(["build", "--source", str(corpus), *place]) == 0
    assert main(["kcli: unrecognized arguments --memory", *place, "--explain"]) == 0
    printed = capsys.readouterr().out
    assert "kcli.md:" in printed
    assert "chunk 0." in printed
    assert main(["best pizza dough recipe", *place]) == 1
    assert "does not seem to answer" in capsys.readouterr().out


class CountingEmbedder(Embedder):
    """The default encoder, which counts the texts it encodes."""

    encoded = 0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += len(texts)
        return super().encode(texts)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set DATA_DIR and return it; beside it lies a folder `pages` with one page."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "kcli.md").write_bytes((CORPUS / "kcli.md").read_bytes())
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("EMBEDDING_MODEL", raising=False)
    return tmp_path / "data"


def test_the_app_takes_the_index_of_the_build_command_as_it_is(data: Path) -> None:
    pages = data.with_name("pages")
    assert main(["build", "--source", str(pages)]) == 0
    written = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    embedder = CountingEmbedder()
    retriever = open_or_build(pages, data / "index", embedder)  # as onboarding.assistant.parts opens it
    assert embedder.encoded == 0
    assert {unit.path for unit in retriever.index.units} == {"kcli.md"}
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == written


def test_the_command_that_an_error_names_mends_that_folder_from_anywhere(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    open_or_build(Path("pages"), data / "index", Embedder())
    (data / "index" / "units.jsonl").write_text("")
    monkeypatch.chdir("/")
    with pytest.raises(IndexCorrupt) as refused:
        load(data / "index", Embedder())
    command = shlex.split(str(refused.value).partition("run: python -m rag ")[2])
    assert main(command) == 0
    assert {unit.path for unit in load(data / "index", Embedder()).units} == {"kcli.md"}


def test_a_search_in_a_terminal_reads_the_apps_index(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "--source", str(data.with_name("pages"))])
    built = (data / "index" / "manifest.json").stat().st_mtime_ns
    assert main(["kcli create a vm with more memory"]) == 0
    assert "kcli.md:" in capsys.readouterr().out
    assert (data / "index" / "manifest.json").stat().st_mtime_ns == built


def test_a_search_never_writes_not_even_where_its_index_is_missing_or_its_pages_changed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "kcli create a vm"]) == 2
    assert "run: python -m rag build" in capsys.readouterr().err
    assert not data.exists()
    pages = data.with_name("pages")
    main(["build", "--source", str(pages), "--out", str(data / "other")])
    (pages / "new.md").write_text("# New\n\nText.\n")
    written = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    assert main(["search", "kcli create a vm", "--index", str(data / "other")]) == 0
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == written


def test_a_build_does_not_put_our_pages_in_the_place_of_others_whose_source_is_gone(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = data.with_name("pages")
    main(["build", "--source", str(pages)])
    pages.rename(pages.with_name("moved"))
    assert main(["build"]) == 2
    assert "give --source" in capsys.readouterr().err
    assert {unit.path for unit in load(data / "index", Embedder()).units} == {"kcli.md"}


def test_an_index_that_no_longer_says_its_source_is_not_filled_with_our_pages(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--out", str(data.parent / "other")]
    main(["build", "--source", str(data.with_name("pages")), *place])
    (data.parent / "other" / "manifest.json").write_text("{")
    assert main(["build", *place]) == 2
    assert "give --source" in capsys.readouterr().err
    assert main(["build", "--source", "", *place]) == 2
    assert "need a value" in capsys.readouterr().err


def test_an_unreadable_source_ends_with_a_message_and_not_with_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--source", str(tmp_path / "nowhere"), "--out", str(tmp_path / "index")]) == 2
    assert "does not exist; give a folder" in capsys.readouterr().err


def test_a_folder_without_a_model_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="EMBEDDING_MODEL"):
        Embedder(str(tmp_path))


def test_other_pages_come_before_a_pages_further_passages_unless_those_are_much_better() -> None:
    alike = np.array([9.0, 8.9, 8.8, 8.7, 8.5], dtype=np.float32)
    assert varied(alike, ["a", "b", "b", "c", "a"]) == [0, 1, 3, 4, 2]
    assert varied(np.array([9.0, 8.9, 8.8, 5.0], dtype=np.float32), ["a", "b", "b", "c"]) == [0, 1, 2, 3]


def test_the_best_page_gives_up_to_four_passages_before_others() -> None:
    relevance = np.array([9.0, 8.9, 8.8, 8.7, 8.6, 2.0], dtype=np.float32)
    assert varied(relevance, ["a", "a", "a", "a", "a", "b"]) == [0, 1, 2, 3, 5, 4]


def test_all_gold_files_are_needed_when_the_row_says_all() -> None:
    row = {"gold_files": ["a.md", "b.md"], "alt_files": ["c.md"], "match": "all"}
    assert retrieval.file_hit(row, [passage("a.md"), passage("b.md")])
    assert not retrieval.file_hit(row, [passage("a.md"), passage("c.md")])
    assert retrieval.file_hit(row | {"match": "any"}, [passage("c.md")])


def test_snippets_match_whatever_the_white_space() -> None:
    row = {"gold_snippets": ["one two  three"]}
    assert retrieval.passage_hit(row, [passage("a.md", "say one\ntwo three now")])
    assert not retrieval.passage_hit(row, [passage("a.md", "one two")])


def test_gold_lines_must_lie_within_a_passage_of_the_gold_file() -> None:
    row = {"gold_files": ["a.md"], "gold_lines": [1, 2]}
    assert retrieval.passage_hit(row, [passage("b.md"), passage("a.md")])
    assert not retrieval.passage_hit(row, [passage("b.md")])
    assert not retrieval.passage_hit(row | {"gold_lines": [2, 3]}, [passage("a.md")])


def test_the_reciprocal_rank_counts_the_first_right_file() -> None:
    row = {"gold_files": ["b.md"], "alt_files": ["c.md"]}
    assert retrieval.reciprocal_rank(row, [passage("a.md"), passage("c.md"), passage("b.md")]) == 0.5
    assert retrieval.reciprocal_rank(row, [passage("a.md")]) == 0.0


def test_a_heading_counts_on_its_own_page_only() -> None:
    row = {"page": "a.md", "heading": "Ports", "also": [["b.md", "Doors"]]}
    assert retrieval.heading_hit(row, [passage("a.md", headings=("Ports",))])
    assert retrieval.heading_hit(row, [passage("b.md", "## Doors\n\nText")])
    assert not retrieval.heading_hit(row, [passage("b.md", headings=("Ports",))])


def test_what_a_section_lists_it_answers_in_whichever_words(tmp_path: Path) -> None:
    """A reviewer's word counts more than a judgement over words that the section does not share."""
    page = "---\ntitle: Doors\nquestions:\n  Locks:\n    - {}\n---\n# Doors\n\n## Locks\n\nSpare keys hang in the cellar.\n"
    asked, states = "Can one rewind a guest to yesterday?", []
    for listed in ("what are keys", asked):
        (tmp_path / "pages").mkdir(exist_ok=True)
        (tmp_path / "pages" / "doors.md").write_text(page.format(listed))
        found = open_or_build(tmp_path / "pages", tmp_path / "index", WordHashEncoder(), threshold=0.9).search(asked)
        states.append((found.state, found.missing))
    assert states == [("not here", ()), ("answered", ())]


MARKS = str.maketrans("", "", "{}")  # around what is missing in rag/training/near.txt


def test_no_question_that_is_held_out_is_trained_on_or_listed_on_a_page() -> None:
    held = {
        row["question"].lower()
        for path in (*EVALS.glob("*_fresh.jsonl"), EVALS / "absent_own.jsonl")
        if not path.name.startswith(("routing", "tools", "sentences"))
        for row in read_rows(path)
    }
    texts = (path.read_text("utf-8").lower() for path in (*Path("rag/training").glob("*.*"), *CORPUS.glob("*.md")))
    known = {line.strip(" -'").translate(MARKS) for text in texts for line in text.splitlines()}
    known |= {row["question"].lower() for row in read_rows(Path("rag/training/upstream.jsonl"))}
    assert len(held) >= 150
    assert not held & known


def test_no_page_lists_a_short_judged_question() -> None:
    judged = {row["question"].lower() for name in ("own", "fresh") for row in read_rows(EVALS / f"short_{name}.jsonl")}
    lines = (line.strip(" -'") for path in CORPUS.glob("*.md") for line in path.read_text("utf-8").lower().splitlines())
    assert judged.isdisjoint(lines)


@pytest.mark.parametrize(
    ("name", "least"), [("own_corpus", 120), ("own_fresh", 70), ("short_own", 140), ("short_fresh", 140)]
)
def test_every_judged_question_names_a_page_and_a_heading_that_exist(name: str, least: int) -> None:
    rows = read_rows(EVALS / f"{name}.jsonl")
    pages = {path.name: path.read_text("utf-8") for path in CORPUS.glob("*.md")}
    for row in rows:
        if row["kind"] == "unanswerable":
            continue
        for page, heading in ((row["page"], row["heading"]), *row["also"]):
            assert f"# {heading}\n" in pages[page], (page, heading)
    assert len(rows) >= least
    assert len({row["question"] for row in rows}) == len(rows)
