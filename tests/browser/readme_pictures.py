"""The four pictures of the README, taken anew: `python -m tests.browser.readme_pictures [--url URL]`."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page

from tests.browser.pictures import answered, application, open_tab
from tests.browser.serving import chromium
from tools.simulation.hosts import load_hosts

FOLDER = Path(__file__).parents[2] / ".github"
DESKTOP, PHONE = (1280, 860), (360, 740)

Prepare = Callable[[Page], None]


def chat(page: Page) -> None:
    """An answer with its sources, from its question on."""
    page.fill("#question textarea", "Which variables must I set?")
    page.press("#question textarea", "Enter")
    answered(page)
    page.evaluate("document.querySelector('.turn.last').scrollIntoView({block: 'start'})")


def diagnostics(page: Page) -> None:
    """A host whose trouble shows at a glance."""
    open_tab(page, "diagnostics", "#diag-vitals .panel")
    page.click("#diag-host input")
    page.locator("[role=option]", has_text=load_hosts()["images-disk-full"].title).click()
    page.locator("#diag-vitals .meter.bad").first.wait_for()


def tour(page: Page) -> None:
    """The plugin's life cycle, half way through."""
    open_tab(page, "plugins", "#plugins-lab")
    for stage in ("discover", "initialize", "check", "compare", "apply"):
        page.click("#plugins-step")
        page.locator("#plugins-lab .now", has_text=stage).wait_for()


PICTURES: dict[str, tuple[tuple[int, int], Literal["light", "dark"], Prepare]] = {
    "chat": (DESKTOP, "light", chat),
    "diagnostics": (DESKTOP, "light", diagnostics),
    "tour": (DESKTOP, "dark", tour),
    "phone": (PHONE, "dark", chat),
}


def take(browser: Browser, url: str, name: str) -> Path:
    """Take one picture and return its file."""
    (width, height), colour, prepare = PICTURES[name]
    viewport = {"width": width, "height": height}
    page = browser.new_page(viewport=viewport, color_scheme=colour, reduced_motion="reduce")  # type: ignore[arg-type]
    page.set_default_timeout(30_000)
    page.goto(url)
    page.locator("#welcome-close").click()
    prepare(page)
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # the last layout
    path = FOLDER / f"{name}.png"
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, optimize=True)
    page.close()
    return path


def main() -> None:
    """Take all four."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = options.url or stack.enter_context(application())
        browser = stack.enter_context(chromium())
        for name in PICTURES:
            path = take(browser, url, name)
            sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
