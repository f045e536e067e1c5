"""Browsers that close what the page would use: storage, the clipboard, a frame of another site."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, Route, expect

from tests.browser.conftest import DESKTOP, PATIENCE_MS
from tests.browser.serving import FLAGS, chromium_path
from tests.browser.test_chat import QUESTION, finished
from tests.browser.test_look import serious
from tests.fakes import ANSWER, ScriptedGuide

HUB = "https://huggingface.co/spaces/somebody/qubinode"
NOTHING_KEPT = "This browser keeps nothing of this visit: closing or reloading the page ends it."
ALL_BLOCKED = {"profile": {"default_content_setting_values": {"cookies": 2}}}
FOREIGN_BLOCKED = {"profile": {"cookie_controls_mode": 1, "block_third_party_cookies": True}}
# The frame's server is this machine's own, and Chromium asks before a public site may reach such a one.
LOOPBACK_IN_FRAMES = "--disable-features=LocalNetworkAccessChecks"
# A name that is no loopback address to the browser: plain http, so no secure context.
PLAIN_HTTP = "--host-resolver-rules=MAP navigator.test 127.0.0.1"

Visit = Callable[..., BrowserContext]


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Start a browser with preferences of its own."""
    opened: list[BrowserContext] = []

    def start(preferences: Any = None, *flags: str) -> BrowserContext:
        folder = tmp_path / str(len(opened))
        (folder / "Default").mkdir(parents=True)
        (folder / "Default" / "Preferences").write_text(json.dumps(preferences or {}), encoding="utf-8")
        context = browser.browser_type.launch_persistent_context(
            folder,
            executable_path=chromium_path(),
            args=[*FLAGS, *flags],
            viewport=DESKTOP,
            locale="en-US",
        )
        context.set_default_timeout(PATIENCE_MS)
        opened.append(context)
        return context

    yield start
    for context in opened:
        context.close()


def watched(context: BrowserContext, faults: list[str]) -> Page:
    page = context.pages[0]
    page.on("pageerror", lambda error: faults.append(str(error)))
    return page


def converse(page: Page | FrameLocator) -> None:
    """Two questions, a new chat, and back to the first conversation."""
    for number, question in enumerate(("short RHEL question", "short plugin question"), start=1):
        page.locator("#question textarea").fill(question)
        page.locator("#question textarea").press("Enter")
        expect(page.locator(".turn")).to_have_count(number)
        page.locator(".turn.last .figures:not(:empty)").wait_for()
        expect(page.locator("#send")).to_be_visible()
    page.locator("[data-act=new]").click()
    expect(page.locator(".turn")).to_have_count(0)
    page.locator(".saved summary").click()
    page.locator(".saved [data-act=open]").click()
    expect(page.locator(".asked")).to_have_text(["short RHEL question", "short plugin question"])


def test_with_all_cookies_blocked_the_chat_works_and_says_that_nothing_is_kept(
    visit: Visit, served: tuple[ScriptedGuide, str], guide: ScriptedGuide
) -> None:
    faults: list[str] = []
    page = watched(visit(ALL_BLOCKED), faults)
    page.goto(served[1])
    expect(page.locator("#hint")).to_contain_text(NOTHING_KEPT)
    converse(page)
    assert guide.histories[-1] == ("short RHEL question",)
    page.locator(".saved summary").click()
    expect(page.locator(".saved .sheet p")).to_have_text(NOTHING_KEPT)
    page.locator(".saved summary").click()
    assert serious(page) == []
    page.click("[data-act=colours]")
    page.reload()
    page.locator(".starter").first.wait_for()
    expect(page.locator("#hint")).to_contain_text(NOTHING_KEPT)
    expect(page.locator(".saved")).to_be_empty()
    assert faults == []


def test_with_all_cookies_blocked_every_tab_opens_and_tours_walk(visit: Visit, address: str) -> None:
    faults: list[str] = []
    page = watched(visit(ALL_BLOCKED), faults)
    page.goto(address)
    page.locator("#welcome-run").click()
    page.locator("#rhel10-next-1").click()
    page.locator("#rhel10-next-2").wait_for()
    page.get_by_role("tab", name="Search").click()
    expect(page.locator("#search-box")).to_be_visible()
    page.get_by_role("tab", name="RHEL 10 tour").click()
    expect(page.locator("#rhel10-next-2")).to_be_visible()  # while the page is open, it knows where one was
    expect(page).to_have_url(re.compile(r"tour=rhel10&step=2"))
    page.reload()
    expect(page.locator("#rhel10-next-2")).to_be_visible()  # and its address says so
    expect(page.locator("#welcome")).to_be_hidden()
    assert faults == []


@pytest.mark.parametrize(
    ("script", "kept"),
    [
        ("Object.defineProperty(window, 'localStorage', { get: () => null, configurable: true })", False),
        ("Object.defineProperty(window, 'sessionStorage', { get: () => { throw 1 }, configurable: true })", True),
        ("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }", False),
        (
            "for (const key of ['qubinode-tours', 'qubinode-welcome', 'qubinode-feedback', 'qubinode-conversation:a',"
            " 'qubinode-conversations']) localStorage[key] = 'rubbish:[';"
            'localStorage[\'qubinode-conversation:b\'] = \'{"id": "b", "turns": [null, 3]}\';'
            'localStorage[\'qubinode-conversation:c\'] = \'{"turns": [{"id": "t", "question": 5, "answer": ""}]}\';'
            'localStorage[\'qubinode-conversation:d\'] = \'{"turns": [{"id": "t", "question": "And the answer?"}]}\';'
            "localStorage['qubinode-open'] = 'a'",
            True,
        ),
    ],
    ids=["none", "no session", "no room", "rubbish"],
)
def test_whatever_a_storage_is_the_chat_works(
    browser: Browser, served: tuple[ScriptedGuide, str], guide: ScriptedGuide, script: str, kept: bool
) -> None:
    context = browser.new_context(viewport=DESKTOP, locale="en-US")
    context.set_default_timeout(PATIENCE_MS)
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.add_init_script(script)
    page.goto(served[1])
    page.locator(".starter").first.wait_for()
    page.fill("#question textarea", "short RHEL question")
    page.press("#question textarea", "Enter")
    finished(page)
    expect(page.locator("#hint .unkept")).to_have_text("" if kept else NOTHING_KEPT)
    page.fill("#question textarea", "short plugin question")
    page.press("#question textarea", "Enter")
    finished(page, 2)
    assert guide.histories[-1] == ("short RHEL question",)
    assert faults == []
    context.close()


@pytest.mark.parametrize(
    ("preferences", "kept"), [(ALL_BLOCKED, False), (FOREIGN_BLOCKED, True), ({}, True)], ids=["all", "foreign", "none"]
)
def test_in_a_frame_of_the_hub_whatever_is_blocked(
    visit: Visit, served: tuple[ScriptedGuide, str], guide: ScriptedGuide, preferences: Any, kept: bool
) -> None:
    """Blocking third parties leaves a frame a storage of its own in today's Chromium, so it may keep things."""
    faults: list[str] = []
    page = watched(visit(preferences, LOOPBACK_IN_FRAMES), faults)

    def hub(route: Route) -> None:
        frame = f'<iframe src="{served[1]}" allow="clipboard-read; clipboard-write" width="1200" height="800"></iframe>'
        route.fulfill(body=frame, content_type="text/html")

    page.route(f"{HUB}*", hub)
    page.goto(HUB)
    frame = page.frame_locator("iframe")
    frame.locator(".starter").first.wait_for()
    converse(frame)
    line = frame.locator("#hint .unkept")
    expect(line).to_have_text("" if kept else NOTHING_KEPT)
    page.reload()
    frame.locator("#send").wait_for()
    if kept:
        expect(frame.locator(".asked")).to_have_count(2)
    else:
        frame.locator(".starter").first.wait_for()
    assert faults == []


def test_a_site_that_the_policy_does_not_name_cannot_frame_the_page(
    visit: Visit, served: tuple[ScriptedGuide, str]
) -> None:
    page = visit({}, LOOPBACK_IN_FRAMES).pages[0]
    page.route(
        "https://elsewhere.example/*",
        lambda route: route.fulfill(body=f'<iframe src="{served[1]}"></iframe>', content_type="text/html"),
    )
    page.goto("https://elsewhere.example/")
    page.wait_for_timeout(500)
    assert page.frames[1].url != f"{served[1]}/"


def test_copying_works_over_plain_http_or_says_why_not(
    visit: Visit, served: tuple[ScriptedGuide, str], guide: ScriptedGuide
) -> None:
    faults: list[str] = []
    page = watched(visit({}, PLAIN_HTTP), faults)
    page.goto(served[1].replace("127.0.0.1", "navigator.test"))
    page.fill("#question textarea", QUESTION)
    page.press("#question textarea", "Enter")
    finished(page)
    assert page.evaluate("isSecureContext") is False
    page.click(".meta >> text=Copy")
    expect(page.locator(".meta")).to_contain_text("Copied")
    page.focus("#question textarea")
    page.keyboard.press("Control+V")
    expect(page.locator("#question textarea")).to_have_value(ANSWER)
    page.hover(".extract .code")
    page.click(".extract .copy-code")
    expect(page.locator(".extract .copy-code")).to_have_text("Copied")
    page.fill("#question textarea", "")
    page.keyboard.press("Control+V")
    expect(page.locator("#question textarea")).to_have_value(
        "./scripts/preflight-check.sh --fix\nsudo -E ./scripts/development/deploy-qubinode.sh"
    )
    page.evaluate("document.execCommand = () => false")
    expect(page.locator(".meta [data-act=copy]")).to_have_text("Copy")
    page.click(".meta [data-act=copy]")
    expect(page.locator(".meta")).to_contain_text("The browser forbids it; select the text and copy it by hand")
    assert faults == []
