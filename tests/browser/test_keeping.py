"""What was asked and answered is never lost in silence: two tabs, reloads, new chats, refusals, cut connections."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import gradio as gr
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from onboarding.ui.page.page import Tab
from tests.browser.conftest import ADMISSION, newcomer
from tests.browser.serving import make_app, serving
from tests.browser.test_chat import QUESTION, ask, finished
from tests.fakes import ANSWER, ScriptedGuide
from tests.waiting import eventually

BOX = "#question textarea"


@pytest.fixture
def second(page: Page, context: BrowserContext) -> Iterator[Page]:
    """Another tab of the same browser on the same page."""
    other = context.new_page()
    other.goto(page.url)
    other.locator(".starter").first.wait_for()
    yield other
    other.close()


def asked(page: Page) -> list[str]:
    return page.locator(".asked").all_inner_texts()


def earlier(page: Page) -> list[str]:
    """The titles of the conversations that the page offers."""
    return page.locator(".saved .row [data-act=open]").all_text_contents()


def test_two_tabs_keep_both_conversations(page: Page, second: Page, guide: ScriptedGuide) -> None:
    ask(page, "short RHEL, first")
    finished(page)
    ask(second, "short RHEL, second")
    finished(second)
    ask(page, "short RHEL, third")
    finished(page, 2)
    second.reload()
    expect(second.locator(".asked")).to_have_text(["short RHEL, second"])
    page.reload()
    expect(page.locator(".asked")).to_have_text(["short RHEL, first", "short RHEL, third"])
    for tab in (page, second):
        assert set(earlier(tab)) == {"short RHEL, first", "short RHEL, second"}


def test_two_tabs_in_one_conversation_become_one(page: Page, second: Page, guide: ScriptedGuide) -> None:
    ask(page, "short RHEL, first")
    finished(page)
    second.reload()  # a tab opens what was open last
    finished_elsewhere = ["short RHEL, first", "short RHEL, second"]
    second.locator(".turn").wait_for()
    ask(second, "short RHEL, second")
    finished(second, 2)
    expect(page.locator(".asked")).to_have_text(finished_elsewhere)
    ask(page, "short RHEL, third")
    finished(page, 3)
    assert guide.histories[-1] == ("short RHEL, first", "short RHEL, second")
    guide.hold["decode"].clear()
    for tab in (page, second):
        expect(tab.locator(".turn")).to_have_count(3)
    ask(page, "RHEL here, at once")
    ask(second, "RHEL there, at once")
    for tab in (page, second):
        tab.locator(".turn.last .text.streaming").wait_for()
    guide.release()
    for tab in (page, second):
        expect(tab.locator(".turn")).to_have_count(5)
        expect(tab.locator(".notice")).to_have_count(0)
        assert set(asked(tab)[3:]) == {"RHEL here, at once", "RHEL there, at once"}
    page.reload()
    expect(page.locator(".turn")).to_have_count(5)
    expect(page.locator(".notice")).to_have_count(0)


def test_an_answer_that_goes_on_in_one_tab_is_found_in_another(page: Page, second: Page, guide: ScriptedGuide) -> None:
    guide.hold["decode"].clear()
    ask(page, QUESTION)
    page.locator(".text.streaming").wait_for()
    second.reload()
    expect(second.locator(".notice")).to_have_text("Stopped.")
    guide.release()
    finished(page)
    expect(second.locator(".answer")).to_contain_text("ends with a summary of what was set up.")
    expect(second.locator(".notice")).to_have_count(0)


def test_what_one_tab_forgets_is_gone_in_the_other(page: Page, second: Page, guide: ScriptedGuide) -> None:
    ask(page, "short RHEL question")
    finished(page)
    second.reload()
    second.locator(".turn").wait_for()
    second.click("text=Earlier")
    second.click(".saved .row >> text=Forget")
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.locator(".saved .row")).to_have_count(0)
    assert "short RHEL" not in str(page.evaluate("JSON.stringify({...localStorage})"))


@pytest.mark.parametrize(
    ("way", "phase"), [("reload", "queue"), ("reload", "prefill"), ("reload", "decode"), ("new chat", "decode")]
)
def test_an_answer_under_way_is_kept_as_stopped(page: Page, guide: ScriptedGuide, phase: str, way: str) -> None:
    question = "queue up, RHEL" if phase == "queue" else QUESTION
    guide.hold[phase].clear()
    ask(page, question)
    page.locator(".answer .text.streaming" if phase == "decode" else ".progress").wait_for()
    if way == "reload":
        page.reload()
    else:
        page.click("[data-act=new]")
        expect(page.locator(".turn")).to_have_count(0)
        page.click("text=Earlier")
        page.click("[data-act=open]")
    expect(page.locator(".asked")).to_have_text(question)
    expect(page.locator(".notice")).to_have_text("Stopped.")
    expect(page.locator(".answer")).to_have_text(re.compile("^Deployin" if phase == "decode" else "^$"))
    eventually(lambda: guide.closed == [question])
    guide.release()
    page.click("text=Retry")
    finished(page)
    page.reload()
    expect(page.locator(".asked")).to_have_text([question])
    expect(page.locator(".answer")).to_contain_text("ends with a summary of what was set up.")


def test_a_new_chat_that_the_server_hears_of_late_stays_new(page: Page, guide: ScriptedGuide) -> None:
    guide.hold["decode"].clear()
    ask(page, QUESTION)
    page.locator(".text.streaming").wait_for()
    page.route("**/gradio_api/run/predict*", _late)
    page.click("[data-act=new]")
    expect(page.locator(".turn")).to_have_count(0)
    page.unroute_all()
    guide.release()
    ask(page, "short RHEL question")
    finished(page)
    assert guide.histories[-1] == ()
    expect(page.locator(".asked")).to_have_text(["short RHEL question"])
    page.click("text=Earlier")
    page.click(f".saved .row >> text={QUESTION}")
    expect(page.locator(".notice")).to_have_text("Stopped.")


def test_a_new_chat_stands_where_a_look_at_the_old_one_crosses_it(page: Page, guide: ScriptedGuide) -> None:
    ask(page, "short RHEL question")
    finished(page)
    late: list[Route] = []
    page.route("**/run/predict*", lambda route: late.append(route), times=1)
    with page.expect_request("**/run/predict*"):
        page.evaluate("dispatchEvent(new Event('unheard'))")  # looks at what is kept
    page.click("[data-act=new]")
    expect(page.locator(".turn")).to_have_count(0)
    late[0].continue_()
    page.locator(".turn").wait_for()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "short RHEL, anew")
    finished(page)
    assert guide.histories[-1] == ()


def _late(route: Route) -> None:
    """Let an answer draw on for some steps before a request goes out."""
    time.sleep(0.6)
    route.continue_()


def test_what_is_typed_right_behind_enter_stays(page: Page, guide: ScriptedGuide) -> None:
    page.focus(BOX)
    page.keyboard.type("short RHEL question\nand how about")
    finished(page)
    assert [question for question, _, _ in guide.asked] == ["short RHEL question"]
    expect(page.locator(BOX)).to_have_value("and how about")
    page.click(".follow-up >> nth=0")
    finished(page, 2)
    expect(page.locator(BOX)).to_have_value("and how about")
    page.reload()
    page.locator(".turn").first.wait_for()
    expect(page.locator(BOX)).to_have_value("and how about")


def test_enter_while_an_answer_is_written_keeps_the_words_and_says_why(page: Page, guide: ScriptedGuide) -> None:
    guide.hold["decode"].clear()
    ask(page, QUESTION)
    page.locator(".text.streaming").wait_for()
    ask(page, "too early")
    expect(page.locator("#hint")).to_have_text("The answer above is still being written; stop it first.")
    expect(page.locator(BOX)).to_have_value("too early")
    guide.release()
    finished(page)
    expect(page.locator("#hint")).to_contain_text("sends")
    assert len(guide.asked) == 1


def test_a_double_click_on_send_asks_once_and_leaves_no_line(page: Page, guide: ScriptedGuide) -> None:
    guide.hold["decode"].clear()
    for gap_ms in (0, 150, 300):  # the second click lands on Send, or on Stop in its place
        page.fill(BOX, f"RHEL after {gap_ms} ms")
        box = page.locator("#send").bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.click(box["x"] + 20, box["y"] + 10)
        page.wait_for_timeout(gap_ms)
        page.mouse.click(box["x"] + 20, box["y"] + 10)
        page.locator(".turn.last .text.streaming").wait_for()
        guide.release()
        expect(page.locator(".turn.last")).to_contain_text("ends with a summary of what was set up.")
        expect(page.locator("#hint")).to_contain_text("sends")
        guide.hold["decode"].clear()
    assert [question for question, _, _ in guide.asked] == [f"RHEL after {gap} ms" for gap in (0, 150, 300)]
    expect(page.locator(".notice")).to_have_count(0)


def test_a_refused_edit_leaves_the_answer_and_gives_the_words_back(page: Page, guide: ScriptedGuide) -> None:
    ask(page, "short RHEL question")
    finished(page)
    page.fill(BOX, "typed before")
    page.click(".question >> text=Edit")
    page.locator(".question textarea").fill("word " * 900)
    page.locator(".question textarea").press("Enter")
    expect(page.locator("#hint")).to_contain_text("1000 are allowed")
    expect(page.locator(BOX)).to_have_value(f"{('word ' * 900).strip()}\ntyped before")
    expect(page.locator(".asked")).to_have_text(["short RHEL question"])
    expect(page.locator(".answer")).to_contain_text("A short answer")
    page.reload()
    expect(page.locator(".asked")).to_have_text(["short RHEL question"])


def test_a_question_for_which_there_is_no_seat_returns_to_the_box(page: Page, guide: ScriptedGuide) -> None:
    """Such a question never reaches its handler; the page's own admission refuses it there here."""
    page.route("**/queue/join*", lambda route: route.fulfill(status=429, json={"detail": "Every seat is taken."}))
    ask(page, "short RHEL question")
    expect(page.locator(BOX)).to_have_value("short RHEL question")
    page.unroute_all()
    page.press(BOX, "Enter")
    finished(page)
    assert len(guide.asked) == 1
    assert ADMISSION.waiting.ahead == 0


def test_a_full_storage_is_said_and_the_page_goes_on(page: Page, guide: ScriptedGuide) -> None:
    page.evaluate(  # by assignment, which the page does not watch
        "for (let size = 1 << 22; size; size >>= 1)"
        " try { for (let n = 0; n < 3; n++) localStorage[`fill-${size}-${n}`] = 'x'.repeat(size) } catch {}"
    )
    try:
        ask(page, QUESTION)
        finished(page)
        expect(page.locator("#hint")).to_contain_text("This browser keeps nothing of this visit")
        ask(page, "short RHEL, again")
        finished(page, 2)
        assert guide.histories[-1] == (QUESTION,)
    finally:
        page.evaluate(
            "Object.keys(localStorage).filter(k => k.startsWith('fill-')).forEach(k => localStorage.removeItem(k))"
        )
    ask(page, "short RHEL, a third time")
    finished(page, 3)
    expect(page.locator("#hint")).not_to_contain_text("This browser keeps nothing")
    page.reload()
    expect(page.locator(".turn")).to_have_count(3)


class Line:
    """A connection to a server that can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.up = True
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        for one in self._open:
            _end(one)
        self._open.clear()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            if not self.up:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65_536):
            other.sendall(data)
    except OSError:
        pass
    _end(one)
    _end(other)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def line(served: tuple[ScriptedGuide, str], context: BrowserContext) -> Iterator[tuple[Line, Page]]:
    """A connection, and a page behind it."""
    line = Line(int(served[1].rsplit(":", 1)[1]))
    page = context.new_page()
    page.goto(line.url)
    page.locator(".starter").first.wait_for()
    yield line, page
    page.close()
    line.cut()


def test_a_cut_connection_leaves_what_there_is_and_the_next_question_is_answered(
    line: tuple[Line, Page], guide: ScriptedGuide
) -> None:
    connection, page = line
    guide.hold["decode"].clear()
    ask(page, QUESTION)
    page.locator(".text.streaming").wait_for()
    connection.cut()
    expect(page.locator(".notice")).to_have_text("Stopped.")
    expect(page.locator("#send")).to_be_visible()
    guide.release()
    ask(page, "short RHEL question")
    finished(page, 2)


def test_what_is_asked_while_the_server_is_away_is_found_when_it_is_back(
    line: tuple[Line, Page], guide: ScriptedGuide
) -> None:
    connection, page = line
    ask(page, "short RHEL question")
    finished(page)
    connection.up = False
    connection.cut()
    ask(page, "asked into the void")
    page.wait_for_timeout(500)
    connection.up = True
    expect(page.locator(BOX)).to_have_value("asked into the void")  # Gradio loads the page again once it is reached
    expect(page.locator(".asked")).to_have_text(["short RHEL question"])


@contextmanager
def searchable(port: int, guide: ScriptedGuide) -> Iterator[str]:
    tab = Tab("search", lambda _hooks: gr.Markdown("Nothing.", elem_id="search-box"))
    with serving(make_app(guide, (tab,)), port) as url:
        yield url


def test_an_answer_goes_on_behind_another_tab_of_the_page(context: BrowserContext, port: int) -> None:
    guide = ScriptedGuide(pace_s=0.002)
    with searchable(port, guide) as url:
        page = newcomer(context, url)
        page.goto(url)
        page.locator(".starter").first.wait_for()
        guide.hold["decode"].clear()
        ask(page, QUESTION)
        page.locator(".text.streaming").wait_for()
        page.get_by_role("tab", name="Search").click()
        page.locator("#search-box").wait_for()
        guide.release()
        eventually(lambda: bool(page.evaluate("!document.documentElement.classList.contains('answering')")))
        page.get_by_role("tab", name="Chat").click()
        finished(page)
        page.click("[data-act=copy]")
        eventually(lambda: page.evaluate("navigator.clipboard.readText()") == ANSWER)
        page.goto(f"{url}/?tab=search")
        page.get_by_role("tab", name="Chat").click()
        expect(page.locator(".asked")).to_have_text(QUESTION)
        page.goto("about:blank")
