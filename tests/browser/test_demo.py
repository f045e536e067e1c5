"""The demonstration in the page itself: played to its end, stopped, and what it leaves behind, which is nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app import Around, create_app
from onboarding.feedback.service import Feedback, FeedbackSettings
from onboarding.usage.recorder import Usage, usage_of_project
from tests.browser.conftest import PATIENCE_MS, SHOTS, newcomer
from tests.browser.demo import loaded_guide, played
from tests.browser.serving import serving
from tests.browser.test_chat import ask, finished
from tests.browser.test_look import serious, sideways
from tests.fakes import ScriptedGuide
from tests.waiting import eventually

AT_ONCE = "void (demo.rest = () => Promise.resolve())"
BAR, BOX = ".demo-bar", "#question textarea"
STORED = "JSON.stringify([Object.entries(localStorage).sort(), Object.entries(sessionStorage).sort()])"
DRAFT = "how do I write a plu"


@pytest.fixture(scope="module")
def usage() -> Usage:
    return usage_of_project()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, usage: Usage, own_index: Path, port: int) -> Iterator[str]:
    """The whole application without a model."""
    feedback = Feedback.of(FeedbackSettings(tmp_path_factory.mktemp("feedback")))
    with loaded_guide(record=usage.turn, index=own_index) as guide:
        app = create_app(guide, Around(usage, feedback=feedback), load_parts=False)
        with serving(app, port) as url:
            yield url


@pytest.fixture
def visitor(context: BrowserContext, site: str) -> Page:
    """Somebody who was never here."""
    page = newcomer(context, site)
    page.goto(site)
    page.locator("#welcome-show").wait_for()
    return page


def counts(usage: Usage) -> dict[str, float]:
    """Every count of what visitors do, but for the opened pages."""
    samples = [sample for metric in usage.registry.collect() for sample in metric.samples]
    kept = re.compile(r"qubinode_(?!visits|memory|queue_length).*(_total|_count)$")
    return {f"{one.name}{sorted(one.labels.items())}": one.value for one in samples if kept.match(one.name)}


def is_over(page: Page) -> None:
    page.wait_for_function("!demo.playing")
    expect(page.locator(BAR)).to_be_hidden()


def test_it_plays_to_its_end_with_the_pages_own_parts_and_leaves_nothing(visitor: Page, usage: Usage) -> None:
    page = visitor
    page.fill(BOX, DRAFT)
    stored, before = page.evaluate(STORED), counts(usage)
    seen: dict[str, tuple[str, str, str]] = {}
    for step, _ in played(page):
        shown = page.locator("#tour-diagnostics-tour" if step in {"tour", "end"} else ".played")
        if step == "tour":
            expect(page.locator("#dtour-guess")).to_be_visible()
        seen[step] = (page.locator(f"{BAR} .caption").inner_text(), shown.inner_text(), page.input_value(BOX))
    is_over(page)
    assert list(seen) == ["hello", "question", "sources", "answer", "onward", "check", "result", "tour", "end"]
    assert all(caption for caption, _, _ in seen.values())
    assert "What is Qubinode Navigator?" in seen["question"][1]
    assert "Straight from the pages" in seen["sources"][1]
    assert "Scripted answers, no model" in seen["onward"][1]
    assert "No: libvirtd has failed" in seen["result"][1]
    assert "What is the cause?" in seen["tour"][1]
    assert {box for _, _, box in seen.values()} == {""}  # the visitor's words are not in it, nor sent with it
    assert page.locator(".turn").count() == 0
    expect(page.locator(BOX)).to_have_value(DRAFT)
    expect(page.locator("#welcome-show")).to_be_visible()
    assert page.evaluate(STORED) == stored
    assert counts(usage) == before
    assert page.url.rstrip("/") == page.evaluate("location.origin")


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_a_conversation_and_a_draft_stand_as_before_however_it_is_stopped(
    visitor: Page, usage: Usage, way: str
) -> None:
    page = visitor
    page.click("#welcome-close")
    ask(page, "Is RHEL 8 supported?")
    finished(page)
    page.click(".more summary")
    page.fill(BOX, DRAFT)
    page.evaluate("document.querySelector('#question textarea').setSelectionRange(3, 6)")
    stored, before, text = page.evaluate(STORED), counts(usage), page.locator(".log").inner_text()
    page.evaluate("scrollTo(0, 120)")
    page.evaluate("() => void demo.start()")
    page.locator(".played .turn .source").first.wait_for()
    expect(page.locator(".log")).to_be_hidden()
    if way == "button":
        page.click(f"{BAR} [data-do=stop]")
    else:
        page.keyboard.press("Escape")
    is_over(page)
    expect(page.locator(BOX)).to_have_value(DRAFT)
    expect(page.locator(BOX)).to_be_editable()
    assert page.evaluate("(b => [b.selectionStart, b.selectionEnd])(document.querySelector('#question textarea'))") == [
        3,
        6,
    ]
    assert page.locator(".log").inner_text() == text
    expect(page.locator(".more")).to_have_attribute("open", "")
    assert page.evaluate("scrollY") == 120
    assert (page.evaluate(STORED), counts(usage)) == (stored, before)
    ask(page, "Which port does Airflow use?")
    finished(page, 2)


def test_while_it_plays_the_page_asks_nothing_and_a_reload_keeps_the_draft(visitor: Page, usage: Usage) -> None:
    page = visitor
    page.fill(BOX, DRAFT)
    before = counts(usage)
    page.click("#welcome-show")
    expect(page.locator(f"{BAR} [data-do=stop]")).to_be_focused()
    page.locator(".played .source").first.wait_for()
    page.locator("#send").click()
    page.locator(".source .report").first.click(force=True)
    page.locator("[data-tab-id=search]").click()
    page.locator(BOX).press("Enter")
    page.keyboard.type("x")
    assert page.evaluate("demo.playing")
    expect(page.locator("#feedback dialog")).to_be_hidden()
    expect(page.locator("#chat-tab")).to_be_visible()
    assert counts(usage) == before
    page.reload()
    expect(page.locator(BOX)).to_have_value(DRAFT)


def test_pause_and_a_hidden_tab_hold_it_and_next_goes_on(visitor: Page) -> None:
    page = visitor
    page.click("#welcome-show")
    page.wait_for_function("demo.at === 'hello'")
    page.click(f"{BAR} [data-do=pause]")
    page.wait_for_timeout(5_000)  # longer than the step
    assert page.evaluate("demo.at") == "hello"
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.click(f"{BAR} [data-do=pause]")
    page.wait_for_timeout(5_000)
    assert page.evaluate("demo.at") == "hello"
    page.click(f"{BAR} [data-do=next]")
    page.wait_for_function("demo.at === 'question'")
    page.keyboard.press("Escape")
    is_over(page)


def test_less_motion_types_nothing_and_goes_on_by_a_button_alone(visitor: Page) -> None:
    page = visitor
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("window.typed = 0; document.addEventListener('input', () => window.typed++)")
    page.focus("#welcome-show")
    page.keyboard.press("Enter")
    expect(page.locator(f"{BAR} [data-do=pause]")).to_be_hidden()
    for step in ("hello", "question", "sources", "answer", "onward", "check", "result", "tour", "end"):
        page.wait_for_function(f"demo.at === '{step}'")
        page.wait_for_timeout(300)
        page.focus(f"{BAR} [data-do=next]")
        page.keyboard.press("Enter")
    is_over(page)
    assert page.evaluate("typed") < 10  # the box emptied and filled at once, no letter by itself
    expect(page.locator("#welcome-show")).to_be_focused()


def test_it_fits_a_phone_and_passes_axe_in_both_colours(visitor: Page) -> None:
    page = visitor
    SHOTS.mkdir(exist_ok=True)
    page.set_viewport_size({"width": 360, "height": 640})
    last = ""
    for step, _ in played(page):
        bar, box = page.locator(BAR).bounding_box(), page.locator("#composer").bounding_box()
        assert bar
        assert bar["y"] + bar["height"] <= 640
        assert box is None or box["y"] + box["height"] <= bar["y"] + 1
        assert sideways(page) <= 0
        if step != last and step in {"answer", "tour"}:
            for dark in (False, True):
                page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
                page.screenshot(path=SHOTS / f"demo-{step}-360-{'dark' if dark else 'light'}.png")
                assert serious(page) == []
        last = step
    is_over(page)


def test_an_address_starts_it_once_and_a_tours_step_is_as_before(visitor: Page, site: str, usage: Usage) -> None:
    page = visitor
    page.goto(f"{site}/?demo=1&tour=diagnostics-tour&step=2")
    page.wait_for_function("window.demo?.playing")
    assert "demo=" not in page.url
    before = counts(usage)
    page.evaluate(AT_ONCE)
    is_over(page)
    expect(page.locator("#diagnostics-tour-next-2")).to_be_visible()
    expect(page.locator("#diagnostics-tour-next-4")).to_be_hidden()
    assert counts(usage) == before
    assert page.url.endswith("/?tour=diagnostics-tour&step=2")


def test_an_answer_under_way_goes_on_behind_it(page: Page, guide: ScriptedGuide) -> None:
    expect(page.locator("#welcome-show")).to_be_hidden()  # this page has no demonstration
    guide.hold["decode"].clear()
    ask(page, "short RHEL")
    page.locator(".answer .text").wait_for()
    page.evaluate("demo.stage.begin(); demo.stage.type('scripted')")
    guide.release()
    eventually(lambda: page.locator(".turn.last .actions").count() == 1)
    page.evaluate("demo.stage.end()")
    finished(page)
    expect(page.locator(BOX)).to_have_value("")


def test_the_browsers_language_is_that_of_the_captions(browser: Browser, site: str) -> None:
    page = browser.new_page(locale="de-DE")
    page.goto(f"{site}/?demo=1")
    page.set_default_timeout(PATIENCE_MS)
    expect(page.locator(f"{BAR} .caption")).to_contain_text("Ein Besuch dieser Seite nach Drehbuch")
    expect(page.locator(f"{BAR} [data-do=stop]")).to_have_text("Stopp")
    page.close()
