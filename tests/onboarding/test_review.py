"""From a row of feedback to a page, a judged question and a public row, and back out when a visitor leaves."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from onboarding.feedback import FeedbackRow, read_rows
from onboarding.feedback.checkout import COMMUNITY, NotAccepted, planned
from onboarding.feedback.dataset import main as publish
from onboarding.feedback.decisions import read_decisions, undecided
from onboarding.feedback.review import CHECKOUT, Review, _parser, run
from onboarding.feedback.row import visitor_of
from onboarding.feedback.service import Feedback, FeedbackSettings
from onboarding.feedback.store import FOLDER
from rag.reading.page_questions import questions_of
from rag.reading.rows import read_rows as read_cases
from rag.search.retriever import Retriever, open_or_build
from tests.hub_stand_in import TOKEN as HUB_TOKEN
from tests.hub_stand_in import serve
from tests.rag_fakes import WordHashEncoder

PAGE = """---
title: Doors
topics: [doors]
sources:
  - doors.sh
questions:
  How doors open:
    - how does a door open
---
# Doors

## How doors open

A door opens by its handle. The handle is on the left.

## Locks of doors

A lock needs a key; spare keys hang in the cellar, behind the boiler of the house.
"""
ASKED = "Where do I find another key for the lock?"


class Site:
    """A data folder with feedback, and a checkout of two pages."""

    def __init__(self, root: Path) -> None:
        self.data, self.checkout = root / "data", root / "checkout"
        (self.checkout / "rag" / "corpus").mkdir(parents=True)
        (self.checkout / "tests" / "evals").mkdir(parents=True)
        self.page = self.checkout / "rag" / "corpus" / "doors.md"
        self.page.write_text(PAGE)
        other = PAGE.replace("Doors", "Roofs").replace("door", "roof")
        (self.page.parent / "roofs.md").write_text(other)
        self.feedback = Feedback.of(FeedbackSettings(self.data))
        self.searcher = Retriever(
            open_or_build(self.page.parent, root / "index", WordHashEncoder()).index, WordHashEncoder(), threshold=0.0
        )

    def say(self, question: str = ASKED, key: str = "anna", **fields: object) -> FeedbackRow:
        given = {"kind": "thumb", "verdict": "down", "state": "not here", "turn": f"{key}{question}", **fields}
        return self.feedback.keep(
            FeedbackRow.model_validate({"visitor": visitor_of(key), "question": question, **given})
        )

    def opened(self) -> Review:
        return Review(self.data, self.checkout, self.searcher, WordHashEncoder())

    def review(self, *options: str) -> int:
        given = ["--data", str(self.data), "--checkout", str(self.checkout), *options]
        return run(_parser().parse_args(given), self.opened())

    def listed(self) -> list[str]:
        return [one for asked in questions_of(self.page.read_text()).values() for one in asked]

    def cases(self) -> list[dict[str, object]]:
        path = self.checkout / COMMUNITY
        return read_cases(path) if path.exists() else []

    @property
    def written(self) -> str:
        """Everything on the disk that is text."""
        files = [path for path in self.data.rglob("*") if path.is_file()]
        return "".join(path.read_text("utf-8", "replace") for path in files)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run then writes and checks its folder; what differs from the Hub is tests/ci/test_publish.py's."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def rows_of(folder: Path, split: str) -> list[dict[str, object]]:
    return list(pq.read_table(folder / "data" / f"{split}.parquet").to_pylist())


def test_a_candidate_is_told_with_what_is_known_of_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    row = site.say(comment="mail jane.doe@contoso.com, she knows", route="introduction", answer="No idea.")
    site.say("where do I find another key for THE lock", "bert")
    assert site.review("--list", "--json") == 0
    (told,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (told["id"], told["visitors"]) == (f"c{row.id[:8]}", 2)
    assert (told["may_publish"], told["state"]) == (False, "not here")
    assert (told["topic"], told["language"]) in (("introduction", "en"), ("", "en"))
    assert told["complaints"][0]["comment"] == "mail [e-mail], she knows"
    assert "doors.md" in [place["page"] for place in told["nearest"]]


def test_an_accepted_question_stands_on_its_page_and_in_the_dataset(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    row = site.say(comment="it hangs in the cellar", agreed="publish")
    before = site.page.read_text()
    assert site.review("--accept", f"c{row.id[:8]}", "--page", "doors.md") == 0
    shown = capsys.readouterr().out
    assert f"+    - {ASKED}" in shown and "+ a row of the dataset" in shown
    after = site.page.read_text()
    assert [line for line in after.splitlines() if line not in before.splitlines()][-1] == f"    - {ASKED}"
    assert ASKED in questions_of(after)["Locks of doors"], "the section that is nearest"
    assert site.review("--list") == 0 and capsys.readouterr().out == ""
    folder = site.data / FOLDER / "dataset"
    assert publish(["--repo", "user/questions", "--data", str(site.data)]) == 0
    (told,) = rows_of(folder, "train")
    assert (told["question"], told["page"], told["correction"]) == (ASKED, "doors.md", "it hangs in the cellar")
    assert (told["asked_by"], told["state"], told["answerable"]) == ("few", "not here", True)
    card = (folder / "README.md").read_text()
    assert "license: cc0-1.0" in card and "$" not in card and "split: test" not in card
    assert row.visitor not in "".join(p.read_text("utf-8", "replace") for p in folder.rglob("*") if p.is_file())
    with pytest.raises(NotAccepted, match="no open candidate"):
        site.review("--accept", f"c{row.id[:8]}", "--page", "doors.md")


def test_a_case_measures_the_search_and_is_listed_on_no_page(site: Site) -> None:
    known = site.say(agreed="publish")
    unknown = site.say("Who painted the ceiling?", "bert", agreed="publish")
    site.review("--accept", f"c{known.id[:8]}", "--as", "case", "--page", "doors.md", "--heading", "Locks of doors")
    site.review("--accept", f"c{unknown.id[:8]}", "--as", "case")
    first, second = site.cases()
    assert (first["question"], first["page"], first["heading"], first["kind"]) == (
        ASKED, "doors.md", "Locks of doors", "single",
    )  # fmt: skip
    assert (second["kind"], second["gold_files"]) == ("unanswerable", [])
    assert site.page.read_text() == PAGE
    again = site.say(f"{ASKED} now", "carl", agreed="publish")
    with pytest.raises(NotAccepted, match=r"community.jsonl judges"):
        site.review("--accept", f"c{again.id[:8]}", "--page", "doors.md", "--question", ASKED.lower())
    publish(["--repo", "user/questions", "--data", str(site.data)])
    published = {row["question"] for row in rows_of(site.data / FOLDER / "dataset", "test")}
    assert published == {ASKED, "Who painted the ceiling?"}


REFUSED = {
    "nobody agreed": list[str](),
    "may hold a e-mail|may hold something private": ["--question", "may jane.doe@contoso.com have a key"],
    "something private": ["--question", "does password=Sommer2024! open it"],
    "blacked out": ["--question", "does [secret] open it"],
    "one line": ["--question", "key " * 90],
    "lists this question already": ["--question", "How does a ROOF open"],
    "no section": ["--question", "spare keys", "--heading", "Windows"],
    "no page nowhere.md": ["--question", "spare keys", "--page", "nowhere.md"],
    "correction may hold": ["--question", "spare keys", "--correction", "ask +49 30 901820 42 for it"],
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_may_not_be_taken_in_is_refused_and_changes_nothing(site: Site, why: str) -> None:
    row = site.say(comment="it hangs there")
    with pytest.raises(NotAccepted, match=why):
        site.review("--accept", f"c{row.id[:8]}", "--page", "doors.md", *REFUSED[why])
    assert site.page.read_text() == PAGE and read_decisions(site.data / FOLDER) == []


def test_words_of_a_maintainer_need_no_second_consent_and_carry_no_others(site: Site) -> None:
    row = site.say(comment="my words")
    with pytest.raises(NotAccepted, match="nobody agreed"):
        site.review(
            "--accept", f"c{row.id[:8]}", "--page", "doors.md", "--question", "where do I find another KEY for the lock"
        )
    site.review("--accept", f"c{row.id[:8]}", "--page", "doors.md", "--question", "spare keys")
    assert "spare keys" in site.listed()
    publish(["--repo", "user/questions", "--data", str(site.data)])
    (told,) = rows_of(site.data / FOLDER / "dataset", "train")
    assert (told["question"], told["correction"]) == ("spare keys", "")


def test_who_leaves_is_taken_out_everywhere_and_comes_back_with_no_copy(site: Site, tmp_path: Path) -> None:
    theirs = site.say(agreed="publish", comment="cellar")
    case = site.say("Who painted the ceiling?", agreed="publish")
    worded = site.say("Which door squeaks?")
    stays = site.say("How high is the door?", "bert", agreed="publish")
    copy = {path: path.read_bytes() for path in site.data.rglob("*.jsonl")}
    site.review("--accept", f"c{theirs.id[:8]}", "--page", "doors.md")
    site.review("--accept", f"c{case.id[:8]}", "--as", "case")
    site.review("--accept", f"c{worded.id[:8]}", "--page", "doors.md", "--question", "squeaking doors")
    site.review("--accept", f"c{stays.id[:8]}", "--page", "doors.md")
    publish(["--repo", "user/questions", "--data", str(site.data)])
    assert site.feedback.forget("anna") == 3
    for text in (ASKED, "ceiling", "squeak", "cellar", visitor_of("anna")):
        assert text not in site.written, text
    assert not (site.data / FOLDER / "dataset").exists()
    site.review("--list")
    assert set(site.listed()) == {"how does a door open", "squeaking doors", "How high is the door?"}
    assert site.cases() == [] and not (site.checkout / COMMUNITY).exists()
    publish(["--repo", "user/questions", "--data", str(site.data)])
    assert [row["question"] for row in rows_of(site.data / FOLDER / "dataset", "train")] == ["How high is the door?"]
    for path, data in copy.items():  # somebody lays an older copy of the folder over it, or one of the Hub's files
        for place in (path, site.data / FOLDER / "rows" / "copy.jsonl"):
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(data)
    assert {row.visitor for row in read_rows(site.data / FOLDER)} == {visitor_of("bert")}
    site.review("--list")
    publish(["--repo", "user/questions", "--data", str(site.data), "--folder", str(tmp_path / "again")])
    assert len(rows_of(tmp_path / "again", "train")) == 1


def test_a_question_of_two_stays_until_the_second_leaves_and_the_correction_goes_with_its_author(site: Site) -> None:
    first = site.say(agreed="publish", comment="cellar")
    site.say(ASKED, "bert", agreed="publish")
    site.review("--accept", f"c{first.id[:8]}", "--page", "doors.md")
    site.feedback.forget("anna")
    site.review("--list")
    (left,) = read_decisions(site.data / FOLDER)
    assert ASKED in site.listed() and (left.question, left.correction) == (ASKED, "")
    site.feedback.forget("bert")
    site.review("--list")
    assert site.page.read_text() == PAGE and read_decisions(site.data / FOLDER) == []


def test_a_talk_goes_on_where_it_was_left_and_shows_each_change_first(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for at, question in enumerate((ASKED, "Which door squeaks?", "How high is the door?")):
        site.say(question, agreed="publish", at=1e9 + at)

    def typed(*lines: str) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
        site.review()
        return capsys.readouterr().out

    assert "3 of 3" not in typed("r", "q")
    assert "1 of 2" in typed("s", "a", "", "roofs.md", "n", "e", "How tall is the door?", "a", "", "doors.md", "y")
    assert site.listed() == ["how does a door open", "How tall is the door?"]
    said = typed("e", "does [secret] squeak", "a", "question", "doors.md", "e", "", "a", "row", "-", "y")
    assert "blacked out" in said and "a row of the dataset" in said
    assert "Nothing is left" in typed("q")
    assert [one.use for one in read_decisions(site.data / FOLDER)] == ["rejected", "question", "row"]


def test_ctrl_c_loses_no_decision(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.say(agreed="publish")
    site.say("Which door squeaks?", "bert")
    lines = iter(["r"])

    def interrupted(_prompt: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr("builtins.input", interrupted)
    with pytest.raises(KeyboardInterrupt):
        site.review()
    assert len(read_decisions(site.data / FOLDER)) == 1


def test_a_review_that_broke_off_behind_its_file_is_made_up_for(site: Site) -> None:
    row = site.say(agreed="publish")
    (candidate,) = undecided(site.data / FOLDER)
    change = planned(site.checkout, site.opened().decision(candidate, "question", "doors.md"))
    assert change
    change.write()
    site.review("--accept", f"c{row.id[:8]}", "--page", "doors.md")
    assert site.listed().count(ASKED) == 1 and len(read_decisions(site.data / FOLDER)) == 1


def test_damaged_lines_of_the_list_cost_themselves_only(site: Site) -> None:
    row = site.say(agreed="publish")
    site.review("--reject", f"c{row.id[:8]}")
    with (site.data / FOLDER / "review.jsonl").open("ab") as file:
        file.write(b'{"id": "x"\n\xff\n[]\n')
    assert [one.use for one in read_decisions(site.data / FOLDER)] == ["rejected"]


def test_a_publication_is_sent_with_its_history_squashed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    row = site.say(agreed="publish")
    site.review("--accept", f"c{row.id[:8]}", "--page", "doors.md")
    with serve() as hub:
        api = HfApi(endpoint=hub.url, token=HUB_TOKEN)
        monkeypatch.setattr("rag.publishing.hub.client", lambda: api)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # which the stand-in does not speak
        assert publish(["--repo", "user/questions", "--data", str(site.data), "--send"]) == 0
        (repository,) = hub.repositories.values()
    assert "data/train.parquet" in repository.files and repository.squashed and len(repository.commits) == 1


def test_the_commands_are_subcommands_of_the_package(tmp_path: Path) -> None:
    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "onboarding", *words]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)

    done = ran("review", "--data", str(tmp_path), "--checkout", str(tmp_path))
    assert done.returncode == 2 and "give the project's checkout" in done.stderr
    done = ran("publish", "--repo", "a/b", "--data", str(tmp_path))
    assert done.returncode == 2 and "nothing is accepted" in done.stderr
