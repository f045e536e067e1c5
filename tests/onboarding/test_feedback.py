"""Feedback from a visitor's words to the disk, to an issue, and to the evals."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from onboarding.feedback import FeedbackRow, latest, read_rows
from onboarding.feedback.candidates import candidates
from onboarding.feedback.row import Source, visitor_of
from onboarding.feedback.service import LONGEST, Feedback, FeedbackSettings

TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"
DIRTY = f"my token {TOKEN} and jane.doe@contoso.com at 10.4.5.6"


def row(at: float = 1e9, **fields: object) -> FeedbackRow:
    return FeedbackRow.model_validate({"at": at, "kind": "thumb", "visitor": visitor_of("a"), **fields})


@pytest.fixture
def feedback(tmp_path: Path) -> Feedback:
    return Feedback.of(FeedbackSettings(tmp_path))


def test_nothing_secret_reaches_the_disk_in_any_field(feedback: Feedback, tmp_path: Path) -> None:
    source = Source(id=DIRTY, title=DIRTY, url=f"https://x:{TOKEN}@example.com")
    feedback.keep(
        row(question=DIRTY, answer=DIRTY, comment=DIRTY, route=DIRTY, model=DIRTY, turn=DIRTY, sources=(source,),
            reported=source)
    )  # fmt: skip
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()).decode()
    assert "my token" in written
    assert not [secret for secret in (TOKEN, "jane.doe", "10.4.5.6") if secret in written]


def test_a_secret_that_the_cut_would_split_is_gone_all_the_same(feedback: Feedback) -> None:
    kept = feedback.keep(row(comment="x " * (LONGEST["comment"] // 2 - 10) + TOKEN))
    assert len(kept.comment) == LONGEST["comment"] and TOKEN[:12] not in kept.comment


def test_the_counts_hear_of_kept_rows_only(tmp_path: Path) -> None:
    heard: list[FeedbackRow] = []
    feedback = Feedback.of(FeedbackSettings(tmp_path), heard.append)
    kept = feedback.keep(row(question=DIRTY))
    assert heard == [kept] and TOKEN not in heard[0].question
    assert feedback.forget("a") == 1 and list(read_rows(tmp_path / "feedback")) == []


def test_a_wish_becomes_an_issue_of_the_projects_repository_without_secrets(feedback: Feedback) -> None:
    link = feedback.issue_link(f"A page about backups & restore\nbecause {DIRTY} " + "x" * 5000)
    address, query = urlsplit(link), parse_qs(urlsplit(link).query)
    assert (address.scheme, address.netloc) == ("https", "github.com") and address.path.endswith("/issues/new")
    assert query["title"] == ["A page about backups & restore"]
    assert TOKEN not in link and "contoso" not in link and len(link) < 6000


def test_of_two_thumbs_on_one_answer_the_last_one_counts() -> None:
    first, second = row(1, turn="t", verdict="down"), row(2, turn="t", verdict="up")
    other, wish = row(3, turn="u", verdict="down"), row(4, kind="suggestion", comment="w")
    again = row(5, kind="suggestion", comment="w")
    assert latest([again, second, first, wish, other]) == [second, other, wish, again]


def test_rows_about_one_question_are_one_candidate() -> None:
    asked = {"question": "Is RHEL 8 supported?", "verdict": "down", "route": "rhel10", "answer": "Yes."}
    rows = [
        row(1, turn="1", reason="wrong", comment="it is refused", **asked),
        row(2, turn="2", reason="outdated", visitor="b", **asked | {"question": "is RHEL 8  supported"}),
        row(3, turn="3", reason="not helpful", **asked | {"question": "Another one"}),
        row(4, turn="4", reason="wrong", **asked | {"question": "Taken back"}),
        row(5, turn="4", **asked | {"question": "Taken back", "verdict": "up"}),
        row(6, kind="source", reason="outdated", question="Which port?", reported=Source(url="https://example.com/p")),
        row(7, turn="7", state="near", **asked | {"question": "Wie richte ich das Backup ein?"}),
        row(8, turn="8", state="not here", **asked | {"question": "Well said", "verdict": "up"}),
        row(9, turn="9", state="answered", comment="port 5", **asked | {"question": "Which address has it?"}),
    ]
    first, second, third, last = candidates(rows)
    assert first.rows[1].question == first.question == "is RHEL 8  supported"
    assert (first.topic, first.last.answer, len(first.visitors)) == ("rhel10", "Yes.", 2)
    told = [one.as_json()["complaints"] for one in (first, second)]
    assert told[0] == [
        {"on": "1970-01-01", "reason": "wrong", "comment": "it is refused"}, {"on": "1970-01-01", "reason": "outdated"},
    ]  # fmt: skip
    assert told[1] == [{"on": "1970-01-01", "reason": "outdated", "source": "https://example.com/p"}]
    assert (third.gloss.language, third.last.state) == ("de", "near")
    assert last.question == "Which address has it?"


def test_words_that_may_be_published_stand_for_a_candidate_before_newer_ones() -> None:
    asked = {"verdict": "down", "reason": "wrong"}
    rows = [
        row(1, question="Which port?", agreed="publish", comment="it is 5", **asked),
        row(2, visitor="b", question="which PORT", comment="no, 6", **asked),
    ]
    found = candidates(rows)[0]
    assert found.question == "Which port?" and found.publishers == {visitor_of("a")}
    assert found.correction and found.correction.comment == "it is 5"
