"""Time a search over a synthetic index: `python -m tests.evals retrieval_speed --chunks 100000 [--json]`.

Draws words by Zipf's law and vectors at random, so that only the time means something. The real encoder embeds the
queries.
"""

import statistics
import time
from collections.abc import Sequence

import numpy as np

from rag.embedding.embedder import Embedder
from rag.index.dense import CHUNK, WHOLE, DenseIndex, build_dense
from rag.index.lexical import build_lexical
from rag.index.store import FORMAT, Index, Manifest
from rag.search.retriever import Retriever
from rag.types import Chunk, Unit
from tests.evals.figures import parser, show

CHUNKS_PER_UNIT = 3
WORDS_PER_CHUNK = 40
VOCABULARY = 30_000
QUERIES = 60


def main(argv: Sequence[str]) -> int:
    """Build the synthetic index, search it, print the figures."""
    given = parser("retrieval_speed", __doc__)
    given.add_argument("--chunks", type=int, default=100_000)
    options = given.parse_args(argv)
    embedder = Embedder()
    start = time.perf_counter()
    index = synthetic(options.chunks, embedder)
    built_s = time.perf_counter() - start
    times_ms = measure(Retriever(index, embedder))
    figures = {
        "chunks": index.manifest.chunks,
        "built_s": round(built_s),
        "query_ms_p50": round(statistics.median(times_ms), 1),
        "query_ms_p95": round(float(np.quantile(times_ms, 0.95)), 1),
    }
    show(figures, options)
    return 0


def measure(retriever: Retriever) -> list[float]:
    """Return the time of each query in milliseconds, without the warm-up queries."""
    rng = np.random.default_rng(2)
    queries = [f"how do i deploy {' '.join(_words(rng, 5))}" for _ in range(QUERIES)]
    return [retriever.search(query).ms for query in queries][5:]


def synthetic(chunks: int, embedder: Embedder) -> Index:
    """Return an index of about `chunks` chunks."""
    rng = np.random.default_rng(1)
    units = [_unit(rng, number) for number in range(chunks // CHUNKS_PER_UNIT)]
    total = sum(len(unit.chunks) for unit in units)
    manifest = Manifest(
        FORMAT, embedder.name, embedder.digest, embedder.dimension, len(units), total, 0, "", "", "", [], {}
    )
    return Index(units, _dense(rng, units, embedder.dimension), build_lexical(units), manifest)


def _unit(rng: np.random.Generator, number: int) -> Unit:
    pieces = tuple(Chunk(" ".join(_words(rng, WORDS_PER_CHUNK)) + ".", ("Part",)) for _ in range(CHUNKS_PER_UNIT))
    text = "## Part\n\n" + "\n\n".join(piece.text for piece in pieces)
    return Unit(f"{number:016x}", text, f"Page {number // 10}", ("Part",), f"{number // 10}.md", (1, 9), "", pieces)


def _words(rng: np.random.Generator, count: int) -> list[str]:
    return [f"word{min(rank, VOCABULARY)}" for rank in rng.zipf(1.3, count)]


def _dense(rng: np.random.Generator, units: list[Unit], dimension: int) -> DenseIndex:
    kinds = [kind for _ in units for kind in (*[CHUNK] * CHUNKS_PER_UNIT, WHOLE)]
    owner = np.repeat(np.arange(len(units)), CHUNKS_PER_UNIT + 1)
    vectors = rng.standard_normal((len(kinds), dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return build_dense(vectors, owner, np.array(kinds), np.zeros((len(kinds), 16), dtype=np.uint8))
