"""The whole way: a thumb down in a browser, a review in the shell, a row for everybody, and a better answer."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, expect

from onboarding.feedback import read_rows
from onboarding.feedback.review import CHECKOUT
from onboarding.feedback.store import FOLDER
from rag.reading.page_questions import questions_of
from tests.browser.community_film import CORRECTION, PAGE, QUESTION, SECTION, Workplace, ask, correct, visit


@pytest.mark.timeout(1000)  # two applications and three indexes, on a busy machine
def test_a_correction_becomes_a_row_of_the_dataset_and_a_better_answer(
    browser: Browser, own_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.publishing.hub.preview", lambda target, _folder: target.repo)  # asks the network
    ours = (CHECKOUT / "rag" / "corpus" / PAGE).read_bytes()
    place = Workplace(tmp_path, own_index)
    with place.application("") as url:
        page = visit(browser, url)
        ask(page)
        expect(page.locator(".turn.last")).to_contain_text("does not answer this")
        expect(page.locator(".turn.last .source")).to_have_count(0)
        correct(page)
        page.close()
    (row,) = read_rows(place.data / FOLDER)
    assert (row.question, row.comment, row.state, row.agreed) == (QUESTION, CORRECTION, "not here", "publish")

    told = json.loads(place.command("review", "--list", "--json"))
    assert (told["question"], told["state"], told["now"], told["visitors"]) == (QUESTION, "not here", "not here", 1)
    assert f"+    - {QUESTION}" in place.command("review", "--accept", told["id"], "--page", PAGE)
    assert QUESTION in questions_of((place.pages / PAGE).read_text())[SECTION]
    assert (CHECKOUT / "rag" / "corpus" / PAGE).read_bytes() == ours
    place.command("publish", "--repo", "user/questions")
    (public,) = pq.read_table(place.data / FOLDER / "dataset" / "data" / "train.parquet").to_pylist()
    assert (public["question"], public["correction"], public["page"]) == (QUESTION, CORRECTION, PAGE)

    place.build()
    with place.application("") as url:
        page = visit(browser, url)
        ask(page)
        expect(page.locator(".turn.last .source").first).to_contain_text(SECTION)
        expect(page.locator(".turn.last")).to_contain_text("kcli revert vm-snapshot")
        page.close()
