"""What the map of questions adds to the encoder alone, on judged questions that it was never fitted on.

    python -m tests.evals question_map [--questions FILE.jsonl ...] [--map FILE.npz] [--json]

Ranks the sections of our pages by the cosine of their nearest passage to a question's vector, as the encoder gives it and
mapped, and prints both figures with their difference and its interval of 95 %, questions drawn again. A row needs `page`
and `heading`; `also` lists other places that answer. A question next to one that the pages list is left out, since the map
was fitted on those. Weights, words and kinds of the search play no part.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.catalogue.entries import digest
from rag.embedding.embedder import Embedder
from rag.errors import RowsUnreadable
from rag.index.build import build
from rag.index.dense import QUESTION
from rag.index.store import Index, load
from rag.reading.rows import read_rows
from rag.search.question_map import QUESTION_MAP_FILE, load_question_map
from tests.evals.figures import Row, parser, show

HERE = Path(__file__).parent
JUDGED = [HERE / "own_fresh.jsonl", HERE / "own_corpus.jsonl"]
CORPUS = HERE.parents[1] / "rag" / "corpus"
DRAWS, SEED = 2000, 7
NEAR = 0.9  # cosine to a listed question, from which a judged one counts as seen
DEPTHS = (1, 5)


def main(argv: Sequence[str]) -> int:
    """Rank with and without the map; print JSON or a short table."""
    given = parser("question_map", __doc__)
    given.add_argument("--questions", type=Path, nargs="+", default=JUDGED, help="judged questions on our own pages")
    given.add_argument("--map", type=Path, default=QUESTION_MAP_FILE, help="the map; by default the app's")
    options = given.parse_args(argv)
    embedder = Embedder()
    fitted = load_question_map(embedder.digest, options.map)
    if fitted is None:
        raise RowsUnreadable(f"{options.map} is not there, or of another encoder; run: python -m rag tune")
    files = [
        (path.name, row) for path in options.questions for row in read_rows(path, "question") if row.get("heading")
    ]
    if not files:
        raise RowsUnreadable("no question names the page and heading that answer it; give others with --questions")
    with tempfile.TemporaryDirectory() as scratch:
        build(str(CORPUS), Path(scratch) / "index", embedder)
        index = load(Path(scratch) / "index", embedder)
        vectors = embedder.encode([row["question"] for _, row in files])
        kept = np.flatnonzero(~_seen(index, vectors))
        rows = [files[at][1] for at in kept]
        ranks = [_ranks(index, rows, asked) for asked in (vectors[kept], fitted.towards_passages(vectors[kept]))]
    found = {"model": options.map.name, "sha256": {options.map.name: digest(options.map)}, "questions": len(rows)}
    found |= {"question_files": dict(Counter(files[at][0] for at in kept)), "left_out_as_seen": len(files) - len(kept)}
    found |= figures(*ranks) | {"made_with": " ".join(["python -m tests.evals question_map", *_told(options)])}
    show(found, options)
    return 0


def figures(plain: np.ndarray, mapped: np.ndarray) -> dict[str, float]:
    """Return the figures of both ranks, and the difference of their reciprocal means with its interval of 95 %."""
    gain = 1 / mapped - 1 / plain
    draws = np.random.default_rng(SEED).integers(len(gain), size=(DRAWS, len(gain)))
    low, high = np.quantile(gain[draws].mean(axis=1), [0.025, 0.975])
    found = {"mrr_encoder": (1 / plain).mean(), "mrr_mapped": (1 / mapped).mean(), "mrr_gain": gain.mean()}
    found |= {"mrr_gain_low": low, "mrr_gain_high": high}
    for depth in DEPTHS:
        found |= {
            f"right_at_{depth}_encoder": (plain <= depth).mean(),
            f"right_at_{depth}_mapped": (mapped <= depth).mean(),
        }
    return {name: round(float(value), 3) for name, value in found.items()}


def _seen(index: Index, vectors: np.ndarray) -> np.ndarray:
    """Return which questions lie next to one that the pages list, (n,) bool."""
    listed = index.dense.vectors[index.dense.kind == QUESTION]
    nearest: np.ndarray = (vectors @ listed.T).max(axis=1) >= NEAR
    return nearest


def _told(options: argparse.Namespace) -> list[str]:
    given = [f"tests/evals/{path.name}" for path in options.questions] if options.questions != JUDGED else []
    return ["--questions", *given] if given else []


def _ranks(index: Index, rows: Sequence[Row], asked: np.ndarray) -> np.ndarray:
    """Return the rank, from 1, of the first section that answers each question, by its best passage."""
    passages = index.dense.kind != QUESTION
    owners = index.dense.owner[passages]
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    best = np.maximum.reduceat(asked @ index.dense.vectors[passages].T, starts, axis=1)
    ranks = []
    for row, scores in zip(rows, best, strict=True):
        right = np.array([_answers(index, unit, row) for unit in owners[starts]])
        if not right.any():
            raise RowsUnreadable(f"no section of our pages is {row['page']}, {row['heading']}; mend the judged file")
        ranks.append(1 + int((scores > scores[right].max()).sum()))
    return np.array(ranks)


def _answers(index: Index, number: int, row: Row) -> bool:
    unit = index.units[number]
    wanted = {(row["page"], row["heading"]), *((page, heading) for page, heading in row.get("also", []))}
    return any(
        unit.path == page and (heading in unit.headings or f"# {heading}" in unit.text) for page, heading in wanted
    )
