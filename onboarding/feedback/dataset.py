"""Writes what maintainers accepted as a public dataset: Parquet files, a card that is its datasheet too, a licence.

    python -m onboarding publish --repo USER/NAME [--folder DIR] [--send]

A dry run unless --send is given. The folder is made anew each time, so that it never holds what was deleted since; with
--send the dataset's history is squashed, so that it does not either.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from onboarding.feedback.checkout import refuse_private
from onboarding.feedback.decisions import DATASET, Decision, read_decisions
from onboarding.feedback.store import FOLDER, data_folder
from rag.errors import RagError

FEW = 3  # a row says how many asked only from here on
FIELDS = "id question language topic asked_by state answerable page heading correction accepted".split()
LICENCE_TEXT = (
    "Who sent these questions and corrections, and who worded them anew, gave up all rights in them as far as the law\n"
    "allows: CC0 1.0 Universal, https://creativecommons.org/publicdomain/zero/1.0/legalcode\n"
)
SPLITS = {"train": ("question", "row"), "test": ("case",)}


def main(argv: Sequence[str]) -> int:
    """Write the folder and show what differs from the Hub, or send it; return 0."""
    parser = argparse.ArgumentParser(
        prog="python -m onboarding publish", description="Write what visitors brought as a dataset; --send sends it."
    )
    parser.add_argument("--repo", required=True, help="dataset on the Hub, for example user/qubinode-questions")
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="the app's data folder; default: DATA_DIR or .data"
    )
    parser.add_argument("--folder", type=Path, help="where to write; default: feedback/dataset in the data folder")
    parser.add_argument("--send", action="store_true", help="also send what differs; needs HF_TOKEN")
    options = parser.parse_args(argv)
    from rag.publishing import hub  # the Hub's client takes a second to import, which a refusal does not spend

    folder = options.folder or options.data / FOLDER / DATASET
    for name, count in write_dataset(options.data / FOLDER, folder, options.repo).items():
        _say(f"{count:6} rows  {folder / name}")
    hub.refuse_private(folder)
    target = hub.Target(options.repo, "dataset", ("data",))
    _say(hub.published(target, folder, "Update the questions", sends=options.send))
    if options.send:
        hub.client().super_squash_history(options.repo, repo_type="dataset")
    return 0


def write_dataset(feedback: Path, out: Path, repo: str) -> dict[str, int]:
    """Write the accepted rows of a folder of feedback into `out`; return the rows per file.

    Raises RagError where nothing is accepted or pyarrow is missing, NotAccepted for a text that may hold a secret, and
    OSError.
    """
    accepted = [one for one in read_decisions(feedback) if one.visitors and one.use != "rejected"]
    if not accepted:
        shutil.rmtree(out, ignore_errors=True) if out == feedback / DATASET else None
        raise RagError("nothing is accepted yet; see python -m onboarding review")
    for decision in accepted:
        refuse_private("question", decision.question)
        if decision.correction:
            refuse_private("correction", decision.correction)
    tables = {name: [row_of(one) for one in accepted if one.use in uses] for name, uses in SPLITS.items()}
    tables = {name: rows for name, rows in tables.items() if rows}
    if out == feedback / DATASET:
        shutil.rmtree(out, ignore_errors=True)
    (out / "data").mkdir(parents=True, exist_ok=True)
    for name in SPLITS:
        (out / "data" / f"{name}.parquet").unlink(missing_ok=True)
    for name, rows in tables.items():
        _write(out / "data" / f"{name}.parquet", rows)
    (out / "LICENSE").write_text(LICENCE_TEXT, "utf-8")
    (out / "README.md").write_text(_card(repo, tables), "utf-8")
    return {f"data/{name}.parquet": len(rows) for name, rows in tables.items()}


def row_of(decision: Decision) -> dict[str, str | bool]:
    """Return a decision as a row of the dataset: nothing that leads to a visitor, and the month only."""
    asked = len(decision.visitors)
    return decision.model_dump(include={*FIELDS}) | {
        "asked_by": str(asked) if asked >= FEW else "few",
        "answerable": bool(decision.page),
        "accepted": f"{datetime.fromtimestamp(decision.at, UTC):%Y-%m}",
    }


def _write(path: Path, rows: Sequence[dict[str, str | bool]]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise RagError("writing the dataset needs pyarrow, which is not installed; run: make setup-full") from error
    kinds = {name: pa.bool_() if name == "answerable" else pa.string() for name in FIELDS}
    pq.write_table(pa.Table.from_pylist(list(rows), pa.schema(list(kinds.items()))), path, compression="zstd")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _card(repo: str, tables: dict[str, list[dict[str, str | bool]]]) -> str:
    rows = [row for table in tables.values() for row in table]
    files = "\n".join(f"  - split: {name}\n    path: data/{name}.parquet" for name in tables)
    languages = sorted({str(row["language"]) for row in rows})
    states = Counter(str(row["state"]) or "not searched" for row in rows)
    return Template(Path(__file__).with_name("dataset_card.md").read_text("utf-8")).substitute(
        repo=repo,
        files=files,
        languages="\n".join(f"- {language}" for language in languages),
        sizes=", ".join(f"{len(table)} in `{name}`" for name, table in tables.items()),
        states=", ".join(f"{state}: {count}" for state, count in states.most_common()),
        corrections=sum(bool(row["correction"]) for row in rows),
        few=FEW,
    )
