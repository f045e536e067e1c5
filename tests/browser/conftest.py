"""One browser and one server for all browser tests; a fresh browser context and guide script for each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.serving import make_app, serving
from tests.fakes import STATUS, ScriptedGuide

SHOTS = Path(__file__).parent / "shots"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; a missing browser is a failure, never a skip."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.fail("no browser found: run `apt-get install chromium`, or set CHROMIUM to the path of one")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[ScriptedGuide, str]]:
    """A guide and the address of the page over it."""
    guide = ScriptedGuide(pace_s=0.002)
    with serving(make_app(guide)) as url:
        yield guide, url


@pytest.fixture
def guide(served: tuple[ScriptedGuide, str]) -> Iterator[ScriptedGuide]:
    """The guide behind the page, with a clean record; whatever a test holds back is released after it."""
    guide = served[0]
    guide.state = STATUS
    guide.asked.clear()
    guide.histories.clear()
    guide.closed.clear()
    yield guide
    guide.release()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One visitor at a desktop who may use the clipboard; shared, because loading the scripts anew takes seconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme="light")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, guide: ScriptedGuide, served: tuple[ScriptedGuide, str]) -> Iterator[Page]:
    """The page, loaded, with nothing remembered; a script error or a request elsewhere fails the test at its end."""
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on(
        "request", lambda request: faults.append(f"foreign request: {request.url}") if _foreign(request.url) else None
    )
    page.goto(served[1])
    page.locator(".starter").first.wait_for()
    yield page
    page.goto(f"{served[1]}/theme.css")
    page.evaluate("localStorage.clear()")
    page.close()
    assert faults == []


def _foreign(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))
