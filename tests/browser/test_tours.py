"""Welcome, tours, links, and search in a real browser, on the real application with no model loaded."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from onboarding.tours.content import load_tours
from onboarding.ui.kit.languages import load_texts
from tests.browser.conftest import newcomer, shot
from tests.browser.test_look import serious, sideways
from tools.simulation.hosts import load_hosts

HOSTS = load_hosts()
TOURS = {"rhel10": "RHEL 10 tour", "diagnostics-tour": "Diagnostics tour", "plugins": "Plugin tour",
         "contribute": "Contribute"}  # fmt: skip


@pytest.fixture
def visitor(context: BrowserContext, address: str) -> BrowserContext:
    """A browser that has never been here."""
    newcomer(context, address)
    return context


def arrive(visitor: BrowserContext, address: str, query: str = "") -> Page:
    """The page at the address, loaded anew."""
    page = visitor.pages[-1]
    page.goto(f"{address}/{query}")
    page.locator("#tabs").wait_for()
    return page


@pytest.mark.parametrize(
    ("choice", "shown"), [("look", "#question"), ("run", "#tour-readiness"), ("contribute", "#contribute-kind")]
)
def test_a_first_visit_asks_once_who_one_is(visitor: BrowserContext, address: str, choice: str, shown: str) -> None:
    page = arrive(visitor, address)
    expect(page.locator("#welcome")).to_be_visible()
    shot(page, "welcome")
    assert serious(page) == []
    page.locator(f"#welcome-{choice}").click()
    expect(page.locator("#welcome")).to_be_hidden()
    expect(page.locator(shown)).to_be_visible()
    page.reload()
    page.locator("#tabs").wait_for()
    page.wait_for_timeout(500)
    expect(page.locator("#welcome")).to_be_hidden()
    page.locator("#welcome-again").click()
    expect(page.locator("#welcome")).to_be_visible()


def test_a_link_opens_its_step_without_a_welcome_and_a_reload_takes_it_up_again(
    visitor: BrowserContext, address: str
) -> None:
    page = arrive(visitor, address, "?tour=plugins&step=3")
    expect(page.locator("#plugins-batch")).to_be_visible()
    expect(page.locator("#welcome")).to_be_hidden()
    page.locator("#plugins-next-3").click()
    expect(page.locator("#plugins-source")).to_be_visible()
    page = arrive(visitor, address)
    page.get_by_role("tab", name="Plugin tour").click()
    expect(page.locator("#plugins-source")).to_be_visible()
    for nonsense in ("99", "-1", "x", "3;drop"):
        page = arrive(visitor, address, f"?tour=plugins&step={nonsense}")
        expect(page.locator("#plugins-lab")).to_be_visible()


def test_the_plugin_tour_from_start_to_end(visitor: BrowserContext, address: str) -> None:
    page = arrive(visitor, address, "?tour=plugins")
    for stage in ("discover", "initialize", "check", "compare", "apply", "check again", "cleanup"):
        page.locator("#plugins-step").click()
        expect(page.locator("#plugins-lab .now")).to_have_text(stage)
    expect(page.locator("#plugins-lab")).to_contain_text("completed")
    shot(page, "tour-plugins-1")
    page.locator("#plugins-refuse").click()
    expect(page.locator("#plugins-lab .now")).to_have_count(0)  # the round begins anew
    page.locator("#plugins-step").click()
    expect(page.locator("#plugins-lab .now")).to_have_text("discover")
    page.locator("#plugins-step").click()
    expect(page.locator("#plugins-lab")).to_contain_text("Plugin not found: ServicesPlugin")
    shot(page, "tour-plugins-1-refused")
    page.locator("#plugins-next-1").click()
    page.locator("#plugins-run").click()
    expect(page.locator("#plugins-runs")).to_contain_text("Run 1: completed")
    page.locator("#plugins-run").click()
    expect(page.locator("#plugins-runs")).to_contain_text("Run 2: skipped, nothing applied")
    page.locator("#plugins-drift").click()
    page.locator("#plugins-run").click()
    expect(page.locator("#plugins-runs")).to_contain_text("Run 3: completed, applied libvirtd")
    shot(page, "tour-plugins-2")
    page.locator("#plugins-next-2").click()
    pick(page, "#plugins-needs-0", "VaultIntegrationPlugin")
    pick(page, "#plugins-needs-1", "RHEL10Plugin")
    expect(page.locator("#plugins-batch")).to_contain_text("Circular dependency detected involving RHEL10Plugin")
    shot(page, "tour-plugins-3-circle")
    pick(page, "#plugins-needs-1", "none")
    pick(page, "#plugins-failing", "VaultIntegrationPlugin refuses")
    expect(page.locator("#plugins-batch")).to_contain_text("Plugin not found: VaultIntegrationPlugin")
    expect(page.locator("#plugins-batch")).to_contain_text("the batch stopped before it")
    shot(page, "tour-plugins-3")
    page.locator("#plugins-next-3").click()
    page.locator("#plugins-check").click()
    expect(page.locator("#plugins-findings li.yes")).not_to_have_count(0)
    expect(page.locator("#plugins-findings li.no")).to_have_count(0)
    shot(page, "tour-plugins-4")
    page.locator("#plugins-next-4").click()
    expect(page.locator("#plugins-enabled")).to_contain_text("- ChronyPlugin")
    expect(page.locator("#plugins-config")).to_contain_text("ChronyPlugin: {}")
    shot(page, "tour-plugins-5")
    page.locator("#plugins-next-5").click()
    page.get_by_label("How do I test a plugin?").click()
    expect(page.locator("#plugins-extract-6")).to_contain_text("still loading")
    page.locator("#plugins-on").click()
    expect(page.locator("#contribute-kind")).to_be_visible()


def pick(page: Page, field: str, option: str) -> None:
    page.locator(f"{field} input").fill(option)
    offered = page.get_by_role("option", name=option, exact=True)
    offered.wait_for()  # Enter before the list is filtered would take what was chosen before
    page.keyboard.press("Enter")
    expect(offered).to_have_count(0)
    expect(page.locator(f"{field} input")).to_have_value(option)


def test_the_contribution_tour_from_start_to_end(visitor: BrowserContext, address: str) -> None:
    page = arrive(visitor, address, "?tour=contribute")
    page.get_by_label("Write a plugin (Python)").click()
    page.get_by_label("An evening").click()
    expect(page.locator("#contribute-start")).to_contain_text("lzcnt")
    page.locator("#contribute-next-1").click()
    page.get_by_label(re.compile("A second run changes nothing")).check()
    page.locator("#contribute-next-2").click()
    expect(page.locator("#contribute-check")).to_contain_text("pytest")
    shot(page, "tour-contribute-3")
    page.locator("#contribute-next-3").click()
    page.locator("#contribute-title input, #contribute-title textarea").fill("read abm as lzcnt")
    text = page.locator("#contribute-text")
    expect(text).to_contain_text("feat: read abm as lzcnt")
    expect(text).to_contain_text("[x] A second run changes nothing")
    shot(page, "tour-contribute-4")
    page.locator("#contribute-next-4").click()
    expect(page.locator("#contribute-commands")).to_contain_text("git checkout -b feat/read-abm-as-lzcnt")
    page.locator("#contribute-on").click()
    expect(page.locator("#question")).to_be_visible()


def test_the_diagnostics_tour_from_start_to_end(visitor: BrowserContext, address: str) -> None:
    page = arrive(visitor, address, "?tour=diagnostics-tour")
    host = HOSTS["clock-skew"]
    pick(page, "#dtour-host", host.title)
    expect(page.locator("#dtour-complaint")).to_contain_text(host.summary[:30])
    page.locator("#diagnostics-tour-next-1").click()
    page.locator("#dtour-look").click()
    expect(page.locator("#dtour-vitals")).to_contain_text("Processor")
    page.locator("#diagnostics-tour-next-2").click()
    page.get_by_label("service_status").click()
    expect(page.locator("#dtour-result")).to_contain_text("chronyd")
    page.locator("#diagnostics-tour-next-3").click()
    page.get_by_label(host.answer, exact=True).check()
    expect(page.locator("#dtour-told")).to_contain_text("That is it.")
    page.locator("#diagnostics-tour-next-4").click()
    page.locator("#dtour-reveal").click()
    expect(page.locator("#dtour-solution")).to_contain_text("Remedy")
    page.locator("#diagnostics-tour-next-5").click()
    page.locator("#dtour-all").click()
    expect(page.locator("#dtour-verdict")).to_contain_text("clock")
    page.locator("#diagnostics-tour-ask-6").click()
    expect(page.locator("#question textarea")).to_have_value(re.compile("Run all diagnostics"))
    expect(page.locator("#host input")).to_have_value(host.title)


@pytest.mark.parametrize("tour", TOURS)
def test_every_step_of_a_tour_fits_a_phone_and_passes_axe(context: BrowserContext, address: str, tour: str) -> None:
    page = newcomer(context, address)
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{address}/?tour={tour}&step=1")
    steps = load_tours()[tour].steps
    for step in range(1, len(steps) + 1):
        expect(page.locator(f'a.permalink[href="?tour={tour}&step={step}"]')).to_be_visible()
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", step % 2 == 1)
        assert sideways(page) <= 0, step
        assert serious(page) == [], step
        shot(page, f"phone-{tour}-{step}")
        if step < len(steps):
            page.locator(f"#{tour}-next-{step}").click()
            expect(page.locator(f"#tour-{tour} h2")).to_be_focused()  # the next step is read from its top


@pytest.mark.parametrize("locale", ["de-DE", "ja-JP", "pt-BR"])
def test_the_page_speaks_the_browsers_language(browser: Browser, address: str, locale: str) -> None:
    context = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/?tour=plugins&step=2")
    said = {key: texts[locale[:2]] for key, texts in load_texts().items()}
    expect(page.locator("#plugins-next-2")).to_have_text(said["next"])
    page.get_by_role("tab", name=said["tab_diagnostics"], exact=True).click()
    expect(page.locator("#diag-all")).to_have_text(said["run_all"])
    page.get_by_role("tab", name=said["tab_chat"], exact=True).click()
    expect(page.locator("#send")).to_have_text(said["send"])
    expect(page.locator("#question textarea")).to_have_attribute("placeholder", said["question_placeholder"])
    expect(page.locator(".empty h2")).to_have_text(said["empty_title"])  # from here on it is the server that speaks
    expect(page.locator("#header .brand p")).to_have_text(said["tagline"])
    expect(page.locator("#hint")).to_contain_text(said["key_sends"])
    page.get_by_role("tab", name=said["tab_search"], exact=True).click()
    page.locator("#search-box :is(input, textarea)").fill("zz")
    expect(page.locator("#search-found")).to_have_text(said["search_empty"])
    context.close()


def test_a_search_answer_that_is_overtaken_is_not_shown(visitor: BrowserContext, address: str) -> None:
    page = arrive(visitor, address)
    page.get_by_role("tab", name="Search", exact=True).click()
    box, found = page.locator("#search-box :is(input, textarea)"), page.locator("#search-found")
    held: list[Route] = []
    page.route("**/gradio_api/run/predict*", lambda route: hold(route, held))
    with page.expect_request(lambda request: '"deploy"' in (request.post_data or "")):
        box.fill("deploy")
    box.fill("de")
    expect(found).to_contain_text("at least three letters")
    with page.expect_response(lambda reply: '"deploy"' in (reply.request.post_data or "")):
        held[0].continue_()
    page.wait_for_timeout(300)
    expect(found).to_contain_text("at least three letters")


def hold(route: Route, held: list[Route]) -> None:
    """Keep the request about "deploy" back, let others pass."""
    if '"deploy"' in (route.request.post_data or ""):
        held.append(route)
    else:
        route.continue_()


def place(page: Page, address: str) -> str:
    """What the address holds beyond the page's own."""
    return str(page.evaluate("location.href")).removeprefix(address)


def test_the_address_follows_the_tab_and_a_reload_stays_there(visitor: BrowserContext, address: str) -> None:
    page = arrive(visitor, address, "?tour=rhel10&step=2&__theme=light")
    page.locator("#rhel10-next-2").click()
    page.locator("#rhel10-next-3").wait_for()
    page.wait_for_url("**/?__theme=light&tour=rhel10&step=3")
    page.get_by_role("tab", name="Chat", exact=True).click()
    page.wait_for_url(f"{address}/?__theme=light")
    page.reload()
    expect(page.locator("#question")).to_be_visible()
    page.get_by_role("tab", name="Search", exact=True).click()
    page.wait_for_url("**/?__theme=light&tab=search")
    page.reload()
    expect(page.locator("#search-box")).to_be_visible()
    page.get_by_role("tab", name="RHEL 10 tour", exact=True).click()
    page.wait_for_url("**/?__theme=light&tour=rhel10&step=3")
    page.reload()
    page.locator("#rhel10-ask-3").click()  # not a tab: the page itself turns to the chat
    page.wait_for_url(f"{address}/?__theme=light")
    assert place(page, address) == "/?__theme=light"
    expect(page.locator("#question textarea")).not_to_have_value("")
    page.get_by_role("tab", name="RHEL 10 tour", exact=True).click()
    for step in range(3, len(load_tours()["rhel10"].steps)):
        page.locator(f"#rhel10-next-{step}").click()
    page.locator("#rhel10-on").click()  # into the next tour, and this one is back at its first step
    page.wait_for_url("**/?__theme=light&tour=plugins&step=1")
    for nonsense in ("?tab=nowhere", "?tab=", "?tab=chat&tab=search<"):
        page = arrive(visitor, address, nonsense)
        expect(page.locator("#question")).to_be_visible()


@pytest.mark.parametrize("locale", ["en-US", "de-DE", "ja-JP"])  # the longest words, and another script
def test_a_phones_first_screen_holds_the_question_box(browser: Browser, address: str, locale: str) -> None:
    context = browser.new_context(locale=locale, viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(address)
    page.locator("#welcome").wait_for()
    for width, height in ((390, 844), (360, 640), (320, 568), (844, 390)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)
        page.evaluate("scrollTo(0, 0)")
        for part in ("#question textarea", "#send"):
            box = page.locator(part).bounding_box()
            assert box and box["y"] + box["height"] <= height, (part, width, box)
        for choice in ("look", "run", "contribute"):
            box = page.locator(f"#welcome-{choice}").bounding_box()
            assert box and box["y"] + box["height"] <= height, (choice, width, box)
        assert sideways(page) <= 0
        shot(page, f"phone-welcome-{locale}-{width}")
    assert serious(page) == []
    page.locator("#question textarea").fill("?", timeout=2_000)
    page.locator("#welcome-look").click()
    expect(page.locator("#welcome")).to_be_hidden()
    context.close()
