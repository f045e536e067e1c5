"""Write our own pages as a Hugging Face dataset of Parquet files and a card, unless they hold anything private.

Takes only pages that name their sources, as the pages of this project do. Refuses an upstream snapshot, which names
none.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

import yaml

from rag.chunking.chunker import chunk
from rag.errors import RagError, SecretFound, SourceUnreadable
from rag.publishing.splits import SPLITS, split_of
from rag.reading.documents import Corpus, read_corpus
from rag.reading.links import UPSTREAM_COMMIT, linker, source_links
from rag.reading.rows import read_rows
from rag.secrets.find import find_secrets
from rag.types import Document, Unit

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise RagError("writing the dataset needs pyarrow, which is not installed; run: make setup-full") from error

LICENCE = "CC-BY-4.0"
Row = dict[str, Any]

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_PASSAGES = pa.schema(
    {
        **dict.fromkeys(("id", "page", "title"), _TEXT),
        "headings": _TEXTS,
        "text": _TEXT,
        **dict.fromkeys(("first_line", "last_line"), pa.int32()),
        **dict.fromkeys(("topics", "sources"), _TEXTS),
        "licence": _TEXT,
    }
)
_QUESTIONS = pa.schema(
    {**dict.fromkeys(("question", "page", "heading"), _TEXT), "answerable": pa.bool_(), "answer_facts": _TEXTS}
)


def write_dataset(corpus: Path, judged: Path | None, out: Path, repo: str) -> dict[str, int]:
    """Write passages, questions by page in three splits, judged questions and the card; return the rows per file.

    `judged` is a file of judged questions (one JSON object per line), which stand apart from the splits. Raises
    SecretFound before anything is written when a page or a question holds what looks like a secret or personal data,
    and SourceUnreadable for pages that are not ours.
    """
    read = read_corpus(corpus)
    _own_only(read)
    splits, asked = split_of(one.path for one in read.documents), list(_asked(read.documents))
    questions = {split: [row for row in asked if splits[row["page"]] == split] for split in SPLITS}
    if judged is not None:
        questions["judged"] = _judged(judged)
    tables = {"data/passages.parquet": pa.Table.from_pylist(list(_passages(read)), _PASSAGES)}
    for name, rows_of in questions.items():
        if rows_of:  # a reader of an empty split learns nothing
            tables[f"data/questions_{name}.parquet"] = pa.Table.from_pylist(rows_of, _QUESTIONS)
    _scan(tables)
    (out / "data").mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        pq.write_table(table, out / name, compression="zstd")
    rows = {name: table.num_rows for name, table in tables.items()}
    (out / "README.md").write_text(_card(repo, read, rows), "utf-8")
    return rows


def _own_only(corpus: Corpus) -> None:
    if corpus.skipped:
        names = ", ".join(f"{skipped.path} ({skipped.reason})" for skipped in corpus.skipped[:3])
        raise SecretFound(f"the corpus holds files that cannot be published: {names}; mend or remove them")
    foreign = [document.path for document in corpus.documents if not document.sources]
    if foreign:
        raise SourceUnreadable(
            f"{foreign[0]} names no sources in its front matter; only our own pages are published, never upstream's"
        )


def _passages(corpus: Corpus) -> Iterator[Row]:
    link = linker(corpus)
    for document in corpus.documents:
        for unit in chunk(document, link):
            yield _passage(document, unit)


def _passage(document: Document, unit: Unit) -> Row:
    return {
        "id": unit.id,
        "page": document.path,
        "title": document.title,
        "headings": list(unit.headings),
        "text": unit.text,
        "first_line": unit.lines[0],
        "last_line": unit.lines[1],
        "topics": list(document.topics),
        "sources": list(source_links(document.sources)),
        "licence": LICENCE,
    }


def _asked(documents: Sequence[Document]) -> Iterator[Row]:
    for document in documents:
        for heading, listed in document.questions.items():
            place = {"page": document.path, "heading": heading, "answerable": True, "answer_facts": []}
            yield from ({"question": question, **place} for question in listed)


def _judged(path: Path) -> list[Row]:
    return [
        {
            "question": row["question"],
            "page": row.get("page", ""),
            "heading": row.get("heading", ""),
            "answerable": row.get("kind") != "unanswerable",
            "answer_facts": row.get("answer_facts", []),
        }
        for row in read_rows(path, "question")
    ]


def _scan(tables: dict[str, pa.Table]) -> None:
    for name, table in tables.items():
        for number, row in enumerate(table.to_pylist(), 1):
            text = "\n".join(str(value) for key, value in row.items() if key not in {"id", "sources"})
            found = find_secrets(text, strict=True)
            if found:
                place = row.get("page") or f"row {number}"
                raise SecretFound(f"{name}: {place} may hold a {found[0].kind}; nothing was published, mend the page")


def _card(repo: str, corpus: Corpus, rows: dict[str, int]) -> str:
    template = Template(Path(__file__).with_name("dataset_card.md").read_text("utf-8"))
    named = {name.removeprefix("data/questions_").removesuffix(".parquet"): count for name, count in rows.items()}
    found = {split: named[split] for split in SPLITS if split in named}
    return template.substitute(
        repo=repo,
        pages=len(corpus.documents),
        passages=rows["data/passages.parquet"],
        configs=_configs([*found], judged="judged" in named),
        questions=", ".join(f"{count} in {split}" for split, count in found.items()),
        judged=named.get("judged", 0),
        commit=UPSTREAM_COMMIT,
    )


def _configs(splits: Sequence[str], *, judged: bool) -> str:
    """Return the front matter that names the files."""
    configs: list[Row] = [{"config_name": "passages", "data_files": "data/passages.parquet"}]
    for name, files in (
        ("questions", {split: f"data/questions_{split}.parquet" for split in splits}),
        ("judged", {"test": "data/questions_judged.parquet"} if judged else {}),
    ):
        if files:
            listed = [{"split": split, "path": path} for split, path in files.items()]
            configs.append({"config_name": name, "data_files": listed})
    return yaml.safe_dump({"configs": configs}, sort_keys=False).strip()
