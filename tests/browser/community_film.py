"""The way of a correction: a poor answer, a thumb down, a maintainer's review, and the same question again.

    python -m tests.browser.community_film [--out .github/community.webp]

The application is the real one, over a copy of the pages; the repository's own are never written to. Between the two
visits the page is built anew from the changed copy and the application restarted, as docs/maintainers.md says.
"""

from __future__ import annotations

import argparse
import html
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from playwright.sync_api import Browser, Page

from app import Around, create_app
from onboarding.__main__ import run
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.feedback.review import CHECKOUT, INDEX
from onboarding.feedback.service import Feedback, FeedbackSettings
from rag.embedding.embedder import Embedder
from rag.index.build import build
from tests.browser.demo import SIZE, Film
from tests.browser.serving import chromium, serving

QUESTION = "Can I rewind a KVM guest to yesterday?"
CORRECTION = "A snapshot does that: kcli revert vm-snapshot. Day-two operations has it."
PAGE, SECTION = "day-two-operations.md", "Snapshot a VM"
MAX_BYTES = 1_500_000
PATIENCE_MS = 240_000
LOOK_MS = 2600  # time to read
TERMINAL = (
    "<body style='margin:0;background:#14171c;color:#d7dde5;font:15px/1.5 monospace'>"
    "<pre style='padding:28px;white-space:pre-wrap'>{}</pre>"
)


class Workplace:
    """A data folder, and a copy of the pages in a checkout of their own.

    index: of the pages as they are; without one it is built.
    """

    def __init__(self, root: Path, index: Path | None = None) -> None:
        self.data, self.checkout, self.index = root / "data", root / "checkout", root / "index"
        self.pages = self.checkout / "rag" / "corpus"
        shutil.copytree(CHECKOUT / "rag" / "corpus", self.pages)
        (self.checkout / "tests" / "evals").mkdir(parents=True)
        if index:
            shutil.copytree(index, self.index)
        else:
            self.build()
        self.data.mkdir()
        shutil.copytree(self.index, self.data / INDEX)

    def build(self) -> None:
        """Index the pages as they are now."""
        build(self.pages, self.index, Embedder())

    @contextmanager
    def application(self, model: str) -> Iterator[str]:
        """The address of the application over that index, once every part is ready; "" for no model."""
        engine = {"model": model} if model else {"engine": "scripted"}
        guide = Guide(Parts(PartsSettings(data=self.data, index=self.index, **engine)))  # type: ignore[arg-type]
        around = Around(feedback=Feedback.of(FeedbackSettings(self.data)))
        with serving(create_app(guide, around)) as url:
            while set(guide.status().parts.values()) != {"ready"}:
                time.sleep(0.2)
            yield url

    def command(self, *words: str) -> str:
        """Run a command of the package over this data and checkout; return what it prints."""
        where = ["--data", str(self.data), *(["--checkout", str(self.checkout)] if words[0] == "review" else [])]
        printed = io.StringIO()
        with redirect_stdout(printed):
            code = run([*words, *where])
        if code:
            raise RuntimeError(f"{' '.join(words)} ended with {code}")
        return printed.getvalue()


def ask(page: Page, text: str = QUESTION) -> None:
    """Ask on a page that has just been opened, and wait for the end of the answer."""
    page.locator(".starter").first.wait_for()
    page.fill("#question textarea", text)
    page.press("#question textarea", "Enter")
    page.locator(".turn.last .actions").wait_for()


def correct(page: Page, look: Callable[[], None] = lambda: None) -> None:
    """Say what is right, and agree to both sentences. look: called before it is sent."""
    page.click(".turn.last [data-feedback=down]")
    for box in page.locator("#feedback .agree input").all():
        box.check()
    page.check("#feedback [type=radio][value='not helpful']")
    page.fill("#feedback textarea", CORRECTION)
    look()
    page.click("#feedback [data-end=send]")
    page.locator("#feedback .kept:not(:empty)").wait_for()


def visit(browser: Browser, url: str) -> Page:
    """A newcomer's page."""
    page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.locator("#welcome-close").click()
    return page


def story(film: Film, browser: Browser, place: Workplace, model: str) -> None:
    """Play it; `film` takes the pictures."""

    def show(page: Page, shown_ms: int = LOOK_MS) -> None:
        film.page = page
        film.take(shown_ms)

    def terminal(*lines: str) -> None:
        page.set_content(TERMINAL.format(html.escape("\n".join(lines))))
        show(page, LOOK_MS * 2)

    with place.application(model) as url:
        page = visit(browser, url)
        ask(page)
        show(page, LOOK_MS * 2)
        correct(page, lambda: show(page, LOOK_MS * 2))
        show(page, LOOK_MS // 2)
        page.close()
    page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
    told = place.command("review", "--list")
    known = told.split()[0]
    terminal("$ python -m onboarding review --list", told)
    changed = place.command("review", "--accept", known, "--page", PAGE)
    terminal(f"$ python -m onboarding review --accept {known} --page {PAGE}", changed, "$ # built anew, and restarted")
    place.build()
    page.close()
    with place.application(model) as url:
        page = visit(browser, url)
        ask(page)
        page.evaluate("document.querySelector('.turn.last').scrollIntoView({block: 'start'})")
        show(page, LOOK_MS * 3)
        page.close()


def main() -> None:
    """Film it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=CHECKOUT / ".github" / "community.webp")
    parser.add_argument("--model", default="smollm2-135m")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, chromium() as browser:
        film = Film(browser.new_page())
        story(film, browser, Workplace(Path(root)), options.model)
        size = film.save(options.out)
    if size > MAX_BYTES:
        raise ValueError(f"{options.out} has {size:,} bytes and {MAX_BYTES:,} are allowed; show less")
    sys.stdout.write(f"{options.out}: {len(film.frames)} frames, {sum(film.shown_ms) / 1000:.0f} s, {size:,} bytes\n")


if __name__ == "__main__":
    main()
