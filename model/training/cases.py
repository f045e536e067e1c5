"""Read labelled sentences: what was written over which passages, and whether it holds.

Real answers name their passages by ids of a file beside theirs. `written.jsonl` was written by hand to train on, in the
words in which models go wrong; it names sections of our pages, as "page.md#Heading".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from model.statements.evidence import Given
from rag.reading.rows import read_rows

WRITTEN = "written"  # stands for a model
PAGES = Path("rag/corpus")
PASSAGES = "sentences_passages.jsonl"  # beside the cases: the passages by their ids


@dataclass(frozen=True, slots=True)
class Case:
    """A labelled sentence. label: holds, not_found or against. form: text, or code for a line of a shell block."""

    sentence: str
    before: str
    after: str
    form: str
    label: str
    kind: str
    harmful: bool
    model: str
    question: str
    given: Given


def read_cases(path: Path) -> list[Case]:
    """Return the cases of a file with one JSON object a line, and with the passages in PASSAGES beside it."""
    beside = path.with_name(PASSAGES)
    passages = {row["id"]: row for row in read_rows(beside)} if beside.is_file() else {}
    rows = read_rows(path)
    behind = [*(row["sentence"] if row.get("before") else "" for row in rows[1:]), ""]
    return [_case(row, after, passages) for row, after in zip(rows, behind, strict=True)]


def _case(row: dict[str, Any], after: str, passages: dict[str, dict[str, Any]]) -> Case:
    found = [passages.get(number) or _section(number) for number in row["passages"]]
    urls = tuple(passage["url"] for passage in found if passage.get("url"))
    given = _given(tuple(map(_told, found)), urls, row["question"])
    cited = "".join(f" [{number}]" for number in row.get("cited") or ())
    return Case(
        row["sentence"] + cited, row.get("before", ""), after, row.get("form", "text"), row["label"],
        row.get("kind", ""), bool(row.get("harmful")), row.get("model", WRITTEN), row["question"], given,
    )  # fmt: skip


@lru_cache(maxsize=200)
def _given(passages: tuple[str, ...], others: tuple[str, ...], question: str) -> Given:
    return Given(passages, others, question)


@cache
def sections(page: Path) -> tuple[str, dict[str, str]]:
    """Return the title of a page and its sections by their headings."""
    body = page.read_text("utf-8").split("---\n", 2)[-1]
    title, *parts = re.split(r"^#{1,2} ", body, flags=re.MULTILINE)[1:]
    return title.strip(), {head: text.strip() for head, _, text in (part.partition("\n") for part in parts)}


def _section(name: str) -> dict[str, Any]:
    """Return a section of our pages. Raises KeyError for a section that does not exist any more."""
    page, _, heading = name.partition("#")
    title, texts = sections(PAGES / page)
    return {"title": title, "headings": [heading], "text": f"## {heading}\n\n{texts[heading]}"}


def _told(row: dict[str, Any]) -> str:
    """Return a passage under the line that stands above it where the model reads it."""
    place = row.get("place") or " > ".join(dict.fromkeys([row["title"], *row["headings"]]))
    return f"{place}\n{row['text']}"
