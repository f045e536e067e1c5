"""The Insights tab in a real browser: what a visitor does shows up there, and can be read by everybody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app import Around, create_app
from model.engine.events import Counts, Timings
from model.turn.chat import TurnRecord
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.ui.tabs.insights import FRESH_S
from onboarding.usage.ledger_writer import LedgerWriter, ledger_in
from onboarding.usage.recorder import Usage, usage_of_project
from tests.browser.conftest import PATIENCE_MS, newcomer, shot
from tests.browser.serving import serving
from tests.browser.test_look import serious, sideways

RHEL10 = "RHEL 10, from check to deployment"


@dataclass
class Place:
    """A served application that nobody has been to, and what counts in it."""

    url: str
    usage: Usage
    writer: LedgerWriter


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Place]:
    """Walked by the first test, and full of figures for those after it."""
    data = tmp_path_factory.mktemp("data")
    usage = usage_of_project()
    writer = LedgerWriter(usage.registry, ledger_in(data))
    parts = Parts(PartsSettings(engine="scripted", data=data))
    with serving(create_app(Guide(parts, usage.turn), Around(usage, writer=writer), load_parts=False), port) as url:
        yield Place(url, usage, writer)
    parts.close()


@pytest.fixture
def visitor(context: BrowserContext, place: Place) -> BrowserContext:
    newcomer(context, place.url)
    return context


def arrive(visitor: BrowserContext, url: str, colours: Literal["light", "dark"] = "light") -> Page:
    page = visitor.pages[-1] if visitor.pages else visitor.new_page()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme=colours)
    page.goto(url)
    page.locator("#tabs").wait_for()
    if page.locator("#welcome-close").is_visible():
        page.locator("#welcome-close").click()
    return page


def open_tab(page: Page, name: str) -> None:
    size = page.viewport_size
    if size and size["width"] < 600:  # the tab is folded away once the row has been measured
        page.get_by_role("button", name="More tabs").click()
        page.locator(".overflow-dropdown button", has_text=name).first.click()
    else:
        page.get_by_role("tab", name=name, exact=True).click()


def funnel(page: Page) -> list[list[str]]:
    rows = page.locator(f"#insights-shown .panel:has(h3:text-is('{RHEL10}')) tr").all()
    return [row.locator("th, .count").all_inner_texts() for row in rows]


def some_days(usage: Usage) -> None:
    for n in range(9):
        failed, abstained = n == 7, n == 8
        counts, timings = Counts(900, 200, 60), Timings(0.2, 3.0 + n, 12.0 + n)
        usage.turn(
            TurnRecord("rhel10" if n % 2 else "deploy", "" if abstained else "Model", "deadline" if failed else "stop",
                       counts, timings, ("p",), (), abstained, 0)
        )  # fmt: skip
        usage.thumb(n % 3 > 0)
        usage.tool("service_status", True)


def test_steps_that_were_walked_are_the_tours_funnel(visitor: BrowserContext, place: Place) -> None:
    page = arrive(visitor, place.url)
    open_tab(page, "Insights")
    expect(page.locator(".nothing")).to_contain_text("Nothing has been counted in these days.")
    expect(page.locator(".nothing a")).to_have_count(4)
    open_tab(page, "RHEL 10 tour")
    for step in (1, 2):
        page.locator(f"#rhel10-next-{step}").click()
    page.locator("#rhel10-back-3").wait_for()
    page.locator("#rhel10-back-3").click()
    page.locator("#rhel10-next-2").click()  # seen again, counted once
    page.locator("#rhel10-back-3").wait_for()
    second = arrive(visitor, f"{place.url}/?tour=rhel10&step=6")
    second.locator("#rhel10-on").click()
    open_tab(second, "Insights")
    expect(second.locator(".tile", has_text="visits")).to_contain_text("2")
    assert funnel(second) == [
        ["Opened", "2", "100 %"],
        ["1. Check", "1", "50 %"], ["2. Changes", "1", "50 %"], ["3. Plugin", "1", "50 %"],
        ["4. Deploy", "0", "0 %"], ["5. Verify", "0", "0 %"], ["6. Next", "1", "50 %"],
        ["Finished", "1", "50 %"],
    ]  # fmt: skip


@pytest.fixture(scope="module")
def busy(place: Place) -> Place:
    some_days(place.usage)
    for tour, steps in place.usage.tours.items():
        for step in range(1, steps):
            place.usage.tour_step("anna", tour, step)
    time.sleep(FRESH_S)  # what the tab drew before this is shown again for so long
    return place


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_drawings_have_names_and_figures_and_fit_a_telephone(
    visitor: BrowserContext, busy: Place, colours: Literal["light", "dark"]
) -> None:
    for width in (1280, 360):
        page = arrive(visitor, busy.url, colours)
        page.set_viewport_size({"width": width, "height": 800})
        open_tab(page, "Insights")
        chart = page.get_by_role("img", name="Answers a day")
        expect(chart).to_be_visible()
        assert chart.locator("script, style").count() == 0
        card = page.locator("[data-panel=insights-answers]")
        card.locator("summary").click()
        last = card.locator("tbody tr").last.locator("td").all_inner_texts()
        assert last[1:] == ["7", "1", "0", "1"]  # answered, abstained, stopped, failed
        assert sideways(page) <= 0
        assert serious(page) == []
        shot(page, f"insights-{colours}-{width}")


def test_it_speaks_the_browsers_language(browser: Browser, busy: Place) -> None:
    context = browser.new_context(locale="de-DE", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = arrive(context, busy.url)
    open_tab(page, "Einblicke")
    expect(page.get_by_role("heading", name="Wie dieser Space genutzt wird")).to_be_visible()
    expect(page.locator("#insights-shown h3").first).to_have_text("Antworten am Tag")
    context.close()
