"""How the page looks and holds still: widths, colours, contrast, keyboard. Writes pictures into `shots/` to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import SHOTS
from tests.browser.test_chat import QUESTION, ask, finished
from tests.fakes import STATUS, ScriptedGuide

DESKTOP, PHONE = (1280, 860), (360, 740)


@pytest.fixture(params=[(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")])
def view(
    request: pytest.FixtureRequest, browser: Browser, guide: ScriptedGuide, served: tuple[ScriptedGuide, str]
) -> Iterator[tuple[Page, str]]:
    """The page at one size in one colour scheme, and the suffix of its pictures."""
    (width, height), scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(served[1])
    page.locator(".starter").first.wait_for()
    yield page, f"{width}-{scheme}"
    context.close()


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
        for rule in found
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def sideways(page: Page) -> int:
    """By how many pixels the page can be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_every_state_fits_its_width_and_passes_axe(view: tuple[Page, str], guide: ScriptedGuide) -> None:
    page, suffix = view
    shoot(page, f"empty-{suffix}")
    assert sideways(page) <= 0
    assert serious(page) == []
    guide.hold["prefill"].clear()
    ask(page, QUESTION)
    page.locator(".progress b").wait_for()
    shoot(page, f"reading-{suffix}")
    guide.release()
    finished(page)
    shoot(page, f"answer-{suffix}")
    ask(page, "Is libvirtd running? notice")
    finished(page, 2)
    page.click(".turn.last .step summary")
    page.evaluate("document.querySelector('.turn.last').scrollIntoView()")
    shoot(page, f"tool-{suffix}")
    page.click(".turn.last .route summary")
    shoot(page, f"route-{suffix}")
    assert sideways(page) <= 0
    assert serious(page) == []


def test_nothing_above_the_words_moves_while_they_stream(page: Page, guide: ScriptedGuide) -> None:
    guide.hold["prefill"].clear()
    ask(page, QUESTION)
    page.locator(".progress b").wait_for()
    page.wait_for_timeout(600)  # the scroll to the question is animated
    places = "[...document.querySelectorAll('.asked, .route, .extract, .source, .answer')].map(e => e.offsetTop)"
    before = page.evaluate(places)
    guide.hold["decode"].clear()
    guide.hold["prefill"].set()
    page.locator(".answer .text").wait_for()
    assert page.evaluate(places) == before
    guide.release()
    finished(page)
    assert page.evaluate(places) == before


def test_an_opened_source_list_stays_open_while_text_streams(page: Page, guide: ScriptedGuide) -> None:
    guide.hold["decode"].clear()
    ask(page, QUESTION)
    page.locator(".answer .text").wait_for()
    page.click(".more summary")
    guide.release()
    finished(page)
    expect(page.locator(".more")).to_have_attribute("open", "")


def test_the_page_can_be_used_from_the_keyboard(page: Page, guide: ScriptedGuide) -> None:
    expect(page.locator("#question textarea")).to_be_focused()
    page.locator(".starter").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    finished(page)
    page.locator(".route summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[role=menuitem]").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[role=menuitem]").first).to_be_hidden()
    expect(page.locator(".route summary")).to_be_focused()


def test_the_header_follows_what_is_loading(page: Page, guide: ScriptedGuide) -> None:
    expect(page.locator("#header")).to_contain_text("stand-in")
    expect(page.locator("#header")).to_contain_text("no queue")
    guide.state = replace(STATUS, downloading="Granite-4.0-Micro 412 of 2,100 MB", ahead=2, eta_s=31.0)
    expect(page.locator("#header")).to_contain_text("downloading Granite-4.0-Micro 412 of 2,100 MB")
    expect(page.locator("#header")).to_contain_text("2 questions ahead, ~31 s")


def test_light_and_dark_can_be_chosen_and_are_remembered(page: Page, guide: ScriptedGuide) -> None:
    dark = "document.body.classList.contains('dark')"
    assert page.evaluate(dark) is False
    page.click("[data-act=colours]")
    assert page.evaluate(dark) is True
    page.reload()
    page.locator(".starter").first.wait_for()
    page.wait_for_function(dark)


def test_right_to_left_text_runs_right_to_left(page: Page, guide: ScriptedGuide) -> None:
    ask(page, "فارسی: RHEL 10؟")
    finished(page)
    direction = "element => getComputedStyle(element).direction"
    assert page.locator(".asked").evaluate(direction) == "rtl"
    assert page.locator(".answer p").first.evaluate(direction) == "rtl"
    assert page.locator(".source q").first.evaluate(direction) == "ltr"
