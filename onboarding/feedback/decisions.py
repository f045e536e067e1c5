"""The list of what maintainers decided about candidates, and how a visitor is taken out of it.

One JSON line a decision, in `review.jsonl` beside the rows; a lock keeps the page and a review from writing at once.
A decision holds a visitor's words only while that visitor stands in it: `take_out` empties it, and the next review
takes what it had brought into a checkout out of there.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from model.private_files import private_file, private_folder, write_private
from onboarding.feedback.candidates import Candidate, candidates
from onboarding.feedback.store import append_line, gone_from, read_rows, records_in, to_bytes
from rag.types import State

FILE, LOCK = "review.jsonl", "review.lock"
DATASET = "dataset"  # the folder of the public rows, made anew by each export
Use = Literal["question", "case", "row", "rejected"]


class Decision(BaseModel, frozen=True):
    """What became of a candidate; without visitors it is to be withdrawn."""

    id: str  # of the candidate
    at: float = Field(default_factory=time.time, ge=0, lt=253_402_300_800)
    use: Use
    rows: tuple[str, ...] = ()  # ids of the candidate's rows: others about the same question join them
    visitors: tuple[str, ...] = ()  # on whose consent it stands
    question: str = ""
    digest: str = ""  # of a question in a visitor's own words; "" for a maintainer's
    page: str = ""
    heading: str = ""
    correction: str = ""
    corrected_by: str = ""  # the visitor whose words the correction is; "" for a maintainer's
    language: str = "en"
    topic: str = ""
    state: State | Literal[""] = ""

    def without(self, gone: frozenset[str] | set[str]) -> Decision:
        """Return the decision without visitors who asked to be forgotten, and without any words once none is left."""
        left = tuple(visitor for visitor in self.visitors if visitor not in gone)
        changed: dict[str, object] = {"visitors": left}
        if self.corrected_by in gone or not left:
            changed |= {"correction": "", "corrected_by": ""}
        if not left:
            changed |= {"question": "", "rows": (), "language": "en", "topic": "", "state": ""}
        return self.model_copy(update=changed)


def digest_of(question: str) -> str:
    """Return a digest by which a question is found again on a page."""
    return hashlib.sha256(question.encode()).hexdigest()[:32]


def read_decisions(folder: Path) -> list[Decision]:
    """Return the decisions, oldest first, without anybody who asked to be forgotten; skip damaged lines."""
    try:
        data = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return []
    gone = gone_from(folder)
    return [decision.without(gone) for decision in records_in(data, Decision)]


def undecided(folder: Path) -> list[Candidate]:
    """Return the candidates of a folder of feedback that nobody has decided about."""
    known = {row for decision in read_decisions(folder) for row in decision.rows}
    return [one for one in candidates(read_rows(folder)) if not any(row.id in known for row in one.rows)]


def note(folder: Path, decision: Decision) -> None:
    """Write a decision to disk before it returns. Raises OSError."""
    with _alone(folder):
        append_line(private_file(folder / FILE), to_bytes([decision]))


def drop_withdrawn(folder: Path) -> None:
    """Remove the decisions in which no visitor is left. Raises OSError."""
    if (folder / FILE).exists():
        with _alone(folder):
            _write(folder, [decision for decision in read_decisions(folder) if decision.visitors])


def take_out(folder: Path, visitor: str) -> None:
    """Take a visitor out of every decision, and away the exported rows, which the next export writes without them.

    Raises OSError.
    """
    if (folder / FILE).exists():
        with _alone(folder):
            found = read_decisions(folder)
            _write(folder, [decision.without({visitor}) for decision in found])
    shutil.rmtree(folder / DATASET, ignore_errors=True)


def _write(folder: Path, decisions: list[Decision]) -> None:
    write_private(folder / FILE, to_bytes(decisions))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of the list; waits for whoever holds it."""
    with private_file(private_folder(folder) / LOCK).open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
