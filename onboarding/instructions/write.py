"""Write the rows of the splits as Parquet files with a data sheet, unless they hold anything private."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pyarrow as pa
import pyarrow.parquet as pq

from onboarding.instructions.repeats import Encode, repeats
from onboarding.instructions.rows import SCHEMA, InstructionRow
from rag.errors import RagError, SecretFound
from rag.publishing.splits import SPLITS
from rag.reading.links import UPSTREAM_COMMIT
from rag.secrets.find import find_secrets

CARD = Path(__file__).with_name("data_sheet.md")


@dataclass(frozen=True, slots=True)
class MadeSplits:
    """The rows of each split, which split each page belongs to, and how many rows were dropped for what."""

    rows: Mapping[str, Sequence[InstructionRow]]
    pages: Mapping[str, str]
    dropped: Mapping[str, int]


def write(made: MadeSplits, out: Path, repo: str, encode: Encode) -> list[str]:
    """Write one Parquet file a split and the data sheet into `out`; return the figures, one a line.

    Raises SecretFound before anything is written when a row holds what looks like a secret or personal data, and
    RagError where the folder cannot be written.
    """
    tables = {split: pa.Table.from_pylist([row.as_dict() for row in made.rows[split]], SCHEMA) for split in SPLITS}
    for split, table in tables.items():
        _scan(split, table)
    shared = {split: shared_with_train(made, split, encode) for split in SPLITS[1:]}
    try:
        (out / "data").mkdir(parents=True, exist_ok=True)
        for split, table in tables.items():
            pq.write_table(table, out / "data" / f"{split}.parquet", compression="zstd")
        (out / "README.md").write_text(_card(made, shared, repo), "utf-8")
    except OSError as error:
        raise RagError(f"{out} cannot be written ({error.strerror}); give --out another folder") from error
    return [
        *(f"{table.num_rows:6} rows  {out / 'data' / f'{split}.parquet'}" for split, table in tables.items()),
        *(f"{split}: {pages} pages, {share:.2%} of questions as in train" for split, (pages, share) in shared.items()),
        *(f"{count} questions dropped: {reason}" for reason, count in made.dropped.items()),
    ]  # fmt: skip


def shared_with_train(made: MadeSplits, split: str, encode: Encode) -> tuple[int, float]:
    """Return how many pages a split shares with train, and the share 0..1 of its questions that repeat one of train."""
    train, rows = made.rows["train"], made.rows[split]
    pages = {page for row in rows for page in row.pages} & {page for row in train for page in row.pages}
    asked = [row.question for row in rows]
    same = repeats(asked, [row.question for row in train], encode, among=False)
    return len(pages), sum(same) / len(same) if same else 0.0


def _scan(split: str, table: pa.Table) -> None:
    for row in table.to_pylist():
        for message in row["messages"]:
            if found := find_secrets(message["content"], strict=True):
                where = ", ".join(row["pages"]) or row["source"]
                raise SecretFound(f"a row of {split} ({where}) may hold a {found[0].kind}; nothing was written")


def _card(made: MadeSplits, shared: Mapping[str, tuple[int, float]], repo: str) -> str:
    every = [(split, row) for split in SPLITS for row in made.rows[split]]
    kinds = Counter((row.kind, split) for split, row in every)
    sources = Counter((row.kind, row.source.partition(" host ")[0]) for _, row in every)
    languages = Counter(row.language for _, row in every)
    held = {split: sorted(page for page, own in made.pages.items() if own == split) for split in SPLITS[1:]}
    return Template(CARD.read_text("utf-8")).substitute(
        repo=repo,
        rows=f"{len(every):,}",
        commit=UPSTREAM_COMMIT,
        pages=len(made.pages),
        kinds=_rows([(kind, *(str(kinds[kind, split]) for split in SPLITS)) for kind in sorted({k for k, _ in kinds})]),
        sources=_rows([(kind, source, str(count)) for (kind, source), count in sorted(sources.items())]),
        languages=", ".join(f"{code} {count}" for code, count in languages.most_common()),
        reading=CARD.with_name("reading.md").read_text("utf-8").strip(),
        shared=_rows([(split, str(pages), f"{share:.2%}") for split, (pages, share) in shared.items()]),
        dropped=", ".join(f"{count} {reason}" for reason, count in made.dropped.items()),
        **{split: ", ".join(pages) for split, pages in held.items()},
    )


def _rows(rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
