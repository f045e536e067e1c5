"""What an accepted candidate changes in a checkout of the project: a page's questions, or the judged questions.

Refuses what would break a rule of the pages or carry something private; writes a file whole or not at all.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from model.private_files import write_private
from onboarding.feedback.decisions import Decision, digest_of
from onboarding.redaction import redact
from rag.errors import RagError
from rag.reading.page_questions import questions_of, with_question, without_question
from rag.reading.rows import read_rows
from rag.secrets.find import find_secrets

PAGES, JUDGED, COMMUNITY = "rag/corpus", "tests/evals", "tests/evals/community.jsonl"
LONGEST = {"question": 300, "correction": 2_000}  # characters
FILE_MODE = 0o644
_BLACKED_OUT = re.compile(r"\[[A-Za-z][\w -]*\]")
_SECTION = re.compile(r"^#{2,3} (.+?)\s*$", re.MULTILINE)
_FENCE = re.compile(r"^(?P<fence>```|~~~).*?^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)


class NotAccepted(RagError):
    """Nothing was changed; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file as it is and as it will be."""

    path: Path
    before: str
    after: str

    def __str__(self) -> str:
        name = self.path.name
        old, new = (text.splitlines() for text in (self.before, self.after))
        return "\n".join(difflib.unified_diff(old, new, name, name, lineterm="", n=1))

    def write(self) -> None:
        """Replace the file, atomically and with its mode; remove one that is left empty."""
        mode = self.path.stat().st_mode if self.path.exists() else FILE_MODE
        if not self.after:
            self.path.unlink(missing_ok=True)
            return
        write_private(self.path, self.after.encode())
        self.path.chmod(mode)


def refuse_private(name: str, text: str) -> None:
    """Raise NotAccepted for a text that is empty, too long, or may hold a secret or personal data."""
    if not text.strip() or "\n" in text.strip() or len(text) > LONGEST[name]:
        raise NotAccepted(f"the {name} needs one line of at most {LONGEST[name]} characters; give one with --{name}")
    hidden = redact(text)
    if found := find_secrets(text, strict=True):
        raise NotAccepted(f"the {name} may hold a {found[0].kind}; write it without, with --{name}")
    if hidden != text:
        raise NotAccepted(f"the {name} may hold something private, it would read {hidden!r}; write it with --{name}")
    if name == "question" and (mark := _BLACKED_OUT.search(text)):
        raise NotAccepted(
            f"something was blacked out in the question ({mark[0]}); put it in other words, with --question"
        )


def sections(page: Path) -> dict[str, str]:
    """Return the headings of a page under which questions may be listed, each with its text, without programs.

    Raises NotAccepted where there is no page.
    """
    if not page.is_file():
        raise NotAccepted(f"there is no page {page.name} in {page.parent}; name one of its files with --page")
    parts = _SECTION.split(_FENCE.sub("", _read(page).replace("\r", "").split("---\n", 2)[-1]))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def planned(checkout: Path, decision: Decision) -> FileChange | None:
    """Return what a decision changes in a checkout, None for nothing. Raises NotAccepted."""
    if decision.use == "question":
        return _on_page(checkout, decision)
    return _as_case(checkout, decision) if decision.use == "case" else None


def withdrawn(checkout: Path, decision: Decision) -> FileChange | None:
    """Return how what a decision has brought is taken out of a checkout; None where nothing of it is there.

    A question that a maintainer worded stays on its page: it is that maintainer's.
    """
    if decision.use == "case":
        path = checkout / COMMUNITY
        return _changed(path, lambda text: "".join(line for line in text.splitlines(True) if _id(line) != decision.id))
    path = checkout / PAGES / decision.page
    if decision.use != "question" or not decision.digest or not path.is_file():
        return None
    digests = {digest_of(one): one for asked in questions_of(_read(path)).values() for one in asked}
    question = digests.get(decision.digest)
    return _changed(path, lambda text: without_question(text, question)) if question else None


def _on_page(checkout: Path, decision: Decision) -> FileChange:
    path = checkout / PAGES / decision.page
    if decision.heading not in sections(path):
        raise NotAccepted(f"{path.name} has no section {decision.heading!r}; name one with --heading")
    wanted = decision.question.casefold()
    for page, question in _listed(checkout):
        if question.casefold() == wanted:
            if page == path:
                return FileChange(path, _read(path), _read(path))  # a review that broke off had come so far
            raise NotAccepted(f"{page.name} lists this question already; reject it, or put it in other words")
    for file in sorted((checkout / JUDGED).glob("*.jsonl")):
        if any(str(row.get("question", "")).casefold() == wanted for row in read_rows(file)):
            raise NotAccepted(f"{file.name} judges the search by this question; put it in other words, with --question")
    text = _read(path)
    return FileChange(path, text, with_question(text, decision.heading, decision.question))


def _as_case(checkout: Path, decision: Decision) -> FileChange:
    """Return the judged question as a new line; one without a page is a question that the pages do not answer."""
    path, page = checkout / COMMUNITY, decision.page
    if not path.parent.is_dir():
        raise NotAccepted(f"{checkout} has no {JUDGED}; give the project's checkout with --checkout")
    if page and decision.heading not in sections(checkout / PAGES / page):
        raise NotAccepted(f"{page} has no section {decision.heading!r}; name one with --heading")
    if any(question.casefold() == decision.question.casefold() for _, question in _listed(checkout)):
        raise NotAccepted("a page lists this question, so that it would measure nothing; put it in other words")
    text = _read(path) if path.is_file() else ""
    if any(_id(line) == decision.id for line in text.splitlines()):
        return FileChange(path, text, text)
    kind, files = ("single", [page]) if page else ("unanswerable", [])
    row: dict[str, object] = {"id": decision.id, "question": decision.question, "kind": kind, "match": "any"}
    row |= {"page": page, "heading": decision.heading, "also": [], "gold_files": files}
    row |= {"alt_files": [], "gold_snippets": [], "answer_facts": []}
    return FileChange(path, text, text + json.dumps(row, ensure_ascii=False) + "\n")


def _listed(checkout: Path) -> Iterator[tuple[Path, str]]:
    for page in sorted((checkout / PAGES).glob("*.md")):
        yield from ((page, question) for asked in questions_of(_read(page)).values() for question in asked)


def _changed(path: Path, change: Callable[[str], str]) -> FileChange | None:
    before = _read(path) if path.is_file() else ""
    after = change(before)
    return FileChange(path, before, after) if after != before else None


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


def _id(line: str) -> object:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row.get("id") if isinstance(row, dict) else None
