"""Time of retrieval over our own pages: building the index, loading it, and searching it."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.embedding.embedder import Embedder
from rag.index.build import build
from rag.index.store import load
from rag.reading.rows import read_rows
from rag.search.retriever import Retriever
from tests.benchmarks.workload import CORPUS

QUESTIONS = Path(__file__).parents[1] / "evals" / "own_corpus.jsonl"
WARM_UP = 5  # searches that nobody counts


def main(argv: Sequence[str]) -> int:
    """Build, load and search; print JSON, or a short table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks retrieval")
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--questions", type=Path, default=QUESTIONS, help="judged questions, one JSON object a line")
    parser.add_argument("--count", type=int, default=100, help="how many of them")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    questions = [row["question"] for row in read_rows(options.questions, "question")]
    print(json.dumps(run(options.corpus, questions[: options.count]), indent=None if options.json else 1))
    return 0


def run(corpus: Path, questions: Sequence[str]) -> dict[str, Any]:
    """Seconds, milliseconds and chunks."""
    embedder = Embedder()
    embedder.encode(["warm"])
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        manifest = build(corpus, Path(folder, "index"), embedder)
        built = time.perf_counter()
        index = load(Path(folder, "index"), embedder)
        loaded = time.perf_counter()
    retriever = Retriever(index, embedder)
    for question in questions[:WARM_UP]:
        retriever.search(question)
    times_ms = [retriever.search(question).ms for question in questions]
    return {
        "model": f"retrieval, {embedder.name}",
        "chunks": manifest.chunks,
        "build_s": round(built - started, 2),
        "load_s": round(loaded - built, 3),
        "search_ms": round(statistics.median(times_ms), 2),
        "search_p95_ms": round(float(np.quantile(times_ms, 0.95)), 2),
    }
