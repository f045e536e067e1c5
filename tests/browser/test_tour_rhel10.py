"""The RHEL 10 tour in a real browser, from the first step to the chat, on the real application without a model."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import newcomer, shot


@pytest.fixture
def page(context: BrowserContext, address: str) -> Page:
    """The page with no part loaded: the tour must do without all of them but the sandbox."""
    page = newcomer(context, address)
    page.goto(address)
    page.get_by_role("tab", name="RHEL 10 tour").click()
    return page


def test_the_tour_can_be_walked_to_its_end_while_nothing_is_loaded(page: Page) -> None:
    readiness = page.locator("#tour-readiness")
    expect(readiness).to_contain_text("abm")
    page.locator("#tour-host input").click()
    page.get_by_role("option", name=re.compile("cpu-v2")).click()
    expect(readiness).to_contain_text("lacks")
    shot(page, "tour-1")
    page.locator("#rhel10-next-1").click()
    page.get_by_label("Which kernel does RHEL 10 run?").click()
    expect(page.locator("#rhel10-extract-2")).to_contain_text("still loading")
    page.locator("#rhel10-next-2").click()
    page.locator("#tour-run").click()
    expect(page.locator("#tour-plugin")).to_contain_text("can only run on RHEL 10")
    page.locator("#rhel10-back-3").click()
    page.locator("#rhel10-back-2").click()
    page.locator("#tour-host input").click()
    page.get_by_role("option", name=re.compile(r"\(healthy\)")).click()
    expect(readiness).to_contain_text("Ready for RHEL 10.")
    page.locator("#rhel10-next-1").click()
    page.locator("#rhel10-next-2").click()
    page.locator("#tour-run").click()
    expect(page.locator("#tour-plugin")).to_contain_text("missing lzcnt")
    expect(page.locator("#tour-plugin")).to_contain_text("Plugin not found: RHEL10Plugin")
    shot(page, "tour-3-refused")
    page.get_by_label("Pretend that it reads abm as lzcnt").check()
    expect(page.locator("#tour-plugin")).to_be_empty()
    page.locator("#tour-run").click()
    expect(page.locator("#tour-plugin")).to_contain_text("Applied 1 changes")
    page.locator("#tour-run").click()
    expect(page.locator("#tour-plugin")).to_contain_text("Applied 0 changes")
    shot(page, "tour-3")
    page.locator("#rhel10-next-3").click()
    page.locator("#tour-domain input, #tour-domain textarea").fill("nodots")
    expect(page.locator("#tour-trouble")).to_contain_text("QUBINODE_DOMAIN")
    page.locator("#tour-domain input, #tour-domain textarea").fill("home.example.org")
    expect(page.locator("#tour-command")).to_contain_text("QUBINODE_DOMAIN=home.example.org")
    page.locator("#tour-mode input").click()
    page.get_by_role("option", name="development").click()
    expect(page.locator("#tour-warning")).to_contain_text("defaultpassword")
    shot(page, "tour-4")
    page.locator("#rhel10-next-4").click()
    page.locator("#tour-verify").click()
    expect(page.locator("#tour-services")).to_contain_text("NetworkManager")
    page.locator("#rhel10-next-5").click()
    page.locator("#rhel10-ask-6").click()
    expect(page.locator("#question textarea")).to_have_value("How do I write a plugin?")
    shot(page, "tour-6-in-the-chat")
