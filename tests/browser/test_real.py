"""The application as it is, over the embedded model: our own index and router, and no stand-in for any part."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from gradio_client import Client
from playwright.sync_api import Browser, Page, expect

from app import Around, create_app
from model.catalogue.load import EngineLimits
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.edge.admission import Admission
from tests.browser.conftest import shot
from tests.browser.demo import Film, story
from tests.browser.pictures import scenes
from tests.browser.serving import serving
from tests.browser.test_chat import ask
from tests.browser.test_look import serious
from tests.conftest import DataFolder

PATIENCE_MS = 90_000  # for a model on busy cores; nothing here waits for a fixed time
SETTLED = {"ready"}


@pytest.fixture(scope="module")
def address(data_folder: DataFolder, port: int) -> Iterator[str]:
    """One seat, so that a second question already waits; by its name the model is known to be a stand-in, and brief."""
    limits = EngineLimits(slots=1, cells=4096)
    guide = Guide(Parts(PartsSettings(model="smollm2-135m", data=data_folder(), limits=limits)))
    # However slow the machine is, the queue is not full: a refusal is not what is tested here.
    around = Around(admission=Admission(at_once=limits.slots, longest_wait_s=3600.0))
    with serving(create_app(guide, around), port) as url:
        while set(guide.status().parts.values()) != SETTLED:
            assert not any(state.startswith("failed") for state in guide.status().parts.values())
            time.sleep(0.1)
        yield url


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.locator("#welcome-close").click()
    yield page
    page.close()


def fresh_page(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    return page


def finished(page: Page, number: int) -> None:
    expect(page.locator(".turn")).to_have_count(number, timeout=PATIENCE_MS)
    page.locator(".turn.last .actions").wait_for()


def test_a_question_is_answered_with_sources_by_the_model_that_the_page_names(page: Page) -> None:
    ask(page, "Is RHEL 8 supported?")
    expect(page.locator(".turn.last .source").first).to_contain_text("RHEL 8", timeout=PATIENCE_MS)
    finished(page, 1)
    expect(page.locator(".turn.last")).to_contain_text("is refused")
    text = page.locator(".turn.last").inner_text()
    assert ("The stand-in model adds" in text) == (
        "tokens/s" in text
    )  # figures are those of a model that said something
    expect(page.locator("#header .model")).to_contain_text("SmolLM2")


def test_stop_ends_a_real_answer_and_the_next_question_is_answered(page: Page) -> None:
    ask(page, "Explain the plugin framework with every detail")
    page.locator("#stop").click()
    expect(page.locator(".turn.last")).to_contain_text("Stopped", timeout=PATIENCE_MS)
    ask(page, "Which port does Airflow use?")
    finished(page, 3)
    expect(page.locator(".turn.last")).to_contain_text("8888")


def test_a_step_of_a_tour_is_asked_in_the_chat_with_one_key(page: Page, address: str) -> None:
    page.goto(f"{address}/?tour=rhel10&step=1")
    page.locator("#rhel10-ask-1").click()
    expect(page.locator("#question textarea")).to_be_focused(timeout=PATIENCE_MS)
    page.keyboard.press("Enter")
    finished(page, 3)  # a stopped question is not kept
    expect(page.locator(".turn.last .source").first).to_contain_text("RHEL 10")


def test_search_answers_while_one_types_and_hands_a_question_over(page: Page) -> None:
    page.get_by_role("tab", name="Search", exact=True).click()
    box, found = page.locator("#search-box :is(input, textarea)"), page.locator("#search-found")
    box.press_sequentially("which port does airflow")
    expect(found).to_contain_text("8888", timeout=PATIENCE_MS)
    assert serious(page) == []
    box.fill("zz")
    expect(found).to_contain_text("at least three letters", timeout=PATIENCE_MS)
    box.fill("how do I bake sourdough bread")
    expect(found).to_contain_text("does not seem to answer", timeout=PATIENCE_MS)
    box.fill("write a plugin")
    expect(found).to_contain_text("plugin", timeout=PATIENCE_MS)
    page.locator("#search-ask").click()
    expect(page.locator("#question textarea")).to_have_value("write a plugin", timeout=PATIENCE_MS)


@contextmanager
def visitors(address: str, number: int) -> Iterator[None]:
    """So many visitors who ask again as soon as they have been answered."""
    left = threading.Event()

    def visit() -> None:
        client = Client(address, verbose=False)
        while not left.is_set():
            with suppress(Exception):  # an answer that is cut off at the end
                client.predict("Explain every variable of the deployment", api_name="/ask")

    threads = [threading.Thread(target=visit, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        left.set()
        for thread in threads:
            thread.join(60)


def test_three_busy_visitors_are_a_queue_that_is_shown_before_one_asks_and_while_one_waits(
    browser: Browser, address: str
) -> None:
    page = fresh_page(browser, address)
    expect(page.locator("#header .queue")).to_have_text("no queue", timeout=PATIENCE_MS)
    with visitors(address, 3):
        expect(page.locator("#header .queue.busy")).to_contain_text("ahead, ~", timeout=PATIENCE_MS)
        ask(page, "Which variables must I set?")
        expect(page.locator(".turn.last .progress")).to_contain_text("ahead of you", timeout=PATIENCE_MS)
        shot(page, "queue", full_page=False)
        page.locator("#stop").click()
    expect(page.locator(".turn.last")).to_contain_text("Stopped", timeout=PATIENCE_MS)
    page.close()


def test_every_scene_of_the_pictures_can_be_reached(browser: Browser, address: str) -> None:
    page = fresh_page(browser, address)
    for name, prepare in scenes():
        prepare(page)
        assert len(page.screenshot()) > 10_000, name
    page.close()


def test_the_film_of_a_release_is_played_to_its_end(browser: Browser, address: str) -> None:
    film = Film(fresh_page(browser, address))
    story(film)
    expect(film.page.locator("#welcome-show")).to_be_visible()
    assert len(film.frames) >= 9  # one for each step at least; with less motion no letter is typed by itself
    film.page.close()
