"""The demonstration: a visit to the application over the embedded model, as an animated picture.

    python -m tests.browser.demo [--url http://127.0.0.1:7860] [--out .data/ci/demo.webp]

What happens is decided here, how long it is shown too; what is seen is the real page, frame by frame. Waiting is
shortened, nothing else is: a frame that shows the same as the one before only lengthens it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.browser.pictures import PATIENCE_MS, application, open_tab
from tests.browser.serving import chromium
from tools.simulation.hosts import load_hosts

SIZE = (1000, 680)
TYPING_MS, STREAM_MS, LOOK_MS = 60, 160, 2600  # a keystroke, a step of an answer, time to read
MOST_FRAMES = 60  # of one answer
MAX_BYTES = 3_000_000  # a page that shows it must stay light
QUALITIES = (70, 50, 35)  # of the pictures; the first that fits


@dataclass
class Film:
    """The frames taken so far, each with the milliseconds it is shown."""

    page: Page
    frames: list[Image.Image] = field(default_factory=list)
    shown_ms: list[int] = field(default_factory=list)
    _last: bytes = b""

    def take(self, shown_ms: int) -> None:
        """Add what the page shows now."""
        shot = self.page.screenshot()
        if shot == self._last:
            self.shown_ms[-1] += shown_ms
            return
        self._last = shot
        self.frames.append(Image.open(io.BytesIO(shot)).convert("RGB"))
        self.shown_ms.append(shown_ms)

    def type(self, field_at: str, text: str) -> None:
        """Type as a person does, three letters a frame."""
        for at in range(0, len(text), 3):
            self.page.locator(field_at).press_sequentially(text[at : at + 3])
            self.take(TYPING_MS * 3)

    def ask(self, text: str) -> None:
        """Ask in the chat and follow the answer to its end."""
        self.type("#question textarea", text)
        self.page.press("#question textarea", "Enter")
        done = self.page.locator(".turn.last .actions")
        for _ in range(MOST_FRAMES):
            self.take(STREAM_MS)
            if done.count():
                break
        done.wait_for(timeout=PATIENCE_MS)
        self.page.evaluate("document.querySelector('.turn.last').scrollIntoView({block: 'start'})")
        self.take(LOOK_MS)

    def save(self, path: Path) -> int:
        """Write the animation and return its bytes; ValueError when it stays too large."""
        path.parent.mkdir(parents=True, exist_ok=True)
        first, *others = self.frames
        for quality in QUALITIES:
            first.save(
                path, save_all=True, append_images=others, duration=self.shown_ms, loop=0, quality=quality, method=4
            )
            if path.stat().st_size <= MAX_BYTES:
                return path.stat().st_size
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes and {MAX_BYTES:,} are allowed; show less")


def story(film: Film) -> None:
    """Welcome, a question, search as one types, a broken host, and a plugin that runs twice."""
    page = film.page
    page.locator("#welcome").wait_for()
    film.take(LOOK_MS)
    page.click("#welcome-look")
    page.locator("#welcome").wait_for(state="hidden")
    film.take(LOOK_MS // 2)
    film.ask("Is RHEL 8 supported?")
    open_tab(page, "search", "#search-box")
    film.type("#search-box :is(input, textarea)", "which port does airflow")
    page.locator("#search-found .source").first.wait_for()
    film.take(LOOK_MS)
    open_tab(page, "diagnostics", "#diag-vitals .panel")
    _choose(page, "#diag-host", "images-disk-full")
    page.locator("#diag-vitals .meter.bad").first.wait_for()
    film.take(LOOK_MS)
    page.click("#diag-all")
    page.locator("#diag-verdict h4").wait_for()
    page.locator("#diag-verdict").scroll_into_view_if_needed()
    film.take(LOOK_MS)
    open_tab(page, "plugins", "#plugins-lab")
    for _stage in range(7):
        page.click("#plugins-step")
        page.wait_for_timeout(250)
        film.take(STREAM_MS * 4)
    film.take(LOOK_MS)


def _choose(page: Page, at: str, host: str) -> None:
    page.click(f"{at} input")
    page.locator("[role=option]", has_text=load_hosts()[host].title).click()


def main() -> None:
    """Film it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("--out", type=Path, default=Path(".data/ci/demo.webp"))
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = options.url or stack.enter_context(application())
        browser = stack.enter_context(chromium())
        width, height = SIZE
        page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
        page.set_default_timeout(30_000)
        page.goto(url)
        film = Film(page)
        story(film)
        size = film.save(options.out)
    seconds = sum(film.shown_ms) / 1000
    sys.stdout.write(f"{options.out}: {len(film.frames)} frames, {seconds:.0f} s, {size:,} bytes\n")


if __name__ == "__main__":
    main()
