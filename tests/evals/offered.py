"""The questions that the page offers, and how many lead with the section that answers them.

python -m tests.evals offered [--index FOLDER] [--behind FOLDER] [--json]
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.prompting.system_prompts import load_prompt_texts
from onboarding.tours.content import load_tours
from rag.embedding.embedder import DEFAULT_MODEL, Embedder
from rag.reading.rows import read_rows
from rag.search.retriever import open_or_build
from rag.search.tiers import Searching, with_upstream
from tests.evals.figures import Row, parser
from tests.evals.retrieval import heading_hit

JUDGED = {row["question"]: row for row in read_rows(Path(__file__).with_name("offered.jsonl"))}
TOOLS = {row["question"] for row in read_rows(Path(__file__).with_name("offered_tools.jsonl"))}  # they run a check


@dataclass(frozen=True, slots=True)
class Led:
    """What an offered question leads with."""

    question: str
    fault: str  # "" for an answer that leads with the right section
    lead: str  # page and headings


def main(argv: Sequence[str]) -> int:
    """Search for every offered question; print the figures and what leads wrong, and return 1 when something does."""
    given = parser("offered", __doc__)
    given.add_argument("--corpus", type=Path, default=Path("rag/corpus"), help="folder of pages")
    given.add_argument("--index", type=Path, help="keep the index here")
    given.add_argument("--behind", type=Path, help="an index of upstream's own text to search behind the pages")
    given.add_argument("--model", default=DEFAULT_MODEL, help="embedding model: a name or a folder")
    options = given.parse_args(argv)
    embedder = Embedder(options.model)
    with tempfile.TemporaryDirectory() as scratch:
        own = open_or_build(options.corpus, options.index or Path(scratch) / "index", embedder)
        search = with_upstream(own, options.behind, embedder, required=True) if options.behind else own
        led = [lead_of(search, row) for row in JUDGED.values()]
    wrong = [one for one in led if one.fault]
    unjudged = sorted(question for question in set(offered()) if question not in JUDGED and question not in TOOLS)
    figures = {"n": len(led), "lead_right": len(led) - len(wrong), "unjudged": unjudged}
    if options.json:
        print(json.dumps(figures | {"wrong": {one.question: f"{one.fault}: {one.lead}" for one in wrong}}, indent=1))
    else:
        print(f"{figures['lead_right']} of {len(led)} lead right")
        print(*(f"{one.question}  [{one.fault}] {one.lead}" for one in wrong), sep="\n")
        print(*(f"{question}  [not judged]" for question in unjudged), sep="\n")
    return 1 if wrong or unjudged else 0


def offered() -> Iterator[str]:
    """Yield what starters, follow-ups and tour steps ask."""
    for route in load_prompt_texts(Path("onboarding/prompts")).routes.values():
        yield from (*route.starters, *route.follow_ups)
    for tour in load_tours().values():
        for step in tour.steps:
            yield from (question for question in (step.ask, *step.topics) if question)


def lead_of(search: Searching, row: Row) -> Led:
    """Return what the question of a judged row leads with."""
    found = search.search(row["question"])
    lead = " > ".join((found.passages[0].path, *found.passages[0].headings)) if found.passages else ""
    right = heading_hit(row, found.passages[:1])
    fault = "" if right and found.state == "answered" else found.state if found.state != "answered" else "other section"
    return Led(row["question"], fault, lead)
