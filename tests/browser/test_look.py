"""How the page looks and holds still: widths, colours, contrast, keyboard."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

from playwright.sync_api import Page, expect

from onboarding.edge.admission import AT_ONCE
from onboarding.edge.client_address import Asker
from tests.browser.conftest import ADMISSION, settle, shot
from tests.browser.test_chat import QUESTION, ask, finished
from tests.fakes import STATUS, ScriptedGuide

LOOKS = [(1280, 860, "light"), (1280, 860, "dark"), (360, 740, "light"), (360, 740, "dark")]


def fits(page: Page, state: str, *, check: bool = False) -> None:
    """Whether the page's state fits both widths, in both colours; `check` also asks axe-core."""
    for width, height, colours in LOOKS:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", colours == "dark")
        page.evaluate("document.querySelector('.turn.last')?.scrollIntoView({behavior: 'instant'})")
        shot(page, f"{state}-{width}-{colours}", full_page=False)
        assert sideways(page) <= 0
        if check:
            assert serious(page) == []


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical, once no colour is on its way to another."""
    settle(page)
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{rule['id']}: {node['target']} {node.get('failureSummary', '')}"
        for rule in found
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def sideways(page: Page) -> int:
    """By how many pixels the page can be scrolled sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_every_state_fits_its_width_and_passes_axe(page: Page, guide: ScriptedGuide) -> None:
    page.emulate_media(reduced_motion="reduce")
    fits(page, "empty", check=True)
    guide.hold["prefill"].clear()
    ask(page, QUESTION)
    page.locator(".progress b").wait_for()
    fits(page, "reading")
    guide.release()
    finished(page)
    fits(page, "answer")
    ask(page, "Is libvirtd running? notice")
    finished(page, 2)
    page.click(".turn.last .step summary")
    fits(page, "tool")
    page.click(".turn.last .route summary")
    fits(page, "route", check=True)


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
    guide.state = replace(STATUS, downloading="Granite-4.0-Micro 412 of 2,100 MB")
    places = [ADMISSION.ask(Asker(f"visitor-{number}", "192.0.2.1")) for number in range(AT_ONCE + 2)]
    expect(page.locator("#header")).to_contain_text("downloading Granite-4.0-Micro 412 of 2,100 MB")
    expect(page.locator("#header")).to_contain_text(re.compile(r"2 questions ahead, ~\d+ s"))
    for place in places:
        ADMISSION.release(place)


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
    assert page.locator(".source .quote").first.evaluate(direction) == "ltr"
