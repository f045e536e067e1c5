"""The page below a path, behind a real nginx as docs/operators.md has it: a visitor asks and is answered."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import newcomer
from tests.browser.test_chat import ask, finished
from tests.conftest import DataFolder
from tests.hardening.nginx import documented, nginx
from tests.hardening.serving import running

ROOT = "/navigator"


def test_a_visitor_below_a_path_asks_and_is_answered(
    context: BrowserContext, data_folder: DataFolder, tmp_path: Path
) -> None:
    with running(data_folder(), ENGINE="scripted", GRADIO_ROOT_PATH=ROOT, TRUST_PROXY="1") as app:
        app.wait_until_ready()
        (tmp_path / "nginx").mkdir()
        with nginx(tmp_path / "nginx", app.url, documented()) as origin:
            page = newcomer(context, f"{origin}{ROOT}")
            failed: list[str] = []
            outside: list[str] = []
            page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
            page.on(
                "request", lambda sent: None if sent.url.startswith(f"{origin}{ROOT}/") else outside.append(sent.url)
            )
            page.goto(f"{origin}{ROOT}/")
            page.locator(".starter").first.wait_for()
            ask(page, "Is RHEL 8 supported?")
            finished(page)
            expect(page.locator(".source").first).to_be_visible()
            page.goto("about:blank")
    assert failed == []
    assert [url for url in outside if url.startswith(origin) and not url.endswith("/manifest.json")] == []
