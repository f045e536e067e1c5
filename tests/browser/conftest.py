"""One browser, one tab and few servers for most browser tests: a new tab takes 2.5 s of CPU to load, a used one 1.1 s.

Newcomers are made by clearing what the page stored, and the servers of the modules follow one another on one port.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, ViewportSize, expect

from app import create_app
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.edge.admission import Admission
from tests.browser.serving import chromium, make_app, serving
from tests.fakes import STATUS, ScriptedGuide
from tests.loopback import free_port

SHOTS = Path(__file__).parent / "shots"  # pictures to be looked at, where SHOTS=1 asks for them
PATIENCE_MS = 60_000  # how long a machine under heavy load may take for what takes tenths of a second
ADMISSION = Admission()  # of the page over the scripted guide
DESKTOP: ViewportSize = {"width": 1280, "height": 860}


SETTLED = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const moving = document.getAnimations().filter((one) => one instanceof CSSTransition);
  await Promise.allSettled(moving.map((one) => one.finished));
}"""


def settle(page: Page) -> None:
    """Return once the page is drawn and no colour or size is on its way to another."""
    page.evaluate(SETTLED)


def shot(page: Page, name: str, *, full_page: bool = True) -> None:
    """Settle, and write a picture into SHOTS where that is asked for: each takes a good part of a second."""
    settle(page)
    if os.environ.get("SHOTS"):
        SHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}.png", full_page=full_page)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; a missing browser is a failure, never a skip."""
    expect.set_options(timeout=PATIENCE_MS)
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[ScriptedGuide, str]]:
    """A guide and the address of the page over it."""
    guide = ScriptedGuide(pace_s=0.002)
    with serving(make_app(guide, admission=ADMISSION)) as url:
        yield guide, url


@pytest.fixture(scope="session")
def port() -> int:
    """The port of the servers that one module only needs."""
    return free_port()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the application with no part loaded."""
    parts = Parts(PartsSettings(engine="scripted", data=tmp_path_factory.mktemp("data")))
    with serving(create_app(Guide(parts), load_parts=False)) as url:
        yield url
    parts.close()


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
    """One visitor at a desktop who reads English and may use the clipboard."""
    context = browser.new_context(viewport=DESKTOP, color_scheme="light", locale="en-US")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


def newcomer(context: BrowserContext, url: str) -> Page:
    """Return the tab in use, or a new one, as that of somebody who was never at this address."""
    context.clear_cookies()
    page = context.pages[-1] if context.pages else context.new_page()
    page.unroute_all()
    page.set_default_timeout(PATIENCE_MS)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="null")
    page.goto(f"{url}/theme.css")
    page.evaluate("localStorage.clear(); sessionStorage.clear()")
    return page


@dataclass
class Tab:
    """One browser tab that tests pass on, with what went wrong in it."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        self.page.on("request", self._check)

    def _check(self, request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.faults.append(f"foreign request: {request.url}")

    def clean(self, url: str) -> None:
        """As a first visit finds it. Loading takes seconds, so a page that can be emptied by hand is kept."""
        page = self.page
        page.set_viewport_size(DESKTOP)
        page.emulate_media(color_scheme="light", reduced_motion="null")
        page.evaluate("document.body.classList.remove('dark')")
        if (
            page.url.rstrip("/") != url
            or page.locator("#stop").is_visible()
            or page.evaluate("localStorage.length > 2")
        ):
            page.goto(f"{url}/theme.css")
            page.evaluate("localStorage.clear()")
            page.goto(url)
        elif page.locator("[data-act=forget]").count():
            page.evaluate("document.querySelectorAll('[data-act=forget]').forEach(button => button.click())")
        elif page.locator("[data-act=new]").count():
            page.evaluate("document.querySelector('[data-act=new]').click()")
        page.locator(".starter").first.wait_for()
        page.locator(".saved:empty").wait_for(state="attached")
        page.fill("#question textarea", "")
        page.focus("#question textarea")


@pytest.fixture(scope="session")
def tabs(context: BrowserContext) -> Iterator[list[Tab]]:
    """The tab in use, if any."""
    tabs: list[Tab] = []
    yield tabs


@pytest.fixture
def page(
    context: BrowserContext, tabs: list[Tab], guide: ScriptedGuide, served: tuple[ScriptedGuide, str]
) -> Iterator[Page]:
    """The page as a newcomer finds it; a script error or a request elsewhere fails the test at its end."""
    if not tabs or tabs[0].page.is_closed():
        tabs[:] = [Tab(context.pages[-1] if context.pages else context.new_page())]
    tab = tabs[0]
    if not tab.page.url.startswith(served[1]):
        tab.page.goto("about:blank")  # what the page of another server says when it is left is no fault of this one
    tab.faults.clear()
    tab.clean(served[1])
    yield tab.page
    assert tab.faults == []
