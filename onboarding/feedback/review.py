"""Reviews what visitors could not find or corrected, one question at a time; every decision is on disk at once.

    python -m onboarding review [--list [--json]]
    python -m onboarding review --accept ID --page PAGE [--heading H] [--as question|case|row] [--question TEXT]
    python -m onboarding review --reject ID

`question` lists it on a page, so that the search finds it there; `case` adds it to tests/evals/community.jsonl, which
measures the search, without --page as one that the pages do not answer. Both, and `row` alone, also go into the public
dataset (python -m onboarding publish). First it takes out what belongs to visitors who have deleted their feedback.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from onboarding.feedback.candidates import Candidate, same_words
from onboarding.feedback.checkout import PAGES, NotAccepted, planned, refuse_private, sections, withdrawn
from onboarding.feedback.decisions import Decision, Use, digest_of, drop_withdrawn, note, read_decisions, undecided
from onboarding.feedback.store import FOLDER, data_folder
from rag.embedding.embedder import Embedder
from rag.errors import RagError
from rag.index.store import Encoder
from rag.search.retriever import open_or_build
from rag.search.tiers import Searching
from rag.types import Passage

CHECKOUT = Path(__file__).parents[2]
INDEX = "review-index"  # in the data folder: the app's own is not touched
NEAREST = 3  # pages shown
MOST_ANSWER = 600  # characters shown
MOST_READ = 800  # characters of a section, about what the encoder reads
KEYS = "[a]ccept  [e]dit  [r]eject  [s]kip  [q]uit"
LATER = (
    "When all is decided: python -m rag build --shipped-vectors, python -m rag tune, python -m rag train (see "
    "docs/maintainers.md), then commit."
)


@dataclass(slots=True)
class Review:
    """The candidates of a data folder, and what is decided about them."""

    data: Path
    checkout: Path
    searcher: Searching
    encoder: Encoder

    @property
    def folder(self) -> Path:
        """Return the folder of feedback."""
        return self.data / FOLDER

    def __post_init__(self) -> None:
        """Take out what has lost its visitors."""
        for decision in read_decisions(self.folder):
            if not decision.visitors and (change := withdrawn(self.checkout, decision)):
                change.write()
                _say(f"taken out, for its visitor deleted it:\n{change}")
        drop_withdrawn(self.folder)

    def nearest(self, candidate: Candidate) -> tuple[str, list[Passage]]:
        """Return how far a search comes today, and the passages nearest to the question."""
        found = self.searcher.search(candidate.gloss.text if candidate.gloss.language != "en" else candidate.question)
        return found.state, (found.passages or found.nearest)[:NEAREST]

    def decision(
        self, candidate: Candidate, use: Use, page: str = "", heading: str = "", question: str = "",
        correction: str | None = None,
    ) -> Decision:  # fmt: skip
        """Return the decision to accept a candidate. Raises NotAccepted where its words may not be used like that."""
        own, said = question.strip(), candidate.correction
        is_theirs = not own or any(same_words(own, row.question) for row in candidate.rows)
        if is_theirs and not candidate.publishers:
            raise NotAccepted("nobody agreed that these words are published; put it in your own, with --question TEXT")
        asked = own or candidate.question
        refuse_private("question", asked)
        words = " ".join((said.comment if said and correction is None else correction or "").split())
        if words:
            refuse_private("correction", words)
        if page and not heading:
            heading = self._heading(own or candidate.gloss.text, page)
        return Decision(
            id=candidate.id, use=use, rows=tuple(row.id for row in candidate.rows),
            visitors=tuple(sorted(candidate.publishers if is_theirs else candidate.visitors)), question=asked,
            digest=digest_of(asked) if is_theirs else "", page=page, heading=heading, correction=words,
            corrected_by=said.visitor if said and words and correction is None else "",
            language=candidate.gloss.language, topic=candidate.topic, state=candidate.last.state,
        )  # fmt: skip

    def preview(self, decision: Decision) -> str:
        """Return what accepting changes, as a reader sees it. Raises NotAccepted."""
        change = planned(self.checkout, decision)
        shown = {"question": decision.question, "page": decision.page, "correction": decision.correction}
        row = json.dumps({name: value for name, value in shown.items() if value}, ensure_ascii=False)
        return "\n".join(filter(None, [str(change) if change else "", f"+ a row of the dataset: {row}"]))

    def accept(self, decision: Decision) -> None:
        """Write what the decision changes, then the decision. Raises NotAccepted, OSError."""
        if change := planned(self.checkout, decision):
            change.write()
        note(self.folder, decision)

    def reject(self, candidate: Candidate) -> None:
        """Note that a candidate leads to nothing."""
        rows, visitors = tuple(row.id for row in candidate.rows), tuple(sorted(candidate.visitors))
        note(self.folder, Decision(id=candidate.id, use="rejected", rows=rows, visitors=visitors))

    def _heading(self, question: str, page: str) -> str:
        """Return the section of a page that is nearest to a question in English words."""
        known = sections(self.checkout / PAGES / page)
        texts = [f"{heading}\n{text.strip()[:MOST_READ]}" for heading, text in known.items()]
        asked, *vectors = self.encoder.encode([question, *texts])
        return max(zip((float(asked @ vector) for vector in vectors), known, strict=True), default=(0.0, ""))[1]


def main(argv: Sequence[str]) -> int:
    """Review; return 0."""
    options = _parser().parse_args(argv)
    if not (options.checkout / PAGES).is_dir():
        raise RagError(f"{options.checkout} holds no {PAGES}; give the project's checkout with --checkout")
    options.data.mkdir(parents=True, exist_ok=True)
    encoder = Embedder()
    searcher = open_or_build(options.checkout / PAGES, options.data / INDEX, encoder)
    return run(options, Review(options.data, options.checkout, searcher, encoder))


def run(options: argparse.Namespace, review: Review) -> int:
    """Do what the options say with a review; return 0."""
    left = undecided(review.folder)
    if options.list:
        return _list(review, left, as_json=options.json)
    if not (options.accept or options.reject):
        return _talk(review, left)
    wanted = options.accept or options.reject
    candidate = next((one for one in left if one.id == wanted), None)
    if candidate is None:
        raise NotAccepted(f"there is no open candidate {wanted}; see python -m onboarding review --list")
    if options.reject:
        review.reject(candidate)
        return 0
    decision = review.decision(
        candidate, options.use, options.page, options.heading, options.question, options.correction
    )
    if decision.use == "question" and not decision.page:
        raise NotAccepted("name the page that answers it with --page, or take it in with --as case or --as row")
    _say(review.preview(decision))
    review.accept(decision)
    return 0


def _list(review: Review, left: Sequence[Candidate], *, as_json: bool) -> int:
    for candidate in left:
        now, near = review.nearest(candidate)
        if as_json:
            places = [{"page": one.path, "title": one.title, "headings": one.headings} for one in near]
            _say(json.dumps(candidate.as_json() | {"now": now, "nearest": places}, ensure_ascii=False))
        else:
            _say(f"{candidate.id}  {candidate.last.state or '-':8}  {len(candidate.visitors)}  {candidate.question}")
    return 0


def _talk(review: Review, left: Sequence[Candidate]) -> int:
    """Ask about one candidate after the other, until the end of the list or of the input."""
    for number, candidate in enumerate(left, 1):
        _say(f"\n{number} of {len(left)}  {_shown(review, candidate)}")
        question = ""
        while (key := _asked(KEYS)) != "s":
            if key in {"q", None}:
                return 0
            if key == "e":
                question = _asked("question in other words") or ""
            elif key == "r":
                review.reject(candidate)
                break
            elif key == "a" and _accepted(review, candidate, question):
                break
    _say(f"\n{LATER}" if left else "Nothing is left to review.")
    return 0


def _accepted(review: Review, candidate: Candidate, question: str) -> bool:
    near = review.nearest(candidate)[1]
    use = _asked(f"as {'/'.join(get_args(Use)[:3])}, by default {get_args(Use)[0]}") or get_args(Use)[0]
    if use not in get_args(Use)[:3]:
        return False
    first = near[0].path if near else ""
    page = _asked(f"page, by default {first}{', - for none' if use != 'question' else ''}") or first
    try:
        decision = review.decision(candidate, use, "" if page == "-" else page, question=question)  # type: ignore[arg-type]
        _say(review.preview(decision))
        if _asked("write this? [y/N]") != "y":
            return False
        review.accept(decision)
    except RagError as error:
        _say(str(error))
        return False
    return True


def _shown(review: Review, candidate: Candidate) -> str:
    """Return a candidate as a maintainer reads it; its texts were redacted before they were kept."""
    now, near = review.nearest(candidate)
    last, said = candidate.last, candidate.as_json()["complaints"]
    lines = [
        f"{candidate.id}  asked by {len(candidate.visitors)}, topic {candidate.topic or '-'}, "
        f"language {candidate.gloss.language}; the search said: {last.state or '-'}, today: {now}",
        f"  question  {candidate.question}",
        f"  answered  {' '.join(last.answer.split())[:MOST_ANSWER]}",
        *(f"  said      {' '.join(filter(None, one.values()))}" for one in said),
        *(f"  nearest   {one.path}  {' > '.join((one.title, *one.headings))}" for one in near),
        "  may be published" if candidate.publishers else "  may not be published in these words: edit first",
    ]
    return "\n".join(lines)


def _asked(prompt: str) -> str | None:
    """Return a line of the input, None at its end."""
    try:
        return input(f"{prompt}: ").strip()
    except EOFError:
        return None


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    lines = (__doc__ or "").split("\n")
    parser = argparse.ArgumentParser(prog="python -m onboarding review", description=lines[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="print what is open, and decide nothing")
    what.add_argument("--accept", metavar="ID", default="", help="take a candidate in")
    what.add_argument("--reject", metavar="ID", default="", help="lay a candidate aside")
    parser.add_argument("--json", action="store_true", help="with --list: one JSON object a line")
    parser.add_argument(
        "--as", dest="use", choices=get_args(Use)[:3], default="question", help="what it becomes; default: question"
    )
    parser.add_argument("--page", default="", help="the page that answers it, such as vault.md")
    parser.add_argument("--heading", default="", help="its section; by default the nearest to the question")
    parser.add_argument("--question", default="", help="the question in other words")
    parser.add_argument("--correction", help='what is right, in other words; "" leaves it out of the dataset')
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="the app's data folder; default: DATA_DIR or .data"
    )
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help="the project's files; default: those in use")
    return parser
