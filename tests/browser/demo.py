"""The film of the page's own demonstration, with its captions, and the picture that stands for the page elsewhere.

    python -m tests.browser.demo [--out .data/ci]        # demo.webp, card.png and demo.json

The page plays, frame by frame, and stands still while it is photographed: how long a frame is shown is what the page
would have waited. demo.json says in words what the film shows; tests/ui/test_demo.py holds it against what the page
would show now.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import html
import io
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page

from app import Around, create_app
from model.turn.chat import TurnRecord
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.tours.content import load_tour
from onboarding.ui.page.demo import Demo, Step
from onboarding.usage.recorder import usage_of_project
from tests.browser.serving import chromium, serving
from tools.sandbox.sandbox import Sandbox

SIZE, CARD = (1000, 680), (1200, 630)  # the card's is what other sites show of a link
CARD_AT = "result"  # the step that the card shows
MAX_BYTES = 2_000_000  # a page that shows it must stay light
QUALITIES = (70, 50, 35)  # of the pictures; the first that fits
FILM, PICTURE, SHOWN = "demo.webp", "card.png", "demo.json"
NO_BUTTONS = ".demo-bar .ends { display: none !important; }"  # nobody can press them in a picture
STAND_STILL = "void (demo.rest = ms => new Promise(done => { window.held = { ms, done }; }))"
VOLATILE = re.compile(r"<svg.*?</svg>|<pre.*?</pre>|\b[\d.]+ m?s\b", re.DOTALL)  # times, and a result's own fields


@dataclass
class Film:
    """The frames taken so far, each with the milliseconds it is shown."""

    page: Page
    frames: list[Image.Image] = field(default_factory=list)
    shown_ms: list[int] = field(default_factory=list)
    _last: bytes = b""

    def take(self, shown_ms: int) -> None:
        """Add what the page shows now; what it showed before only lasts longer."""
        shot = self.page.screenshot()
        if shot == self._last:
            self.shown_ms[-1] += shown_ms
            return
        self._last = shot
        self.frames.append(Image.open(io.BytesIO(shot)).convert("RGB"))
        self.shown_ms.append(shown_ms)

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


def played(page: Page) -> Iterator[tuple[str, int]]:
    """Play the demonstration; yield its step and the milliseconds to wait at each wait, which lasts until the next."""
    page.wait_for_function("window.demo?.stage?.words() && demo.stage.settled()")
    page.wait_for_function("document.documentElement.classList.contains('demos')")
    page.evaluate(STAND_STILL)
    page.evaluate("() => void demo.start()")
    while page.wait_for_function("window.held || !demo.playing") and page.evaluate("demo.playing"):
        step: str = page.evaluate("demo.at")
        yield step, page.evaluate("held.ms")
        page.evaluate("() => { const { done } = held; held = null; done(); }")


def story(film: Film) -> None:
    """Film the demonstration to its end."""
    for step, shown_ms in played(film.page):
        if step == "tour":  # the server opens it
            film.page.locator("#diagnostics-tour-next-4").wait_for()
        film.take(shown_ms)


def card(page: Page, path: Path) -> None:
    """Take the picture of the step `CARD_AT`, once all of it is drawn."""
    for step, _ in played(page):
        if step == CARD_AT:
            path.write_bytes(page.screenshot())


def in_words(script: list[Step]) -> list[dict[str, Any]]:
    """Return what the demonstration shows at the end of each step: its caption, what is typed, the text of each part."""
    return [_words(step) for step in script]


def _words(step: Step) -> dict[str, Any]:
    parts: dict[str, str] = {}
    for frame in step.get("frames", ()):
        parts |= frame["parts"]
    told = {
        "caption": step["say"],
        "typed": step.get("type", ""),
        "shows": {n: _text(part) for n, part in parts.items()},
    }
    if "tab" in step:
        shown = load_tour(step["tab"]).steps[step["step"] - 1]
        told["shows"] = {"tour": step["tab"], "step": shown.name, "text": shown.text}
    return told


def _text(part: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", VOLATILE.sub(" ", part))).split())


@contextlib.contextmanager
def loaded_guide(
    sandbox: Sandbox | None = None,
    record: Callable[[TurnRecord], None] = lambda _record: None,
    index: Path | None = None,
) -> Iterator[Guide]:
    """A guide over our own pages with a script in the model's place, once search and router are there.

    index: of our own pages; without one it is built.
    """
    with tempfile.TemporaryDirectory() as data:
        if index:
            shutil.copytree(index, Path(data) / "index")
        parts = Parts(PartsSettings(engine="scripted", data=Path(data)), sandbox)
        parts.start()
        while set(parts.status.values()) != {"ready"}:
            time.sleep(0.05)
        yield Guide(parts, record)
        parts.close()


def main() -> None:
    """Film it, take the card, and write down what is seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(".data/ci"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        guide = stack.enter_context(loaded_guide())
        url = stack.enter_context(serving(create_app(guide, Around(usage_of_project()), load_parts=False)))
        browser = stack.enter_context(chromium())
        film = Film(_page(browser, url, SIZE))
        story(film)
        size = film.save(out / FILM)
        card(_page(browser, url, CARD), out / PICTURE)
        told = {"film": digest(out / FILM), "card": digest(out / PICTURE), "steps": in_words(Demo(guide).script())}
    (out / SHOWN).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    seconds = sum(film.shown_ms) / 1000
    sys.stdout.write(f"{out / FILM}: {len(film.frames)} frames, {seconds:.0f} s, {size:,} bytes\n")


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _page(browser: Browser, url: str, size: tuple[int, int]) -> Page:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme="light")
    page.set_default_timeout(30_000)
    page.goto(url)
    page.add_style_tag(content=NO_BUTTONS)
    return page


if __name__ == "__main__":
    main()
