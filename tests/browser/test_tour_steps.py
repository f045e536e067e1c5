"""Steps that are data alone, walked in a real browser: one more step, and one exercise fewer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.tours.content import TOURS
from onboarding.ui.page.page import Tab
from onboarding.ui.tours.rhel10 import Rhel10Tour
from tests.browser.conftest import PATIENCE_MS
from tests.browser.serving import make_app, serving
from tools.simulation.hosts import load_hosts

FIRST, EXTRA = '[[steps]]\nname = "Check"\nexercise = "readiness"\n', '[[steps]]\nname = "Extra"\n'


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The RHEL 10 tour without its first exercise, and with a second step that has only words and a question."""
    folder = Path(shutil.copytree(TOURS, tmp_path / "tours"))
    file = folder / "rhel10.toml"
    text = file.read_text(encoding="utf-8").replace(FIRST, '[[steps]]\nname = "Check"\n')
    added = f'{EXTRA}text = "Words alone."\nask = "Which kernel is it?"\n\n'
    head, _, steps = text.partition('[[steps]]\nname = "Changes"')
    file.write_text(f'{head}{added}[[steps]]\nname = "Changes"{steps}', encoding="utf-8")
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path))
    guide = Guide(parts)
    tour = Rhel10Tour(guide, load_hosts(), folder)
    with serving(make_app(guide, (Tab(tour.name, tour.build),))) as url:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{url}/?tour=rhel10&step=2")
        yield page
        page.close()
    parts.close()


def test_a_step_of_words_alone_is_linked_to_walked_over_and_asked_about(page: Page) -> None:
    expect(page.get_by_text("Words alone.")).to_be_visible()
    expect(page.locator('a.permalink[href="?tour=rhel10&step=2"]')).to_be_visible()
    page.locator("#rhel10-next-2").click()
    page.locator("#rhel10-next-3").click()
    page.locator("#tour-run").click()  # on the host that the file names, which no step shows
    expect(page.locator("#tour-plugin")).to_contain_text("failed")
    expect(page.locator("#tour-host")).to_be_hidden()
    page.locator("#rhel10-back-4").click()
    page.locator("#rhel10-back-3").click()
    page.locator("#rhel10-ask-2").click()
    expect(page.locator("#question textarea")).to_have_value("Which kernel is it?")
