"""Pictures of every tab in light and dark, at a desktop's and a phone's width, to be looked at.

    python -m tests.browser.pictures [--url http://127.0.0.1:7860] [--out tests/browser/shots]

Without --url the application is started for it, with the embedded model.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page

from app import Around, create_app
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.ui.kit.languages import load_texts
from onboarding.usage.recorder import usage_of_project
from tests.browser.serving import chromium, serving

SIZES = {"1280": (1280, 860), "360": (360, 740)}
COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
QUESTION = "How do I deploy on RHEL 10?"
PATIENCE_MS = 120_000  # for an answer of a real model on busy cores

Scene = tuple[str, Callable[[Page], None]]


def scenes() -> list[Scene]:
    """What to see of the page, in an order that needs no reload between."""
    return [
        ("welcome", lambda page: page.locator("#welcome").wait_for()),
        ("chat-empty", _close_welcome),
        ("chat-answer", _answer),
        ("chat-tool", _tool),
        ("search", _search),
        ("diagnostics", lambda page: open_tab(page, "diagnostics", "#diag-vitals .panel")),
        ("tour-rhel10", lambda page: open_tab(page, "rhel10", "#tour-readiness")),
        ("tour-diagnostics", lambda page: open_tab(page, "diagnostics-tour", "#dtour-host")),
        ("tour-plugins", lambda page: open_tab(page, "plugins", "#plugins-lab")),
        ("tour-contribute", lambda page: open_tab(page, "contribute", "#contribute-kind")),
        ("insights", lambda page: open_tab(page, "insights", "#insights-shown .panel, #insights-shown .nothing")),
    ]


def _close_welcome(page: Page) -> None:
    page.locator("#welcome-close").click()
    page.locator(".starter").first.wait_for()


def _answer(page: Page) -> None:
    page.fill("#question textarea", QUESTION)
    page.press("#question textarea", "Enter")
    answered(page)


def _tool(page: Page) -> None:
    page.fill("#question textarea", "Is libvirtd running on the demo host?")
    page.press("#question textarea", "Enter")
    answered(page, 2)
    page.locator(".turn.last .step summary").first.click()


def answered(page: Page, number: int = 1) -> None:
    """Wait for the end of the turn of this number, counted from 1: only then it can be copied or tried again."""
    page.locator(f".turn:nth-child({number}) .actions").wait_for(timeout=PATIENCE_MS)


def _search(page: Page) -> None:
    open_tab(page, "search", "#search-box")
    page.locator("#search-box :is(input, textarea)").press_sequentially("which variables must I set", delay=20)
    page.locator("#search-found .source").first.wait_for()


def open_tab(page: Page, tab: str, shown: str) -> None:
    """Open a tab; a narrow page keeps most of them in a menu."""
    button = page.locator(f"#tabs > .tab-wrapper [role=tab][data-tab-id={tab}]")
    page.locator("#chat-tab-button").wait_for()
    # Until the row has been measured every tab stands in it, and a click may come too late.
    page.wait_for_function("innerWidth > 700 || document.querySelector('.overflow-menu:not(.hide)')")
    if button.count():
        button.click()
    else:
        page.get_by_label("More tabs").click()
        label = load_texts()[f"tab_{tab.replace('-', '_')}"]["en"]
        page.locator(".overflow-dropdown").get_by_role("button", name=label, exact=True).click()
    page.locator(shown).first.wait_for()


def photograph(browser: Browser, url: str, out: Path) -> Iterator[Path]:
    """Take every scene at every size in every colour; yields the files as they are written."""
    for size, (width, height) in SIZES.items():
        for colour in COLOURS:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=colour, reduced_motion="reduce"
            )
            page = context.new_page()
            page.set_default_timeout(20_000)
            page.goto(url)
            for name, prepare in scenes():
                prepare(page)
                page.wait_for_timeout(400)  # fonts and the last layout
                path = out / f"{name}-{size}-{colour}.png"
                page.screenshot(path=path, full_page=name not in {"chat-answer", "chat-tool"})
                yield path
            context.close()


@contextlib.contextmanager
def application(model: str = "smollm2-135m") -> Iterator[str]:
    """The address of the whole application over the embedded model, once every part is ready."""
    with tempfile.TemporaryDirectory() as data:
        usage = usage_of_project()
        guide = Guide(Parts(PartsSettings(model=model, data=Path(data))), usage.turn)
        with serving(create_app(guide, Around(usage))) as url:
            while "loading" in " ".join(guide.status().parts.values()) or not guide.status().model_label:
                time.sleep(0.2)
            yield url


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "shots")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        url = options.url or stack.enter_context(application())
        for path in photograph(stack.enter_context(chromium()), url, options.out):
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
