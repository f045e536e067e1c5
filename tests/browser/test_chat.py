"""The chat in a real browser: what a visitor does, and what the page and the guide then say."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.serving import process
from tests.fakes import ANSWER, ScriptedGuide
from tests.loopback import free_port
from tests.waiting import eventually

QUESTION = "How do I deploy on RHEL 10?"


def ask(page: Page, text: str) -> None:
    """Type a question and press Enter."""
    page.fill("#question textarea", text)
    page.press("#question textarea", "Enter")


def finished(page: Page, number: int = 1) -> None:
    """Wait for the figures under the answer of turn `number`."""
    expect(page.locator(".turn")).to_have_count(number)
    page.locator(".turn.last .figures:not(:empty)").wait_for()
    expect(page.locator("#send")).to_be_visible()


def test_route_and_sources_come_before_the_first_token(page: Page, guide: ScriptedGuide) -> None:
    guide.hold["prefill"].clear()
    ask(page, QUESTION)
    expect(page.locator(".progress")).to_have_text("reading 120 of 240 tokens, ~2 s left")
    expect(page.locator(".route")).to_contain_text("RHEL 10")
    first = page.locator(".source").first
    expect(first.locator(".quote")).to_contain_text("x86-64-v3")
    expect(first.locator("a")).to_have_attribute("href", guide_url("docs/rhel10.md#L12-L30"))
    expect(page.locator(".extract code")).to_contain_text("preflight-check.sh --fix")
    expect(page.locator(".answer .text")).to_have_count(0)
    expect(page.locator("#stop")).to_be_visible()


def guide_url(path: str) -> str:
    """The address the fake corpus gives a page."""
    return f"https://github.com/tosin2013/qubinode_navigator/blob/03ce8239/{path}"


def test_an_answer_streams_to_its_end_with_figures_and_follow_ups(page: Page, guide: ScriptedGuide) -> None:
    guide.hold["decode"].clear()
    ask(page, QUESTION)
    expect(page.locator(".answer .text.streaming")).to_contain_text("Deployin")
    guide.release()
    finished(page)
    expect(page.locator(".answer")).to_contain_text("ends with a summary of what was set up.")
    figures = ["3.2 s to first token", "7.0 tokens/s", "SmolLM2-135M-Instruct Q4_1, 98 MB"]
    expect(page.locator(".figures span")).to_have_text(figures)
    expect(page.locator(".answer a.cite").first).to_have_attribute("href", guide_url("docs/rhel10.md#L12-L30"))
    expect(page.locator(".follow-up")).to_have_count(3)


def test_what_was_left_out_opens_on_demand_and_stays_open_while_more_text_comes(
    page: Page, guide: ScriptedGuide
) -> None:
    guide.pace_s = 0.03
    ask(page, "Show me a judged answer about RHEL 10")
    fold = page.locator(".left-out").first
    expect(fold.locator("summary")).to_have_text("A sentence was left out: it goes against the source2")
    expect(fold).not_to_contain_text("Yes, RHEL 8 is supported.", use_inner_text=True)
    fold.locator("summary").click(position={"x": 5, "y": 5})
    finished(page)
    expect(fold).to_contain_text("Yes, RHEL 8 is supported.", use_inner_text=True)
    expect(page.locator("span.unfound").first).to_have_text("not found in the sources")
    expect(page.locator("p.unfound code")).to_have_text("dnf install qubinode-all")
    expect(page.locator(".answer td .unfound")).to_have_count(1)
    page.click("[data-act=copy]")
    copied = str(page.evaluate("navigator.clipboard.readText()"))
    assert "RHEL 8 is supported" not in copied
    assert "(A sentence was left out: it goes against the source [2])" in copied


def test_a_follow_up_chip_asks_its_question_in_the_same_conversation(page: Page, guide: ScriptedGuide) -> None:
    ask(page, QUESTION)
    finished(page)
    page.click(".follow-up >> nth=1")
    finished(page, 2)
    assert guide.asked[-1][0] == "Which Python comes with it?"
    assert guide.histories[-1] == (QUESTION,)
    expect(page.locator(".turn:not(.last) .next")).to_be_hidden()


def test_a_starter_asks_and_the_empty_state_gives_way(page: Page, guide: ScriptedGuide) -> None:
    page.click("text=Is RHEL 8 supported?")
    finished(page)
    assert guide.asked[0][0] == "Is RHEL 8 supported?"
    expect(page.locator(".empty")).to_be_hidden()


@pytest.mark.parametrize("phase", ["queue", "prefill", "decode"])
def test_stop_closes_the_guides_iterator_and_no_text_follows(page: Page, guide: ScriptedGuide, phase: str) -> None:
    guide.hold[phase].clear()
    question = "queue up, RHEL" if phase == "queue" else QUESTION
    ask(page, question)
    page.locator(".answer .text" if phase == "decode" else ".progress").wait_for()
    page.click("#stop")
    expect(page.locator(".notice")).to_have_text("Stopped.")
    expect(page.locator("#send")).to_be_visible()
    eventually(lambda: guide.closed == [question])
    before = page.locator(".answer").inner_text()
    guide.release()
    page.wait_for_timeout(300)
    assert page.locator(".answer").inner_text() == before
    assert (before.strip() == "") == (phase != "decode")


def test_escape_stops_and_the_next_question_does_not_see_the_stopped_one(page: Page, guide: ScriptedGuide) -> None:
    guide.hold["decode"].clear()
    ask(page, QUESTION)
    page.locator(".answer .text").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator(".notice")).to_have_text("Stopped.")
    guide.release()
    ask(page, "Is RHEL 8 supported?")
    finished(page, 2)
    assert guide.histories[-1] == ()


def test_closing_the_tab_closes_the_guides_iterator(page: Page, guide: ScriptedGuide) -> None:
    guide.hold["prefill"].clear()
    ask(page, QUESTION)
    page.locator(".progress").wait_for()
    page.goto("about:blank")
    eventually(lambda: guide.closed == [QUESTION])


def test_another_route_answers_the_same_question_again(page: Page, guide: ScriptedGuide) -> None:
    ask(page, QUESTION)
    finished(page)
    page.click(".route summary")
    page.click("[role=menuitem] >> text=Plugins")
    eventually(lambda: len(guide.asked) == 2)
    finished(page)
    assert guide.asked[-1][:2] == (QUESTION, "plugins")
    assert guide.histories[-1] == ()
    expect(page.locator(".route")).to_contain_text("Plugins")


def test_retry_replaces_the_answer_and_keeps_the_chosen_route(page: Page, guide: ScriptedGuide) -> None:
    ask(page, QUESTION)
    finished(page)
    page.click(".route summary")
    page.click("[role=menuitem] >> text=Deploying")
    # The menu names every topic: only these words say that the new turn stands there.
    expect(page.locator(".route")).to_contain_text(re.compile(r"Answered as\s+Deploying"))
    finished(page)
    page.click("text=Retry")
    eventually(lambda: len(guide.asked) == 3)
    finished(page)
    assert guide.asked[-1][:2] == (QUESTION, "deploy")
    assert guide.histories[-1] == ()


def test_editing_asks_the_changed_question_in_place(page: Page, guide: ScriptedGuide) -> None:
    ask(page, "Which variables must I set? <b>&amp;")
    finished(page)
    page.click(".question >> text=Edit")
    field = page.locator(".question textarea")
    expect(field).to_have_value("Which variables must I set? <b>&amp;")
    field.press("Escape")
    expect(page.locator(".asked")).to_have_text("Which variables must I set? <b>&amp;")
    page.click(".question >> text=Edit")
    field.fill("How do I write a plugin?")
    field.press("Enter")
    eventually(lambda: len(guide.asked) == 2)
    finished(page)
    assert guide.asked[-1][0] == "How do I write a plugin?"
    assert guide.histories[-1] == ()


def test_copy_gives_the_answer_as_markdown(page: Page, guide: ScriptedGuide) -> None:
    ask(page, QUESTION)
    finished(page)
    page.click(".meta >> text=Copy")
    expect(page.locator(".meta")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == ANSWER


def test_a_command_can_be_copied_alone(page: Page, guide: ScriptedGuide) -> None:
    ask(page, QUESTION)
    finished(page)
    page.hover(".extract .code")
    page.click(".extract .copy-code")
    expect(page.locator(".extract .copy-code")).to_have_text("Copied")
    commands = "./scripts/preflight-check.sh --fix\nsudo -E ./scripts/development/deploy-qubinode.sh"
    assert page.evaluate("navigator.clipboard.readText()") == commands


@pytest.mark.parametrize("text", ["", "   \n  "])
def test_an_empty_question_is_refused(page: Page, guide: ScriptedGuide, text: str) -> None:
    page.fill("#question textarea", text)
    page.click("#send")
    expect(page.locator("#hint")).to_have_text("Type a question first.")
    assert guide.asked == []
    expect(page.locator(".turn")).to_have_count(0)


def test_a_question_that_is_too_long_comes_back_with_the_limit(page: Page, guide: ScriptedGuide) -> None:
    long = "word " * 900
    ask(page, long)
    expect(page.locator("#hint")).to_contain_text("1000 are allowed")
    expect(page.locator("#question textarea")).to_have_value(long.strip())
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.locator("#send")).to_be_visible()


def test_shift_enter_makes_a_line_and_enter_sends(page: Page, guide: ScriptedGuide) -> None:
    page.focus("#question textarea")
    page.keyboard.type("first")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second short")
    page.keyboard.press("Enter")
    finished(page)
    assert guide.asked[0][0] == "first\nsecond short"


def test_a_tool_call_is_a_step_with_arguments_result_and_a_badge(page: Page, guide: ScriptedGuide) -> None:
    page.click("#host input")
    page.click("[role=option] >> text=libvirtd is down")
    ask(page, "Is libvirtd running?")
    finished(page)
    step = page.locator(".step")
    expect(step).to_contain_text('service_status(services=["libvirtd"])')
    expect(step).to_contain_text("libvirtd-down")
    expect(step.locator(".badge")).to_have_text("Simulated")
    step.locator("summary").click()
    expect(step.locator("pre")).to_contain_text("cannot bind to socket")


def test_hostile_output_loads_and_runs_nothing(page: Page, guide: ScriptedGuide) -> None:
    """The page fixture fails on any foreign request or script error."""
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    ask(page, "evil")
    finished(page)
    answer = page.locator(".answer")
    expect(answer).to_contain_text("<script>alert(2)</script>")
    expect(answer.locator("img, script, form, iframe")).to_have_count(0)
    assert answer.locator("a").evaluate_all("links => links.map(link => link.className)") == ["cite", "cite"]


def test_a_reload_brings_the_conversation_back_and_it_goes_on(page: Page, guide: ScriptedGuide) -> None:
    ask(page, QUESTION)
    finished(page)
    page.reload()
    expect(page.locator(".asked")).to_have_text(QUESTION)
    expect(page.locator(".answer")).to_contain_text("Deploying on RHEL 10 takes three steps.")
    ask(page, "Is RHEL 8 supported?")
    finished(page, 2)
    assert guide.histories[-1] == (QUESTION,)


def test_conversations_can_be_left_opened_renamed_and_forgotten(page: Page, guide: ScriptedGuide) -> None:
    ask(page, QUESTION)
    finished(page)
    page.click("text=New chat")
    expect(page.locator(".turn")).to_have_count(0)
    page.click("text=Earlier")
    page.click(".saved .row >> text=Rename")
    page.fill(".saved .row input", "My first deploy")
    page.press(".saved .row input", "Enter")
    page.click("[data-act=open] >> text=My first deploy")
    expect(page.locator(".asked")).to_have_text(QUESTION)
    page.click("text=Earlier")
    page.click(".saved .row >> text=Forget")
    expect(page.locator(".turn")).to_have_count(0)
    page.reload()
    page.locator(".starter").first.wait_for()
    expect(page.locator(".saved .row")).to_have_count(0)


def test_export_is_a_markdown_file(page: Page, guide: ScriptedGuide) -> None:
    ask(page, "short RHEL question")
    finished(page)
    with page.expect_download() as download:
        page.click("text=Export")
    text = download.value.path().read_text(encoding="utf-8")
    assert "## short RHEL question\n\nA short answer [1].\n\n1. Deploying on RHEL 10 https://github.com/" in text


def test_a_conversation_survives_a_restart_of_the_server(context: BrowserContext) -> None:
    """Another process answers on the same port, with nothing of the first one's memory."""
    page, port = context.new_page(), free_port()
    with process(port) as url:
        page.goto(url)
        ask(page, "short RHEL question")
        finished(page)
        page.wait_for_function("Object.keys(localStorage).some(key => key.startsWith('qubinode-conversation:'))")
    with process(port):
        page.reload()
        expect(page.locator(".asked")).to_have_text("short RHEL question")
        expect(page.locator(".answer")).to_contain_text("A short answer")
        ask(page, "What did I ask before?")
        finished(page, 2)
        expect(page.locator(".turn.last .answer")).to_contain_text("You asked before: short RHEL question")
    page.close()
