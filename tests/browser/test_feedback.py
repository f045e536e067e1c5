"""Feedback in a real browser, and what of it lies on the disk afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from onboarding.feedback import FeedbackRow, read_rows
from onboarding.feedback.service import Feedback, FeedbackSettings
from onboarding.feedback.store import FOLDER
from tests.browser.conftest import newcomer
from tests.browser.serving import make_app, serving
from tests.browser.test_chat import ask, finished
from tests.browser.test_look import serious
from tests.fakes import ANSWER, RHEL10, ScriptedGuide

SECRET = "Sommer2024!"
TOKEN = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi"
QUESTION = f"Does RHEL 10 work with password={SECRET} ?"


@dataclass(frozen=True)
class Site:
    """A page that keeps feedback, and where."""

    url: str
    folder: Path

    @property
    def rows(self) -> list[FeedbackRow]:
        return list(read_rows(self.folder))

    @property
    def written(self) -> str:
        """Everything on the disk, as text."""
        return "".join(path.read_text("utf-8") for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("data")
    app = make_app(ScriptedGuide(pace_s=0.001), feedback=Feedback.of(FeedbackSettings(data)))
    with serving(app, port) as url:
        yield Site(url, data / FOLDER)


@pytest.fixture
def visitor(context: BrowserContext, site: Site) -> Page:
    """Somebody who was never here, with an answer in front of them."""
    return _visit(newcomer(context, site.url), site)


def _visit(page: Page, site: Site) -> Page:
    page.set_default_timeout(10_000)
    page.goto(site.url)
    page.locator(".starter").first.wait_for()
    ask(page, QUESTION)
    finished(page)
    return page


def agree_and_send(page: Page, reason: str = "", comment: str = "") -> None:
    page.check("#feedback .agree:not(.publish) input")
    if reason:
        page.check(f"#feedback [type=radio][value='{reason}']")
    page.fill("#feedback textarea", comment)
    page.click("#feedback [data-end=send]")


def test_nothing_is_kept_before_a_yes_and_then_only_what_is_clean(visitor: Page, site: Site) -> None:
    before = site.rows
    visitor.click("[data-feedback=down]")
    dialog = visitor.locator("#feedback dialog")
    expect(dialog).to_contain_text("What was wrong with this answer?")
    visitor.fill("#feedback textarea", "no")
    visitor.click("#feedback [data-end=send]")
    expect(visitor.locator("#feedback .agree:not(.publish) input")).to_have_attribute("aria-invalid", "true")
    expect(dialog).to_be_visible()
    assert site.rows == before
    agree_and_send(visitor, "wrong", f"I used {TOKEN} and it said so to jane.doe@contoso.com")
    expect(visitor.locator("#feedback .kept")).to_have_text("Thank you, it was kept.")
    expect(visitor.locator("[data-feedback=down]")).to_have_attribute("aria-pressed", "true")
    row = site.rows[-1]
    assert (row.kind, row.verdict, row.reason, row.route) == ("thumb", "down", "wrong", "rhel10")
    assert row.question == "Does RHEL 10 work with password=[secret] ?" and row.answer == ANSWER
    assert row.comment == "I used [Hugging Face token] and it said so to [e-mail]"
    assert [source.url for source in row.sources] == [passage.url for passage in RHEL10.passages]
    assert row.model.startswith("SmolLM2") and row.took.first_token_s == 3.2
    assert not [secret for secret in (SECRET, TOKEN, "jane.doe") if secret in site.written]


def test_a_yes_is_remembered_so_that_a_thumb_is_one_click_after_a_reload(visitor: Page, site: Site) -> None:
    visitor.click("[data-feedback=up]")
    agree_and_send(visitor)
    expect(visitor.locator("#feedback .kept")).not_to_be_empty()
    visitor.reload()
    visitor.locator(".turn.last [data-feedback=up]").wait_for()
    expect(visitor.locator("[data-feedback=forget]")).to_be_visible()
    visitor.click("[data-feedback=up]")
    expect(visitor.locator("#feedback .kept")).to_have_text("Thank you, it was kept.")
    expect(visitor.locator("#feedback dialog")).to_be_hidden()
    first, second = site.rows[-2:]
    assert first.visitor == second.visitor and (second.verdict, second.question) == ("up", first.question)


def test_a_source_is_reported_with_its_reason(visitor: Page, site: Site) -> None:
    assert serious(visitor) == []
    visitor.click(".source[data-n='2'] [data-feedback=source]")
    expect(visitor.locator("#feedback dialog")).to_contain_text("What is wrong with this source?")
    agree_and_send(visitor, "outdated")
    expect(visitor.locator("#feedback .kept")).not_to_be_empty()
    row = site.rows[-1]
    assert (row.kind, row.reason, row.verdict) == ("source", "outdated", "")
    assert row.reported and row.reported.url == RHEL10.passages[1].url


def test_a_wish_is_kept_and_offers_a_filled_in_issue(visitor: Page, site: Site) -> None:
    visitor.click("[data-feedback=wish]")
    agree_and_send(visitor, comment=f"A page about backups & restores\nlike 10.4.5.6 does, {TOKEN}")
    link = visitor.locator("#feedback .issue a")
    expect(link).to_be_visible()
    expect(link).to_be_focused()
    assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener noreferrer")
    address = urlsplit(link.get_attribute("href") or "")
    assert address.netloc == "github.com" and address.path == "/Qubinode/qubinode_navigator/issues/new"
    assert parse_qs(address.query)["title"] == ["A page about backups & restores"]
    assert TOKEN not in address.query and "10.4.5.6" not in address.query
    assert (site.rows[-1].kind, site.rows[-1].question) == ("suggestion", "")
    assert site.rows[-1].comment == "A page about backups & restores\nlike [ip] does, [Hugging Face token]"


def test_forgetting_deletes_this_visitors_rows_and_the_yes(browser: Browser, visitor: Page, site: Site) -> None:
    visitor.click("[data-feedback=up]")
    agree_and_send(visitor)
    expect(visitor.locator("#feedback .kept")).not_to_be_empty()
    mine = site.rows[-1].visitor
    other = _visit(browser.new_context(locale="en-US").new_page(), site)
    other.click("[data-feedback=up]")
    agree_and_send(other)
    expect(other.locator("#feedback .kept")).not_to_be_empty()
    theirs = site.rows[-1].visitor
    visitor.click("[data-feedback=forget]")
    expect(visitor.locator("#feedback .kept")).to_have_text(
        re.compile("Your feedback was deleted, and your consent with it")
    )
    expect(visitor.locator("[data-feedback=forget]")).to_be_hidden()
    assert mine not in site.written and theirs in {row.visitor for row in site.rows}
    visitor.click("[data-feedback=up]")
    expect(visitor.locator("#feedback .agree:not(.publish) input")).to_be_focused()
    other.context.close()


def test_a_disk_that_refuses_is_said_and_the_chat_goes_on(visitor: Page, site: Site) -> None:
    before, moved = site.rows, site.folder.with_name("away")
    site.folder.rename(moved)
    site.folder.touch()  # a file where the folder was: every write fails
    try:
        visitor.click("[data-feedback=up]")
        agree_and_send(visitor)
        expect(visitor.locator("#feedback .reply")).to_have_text("This could not be kept; try again later.")
        visitor.click("#feedback [data-end=close]")
        ask(visitor, "Is RHEL 8 supported? short")
        finished(visitor, 2)
    finally:
        site.folder.unlink()
        moved.rename(site.folder)
    assert site.rows == before


def test_by_keyboard_on_a_dark_phone_in_german_without_a_barrier(browser: Browser, site: Site) -> None:
    context = browser.new_context(
        locale="de-DE", color_scheme="dark", viewport={"width": 360, "height": 740}, has_touch=True
    )
    page = _visit(context.new_page(), site)
    thumb = page.locator("[data-feedback=down]")
    thumb.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#feedback .agree:not(.publish) input")).to_be_focused()
    expect(page.locator("#feedback dialog")).to_contain_text("Was war an dieser Antwort falsch?")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = page.locator("#feedback dialog").bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= 360 and box["y"] + box["height"] <= 740
    assert serious(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#feedback dialog")).to_be_hidden()
    expect(thumb).to_be_focused()
    context.close()
