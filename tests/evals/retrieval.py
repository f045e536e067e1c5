"""Measure retrieval on judged questions.

    python -m tests.evals retrieval --corpus FOLDER_OR_TAR --questions FILE.jsonl [--json]

A row has `question`, `kind` ("unanswerable" or another), `gold_files` (with `match` "all" or "any"), `alt_files` that
also count, `gold_snippets` that occur verbatim in the right passage or `gold_lines` of the first gold file that it
holds, and for our own pages `page` and `heading`. Rows with `answer_facts` also tell which share of the facts the extract
and the first five passages state, rows with `upstream_file` where a difference to upstream's text is shown.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from onboarding.routing.language.lexicon import load_lexicon
from onboarding.routing.language.text import fold
from rag.embedding.embedder import DEFAULT_MODEL, Embedder
from rag.index.build import build
from rag.index.store import load
from rag.reading.rows import read_rows
from rag.search.retriever import Retriever
from rag.search.tiers import Searching, with_upstream
from rag.types import Passage, State
from tests.evals.facts import stated
from tests.evals.figures import Row, mean, parser, show

DEPTH = 10  # passages ranked per question; recall looks at the first five


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged question and its search result."""

    row: Row
    ranked: list[Passage]
    answerable: float
    state: State
    missing: tuple[str, ...]
    ms: float
    in_extract: list[bool]  # for each of the row's answer_facts
    in_top_5: list[bool]
    differs: list[str]  # upstream's files that say otherwise than what is quoted

    @property
    def refused(self) -> bool:
        """True where the search abstains."""
        return self.state == "not here"


def main(argv: Sequence[str]) -> int:
    """Build or reuse the index, run all questions, print the figures."""
    given = parser("retrieval", __doc__, misses="the questions that went wrong")
    given.add_argument("--corpus", required=True, help="folder, tar archive or git URL to index")
    given.add_argument("--questions", type=Path, required=True, help="judged questions, one JSON object per line")
    given.add_argument("--index", type=Path, help="keep the index here, so that a second run reuses its vectors")
    given.add_argument("--behind", type=Path, help="an index of upstream's own text to search behind the corpus")
    given.add_argument("--model", default=DEFAULT_MODEL, help="embedding model: a name or a folder")
    given.add_argument("--gloss", action="store_true", help="put other languages into English words first")
    options = given.parse_args(argv)
    rows = read_rows(options.questions)
    embedder = Embedder(options.model)
    with tempfile.TemporaryDirectory() as scratch:
        index = options.index or Path(scratch) / "index"
        build(options.corpus, index, embedder, _report)
        own = Retriever(load(index, embedder), embedder)
        retriever = with_upstream(own, options.behind, embedder, required=True) if options.behind else own
    retriever.search("warm up")
    lexicon = load_lexicon()
    read = (lambda text: lexicon.read(fold(text)).text) if options.gloss else str
    judged = [_ask(retriever, row, read(row["question"]), embedder) for row in rows]
    show(measure(judged) | {"passages": sum(tier.passages for tier in retriever.holdings)}, options)
    if options.misses:
        _print_misses(judged)
    return 0


def measure(judged: Sequence[Judged]) -> dict[str, float | int]:
    """Return the figures over answerable rows, and how many of both kinds are answered, near and not here."""
    asked = [item for item in judged if item.row.get("kind") != "unanswerable"]
    others = [item for item in judged if item.row.get("kind") == "unanswerable"]
    with_passage = [item for item in asked if item.row.get("gold_snippets") or item.row.get("gold_lines")]
    with_heading = [item for item in asked if item.row.get("heading")]
    figures: dict[str, float | int] = {
        "n": len(asked),
        "file_recall_at_5": mean([file_hit(item.row, item.ranked[:5]) for item in asked]),
        "passage_recall_at_5": mean([passage_hit(item.row, item.ranked[:5]) for item in with_passage]),
        "mrr": mean([reciprocal_rank(item.row, item.ranked) for item in asked]),
        "query_ms_p50": round(statistics.median(item.ms for item in judged), 1),
        "n_unanswerable": len(others),
        "answered_unanswerable": mean([not item.refused for item in others]),
        "certain_unanswerable": mean([item.state == "answered" for item in others]),
        "refused_answerable": mean([item.refused for item in asked]),
        "near_answerable": mean([item.state == "near" for item in asked]),
    }
    for name, items in (("answerable", asked), ("unanswerable", others)):
        figures |= {f"{name}: {state}": sum(item.state == state for item in items) for state in get_args(State)}
    if facts := [item for item in asked if item.row.get("answer_facts")]:
        figures["facts_in_extract"] = mean([fact for item in facts for fact in item.in_extract])
        figures["facts_in_top_5"] = mean([fact for item in facts for fact in item.in_top_5])
    if disputed := [item for item in asked if item.row.get("upstream_file")]:
        figures["difference_shown"] = mean([bool(item.differs) for item in disputed])
        figures["difference_of_that_file"] = mean([item.row["upstream_file"] in item.differs for item in disputed])
        figures["reviewed_page_leads"] = mean([bool(item.ranked) and item.ranked[0].reviewed for item in disputed])
    if with_heading:  # our own pages are judged by heading, not by snippet
        figures["passage_recall_at_5"] = mean([heading_hit(item.row, item.ranked[:5]) for item in with_heading])
        for depth in (1, 3, 5):
            hits = [heading_hit(item.row, item.ranked[:depth]) for item in with_heading]
            figures[f"right_passage_at_{depth}"] = mean(hits)
    return figures


def file_hit(row: Row, passages: Sequence[Passage]) -> bool:
    """Return True when the passages come from the files that hold the answer, all of them when `match` is "all"."""
    found = {passage.path for passage in passages}
    gold, others = set(_gold(row)), set(row.get("alt_files", []))
    if row.get("match") == "all":
        return gold <= found
    return bool(found & (gold | others))


def passage_hit(row: Row, passages: Sequence[Passage]) -> bool:
    """Return True when a passage holds a gold snippet, white space aside, or the gold lines."""
    texts = [_squeezed(passage.text) for passage in passages]
    if any(_squeezed(snippet) in text for snippet in row.get("gold_snippets", ()) for text in texts):
        return True
    first, last = row.get("gold_lines") or (0, 0)
    at = [passage.lines for passage in passages if first and passage.path == row["gold_files"][0]]
    return any(start <= first and last <= end for start, end in at)


def heading_hit(row: Row, passages: Sequence[Passage]) -> bool:
    """Return True when a passage of the gold page stands under the gold heading, or holds it."""
    wanted = {(page, _squeezed(heading)) for page, heading in _places(row)}
    return any(
        passage.path == page
        and (heading in map(_squeezed, passage.headings) or f"# {heading}" in _squeezed(passage.text))
        for passage in passages
        for page, heading in wanted
    )


def reciprocal_rank(row: Row, passages: Sequence[Passage]) -> float:
    """Return 1 / rank of the first passage from a gold or alternative file, 0.0 when there is none."""
    right = {*_gold(row), *row.get("alt_files", [])}
    rank = next((at for at, passage in enumerate(passages, 1) if passage.path in right), None)
    return 1 / rank if rank else 0.0


def _gold(row: Row) -> list[str]:
    return list(row.get("gold_files") or ([row["page"]] if row.get("page") else []))


def _places(row: Row) -> list[tuple[str, str]]:
    return [(row["page"], row["heading"]), *((page, heading) for page, heading in row.get("also", []))]


def _ask(retriever: Searching, row: Row, question: str, embedder: Embedder) -> Judged:
    result = retriever.search(question)
    if isinstance(retriever, Retriever):
        ranked = [found.passage for found in retriever.explain(question, DEPTH)]
    else:
        ranked = result.passages
    facts = row.get("answer_facts", [])
    read = "\n\n".join(f"{passage.title}\n{passage.text}" for passage in result.passages)
    quoted, told = (stated(facts, text, embedder.encode) for text in (result.extract, read))
    differs = [claim.path for claim in result.differs]
    return Judged(row, ranked, result.answerable, result.state, result.missing, result.ms, quoted, told, differs)


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _print_misses(judged: Sequence[Judged]) -> None:
    for item in judged:
        row, top = item.row, item.ranked[:5]
        if row.get("kind") == "unanswerable":
            marks = "certain" if item.state == "answered" else ""
        else:
            missed = {
                "file": not file_hit(row, top),
                "passage": bool(row.get("gold_snippets") or row.get("gold_lines")) and not passage_hit(row, top),
                "heading": bool(row.get("heading")) and not heading_hit(row, top[:3]),
                "refused": item.refused,
                f"near: {', '.join(item.missing)}": item.state == "near",
            }
            marks = " ".join(name for name, missing in missed.items() if missing)
        if marks:
            print(f"{row.get('id', '')} [{marks}] p={item.answerable:.2f} {row['question']}  gold {_gold(row)}")
            for passage in top:
                print(f"      {passage.score:6.2f} {passage.path}:{passage.lines[0]} {' > '.join(passage.headings)}")


def _report(done: int, total: int) -> None:
    sys.stderr.write(f"\rembedding {done}/{total}{'' if done < total else chr(10)}")
