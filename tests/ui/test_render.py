"""Turns as HTML: what each event shows, and that no untrusted text gets through unescaped."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from model.checking.gate import Judged
from model.engine.events import Counts, FinishReason, Prefill, Queued, TextDelta, Timings
from model.prompting.conversation import Conversation
from model.turn.events import (
    Notice,
    RouteChosen,
    SourcesFound,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFinished,
)
from onboarding.assistant.turns import Turn, advance_all
from onboarding.edge.admission import Waiting
from onboarding.ui.chat.composer import announcement, keys, starters
from onboarding.ui.chat.evidence import MAX_RESULT, SHOWN_SOURCES, split_quote
from onboarding.ui.chat.render import judgement_words, turn_parts
from onboarding.ui.kit.languages import ENGLISH
from onboarding.ui.page.header import header_html
from rag.reading.links import UPSTREAM_COMMIT, UPSTREAM_DATE
from rag.types import Passage, SearchResult
from tests.fakes import RHEL10, ROUTES, STATUS, passage
from tools.types import ToolCall, ToolResult

EVIL = '"><img src=x onerror=alert(1)>'
CALL = ToolCall("service_status", {"services": ["libvirtd"]}, "libvirtd-down")


def turn(*events: TurnEvent, question: str = "How?") -> Turn:
    return advance_all(Turn("t1", question, Conversation("c1")), events)


def finished(reason: FinishReason = "stop", answer: str = "Done.") -> TurnFinished:
    timings = Timings(0.5, 3.2, 13.2)
    return TurnFinished(answer, reason, Counts(240, 60, 71), timings, "SmolLM2", True, Conversation("c1"))


def parts(shown: Turn, *, last: bool = True) -> dict[str, str]:
    return turn_parts(shown, ROUTES, last=last)


def words(html: str) -> str:
    """Return the text that a reader sees."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


class Attributes(HTMLParser):
    """Collects the elements and the attribute names that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}


def test_before_any_event_the_page_says_that_it_is_looking() -> None:
    shown = parts(turn())
    assert words(shown["answer"]) == "looking for sources"
    assert words(shown["question"]) == "How?"
    assert shown["meta"] == shown["next"] == ""


def test_the_route_can_be_changed_only_on_the_last_finished_turn() -> None:
    chosen = RouteChosen("rhel10", "RHEL 10", 0.93)
    assert "data-act" not in parts(turn(chosen))["route"]
    assert "data-act" not in parts(turn(chosen, finished()), last=False)["route"]
    menu = parts(turn(chosen, finished()))["route"]
    offered = re.findall(r'data-route="(\w+)"', menu)
    assert offered == ["introduction", "deploy", "rhel10", "diagnostics", "plugins", "contribute"]
    assert 'data-route="rhel10" aria-current="true"' in menu


@pytest.mark.parametrize(("confidence", "label"), [(0.93, "RHEL 10"), (0.3, "RHEL 10?")])
def test_an_unsure_route_says_so(confidence: float, label: str) -> None:
    assert words(parts(turn(RouteChosen("rhel10", "RHEL 10", confidence)))["route"]) == f"Answered as {label}"


def test_sources_show_number_title_place_quote_and_link() -> None:
    shown = parts(turn(SourcesFound(RHEL10)))["evidence"]
    assert words(shown).startswith("Straight from the pages Run the preflight check")
    assert "1 Before you start Deploying on RHEL 10 RHEL 10 needs a processor" in words(shown)
    assert 'title="docs/rhel10.md, lines 12-30"' in shown
    assert f'href="{RHEL10.passages[0].url}"' in shown


def test_sources_past_the_third_are_folded_and_keep_their_numbers() -> None:
    shown = parts(turn(SourcesFound(RHEL10)))["evidence"]
    above, folded = shown.split("<details")
    assert above.count('class="source"') == SHOWN_SOURCES
    assert "1 more" in folded
    assert 'data-n="4"' in folded


def test_a_quote_says_which_state_of_upstream_its_page_was_held_against() -> None:
    lead, *rest = RHEL10.passages
    ours = parts(turn(SourcesFound(replace(RHEL10, passages=[replace(lead, sources=("a.md",)), *rest]))))
    said = words(ours["evidence"])
    assert said.startswith(
        f"Straight from the pages · held against upstream's {UPSTREAM_COMMIT[:8]} of {UPSTREAM_DATE}"
    )


def test_an_extract_that_begins_the_answer_is_shown_as_a_quote_and_only_once() -> None:
    found = SourcesFound(replace(RHEL10, extract="Run the check."))
    apart = parts(turn(found, TextDelta("Something else")))
    assert words(apart["evidence"]).startswith("Straight from the pages Run the check. 1 Before you start")
    assert words(apart["answer"]) == "Something else"
    quoted = parts(turn(found, TextDelta("Run the check. [1]\n\nThe model adds this.")))
    assert words(quoted["evidence"]).startswith("Straight from the pages Run the check. 1 1 Before you start")
    assert words(quoted["answer"]) == "The model adds this."


def test_a_near_answer_names_what_is_missing_above_the_quote_and_only_once() -> None:
    said = "Nothing on \u201cHarbor<b>\u201d:"
    found = SourcesFound(replace(RHEL10, extract="Run the check.", missing=("Harbor<b>",)), said)
    shown = parts(turn(found, TextDelta(f"{said}\n\n"), TextDelta("Run the check. [1]\n\nThe model adds this.")))
    assert words(shown["evidence"]).startswith(f"{said} Straight from the pages Run the check.")
    assert "<b>" not in shown["evidence"]
    assert 'class="extract near"' in shown["evidence"]
    assert words(shown["answer"]) == "The model adds this."
    waiting = parts(turn(found, TextDelta(f"{said}\n\n")))
    assert said not in words(waiting["answer"])
    assert 'class="extract near"' not in parts(turn(SourcesFound(RHEL10)))["evidence"]


def test_nothing_found_leaves_the_evidence_empty_and_lets_nearest_pages_be_linked() -> None:
    near = passage("Ports", (), "docs/ports.md", (1, 2), "8888")
    shown = parts(turn(SourcesFound(SearchResult([], 0.1, "", [near])), TextDelta(f"Nearest: [Ports]({near.url})")))
    assert shown["evidence"] == ""
    assert f'href="{near.url}"' in shown["answer"]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Queued(0, 3.0), "nobody ahead of you, ~3 s left"),
        (Queued(2, 14.4), "2 questions ahead of you, ~14 s left"),
        (Prefill(180, 240, 3.4), "reading 180 of 240 tokens, ~3 s left"),
        (Prefill(10, 9000, 400.0), "reading 10 of 9000 tokens, ~7 min left"),
        (Prefill(240, 240, 0.0), "writing"),
    ],
)
def test_the_wait_before_the_first_token_is_spelled_out(event: TurnEvent, text: str) -> None:
    assert words(parts(turn(event))["answer"]) == text


def test_progress_gives_way_to_text_and_comes_back_below_it() -> None:
    shown = turn(Prefill(1, 9, 1.0), TextDelta("From the page. "))
    assert "progress" not in parts(shown)["answer"]
    html = parts(advance_all(shown, [Prefill(2, 9, 1.0)]))["answer"]
    assert words(html) == "From the page. reading 2 of 9 tokens, ~1 s left"


def test_a_tool_call_shows_arguments_host_result_and_badge() -> None:
    running = parts(turn(ToolStarted(CALL)))["steps"]
    assert words(running) == 'Simulated service_status(services=["libvirtd"]) on libvirtd-down running'
    result = ToolResult("service_status", True, {"services": [{"name": "libvirtd", "active": "failed"}]}, None, 0.04)
    done = parts(turn(ToolStarted(CALL), ToolFinished(CALL, result)))["steps"]
    assert done.count("<details") == 1
    assert "40 ms" in words(done)
    assert '"active": "failed"' in words(done)


def test_a_failed_tool_call_shows_its_error() -> None:
    result = ToolResult("service_status", False, {}, "no such host", 0.01)
    shown = parts(turn(ToolStarted(CALL), ToolFinished(CALL, result)))["steps"]
    assert 'class="step failed"' in shown
    assert "no such host" in words(shown)


def test_a_long_result_is_cut_and_says_by_how_much() -> None:
    result = ToolResult("service_status", True, {"log": "x" * (MAX_RESULT + 500)})
    shown = words(parts(turn(ToolStarted(CALL), ToolFinished(CALL, result)))["steps"])
    assert re.search(r"… 5\d\d more characters", shown)


def test_two_equal_calls_get_their_own_results() -> None:
    one, two = (ToolResult("service_status", True, {"n": n}) for n in (1, 2))
    shown = turn(ToolStarted(CALL), ToolFinished(CALL, one), ToolStarted(CALL), ToolFinished(CALL, two))
    assert [step.result for step in shown.steps] == [one, two]


def test_a_finished_turn_shows_figures_actions_and_follow_ups() -> None:
    shown = parts(turn(RouteChosen("rhel10", "RHEL 10", 1.0), TextDelta("Done."), finished()))
    assert words(shown["meta"]) == "Copy Retry 3.2 s to first token 7.0 tokens/s SmolLM2"
    assert shown["next"].count('data-act="ask"') == 3
    earlier = parts(turn(RouteChosen("rhel10", "RHEL 10", 1.0), TextDelta("Done."), finished()), last=False)
    assert words(earlier["meta"]).startswith("Copy 3.2 s")
    assert earlier["next"] == ""
    assert "data-act" not in earlier["question"]


def test_a_turn_about_the_page_offers_its_own_questions_and_tabs() -> None:
    asks, tabs = ("What is it?",), ("search", "diagnostics-tour")
    shown = parts(turn(RouteChosen("rhel10", "RHEL 10", 1.0, asks=asks, tabs=tabs), finished()))["next"]
    assert re.findall(r'data-text="([^"]+)"', shown) == ["What is it?"]
    assert re.findall(r'data-tab="([^"]+)"', shown) == ["search", "diagnostics-tour"]
    assert words(shown).endswith("Search Diagnostics tour")
    alone = parts(turn(RouteChosen("rhel10", "RHEL 10", 1.0, tabs=tabs), finished()))["next"]
    assert alone.count("data-act") == 2


def test_a_follow_up_is_not_the_question_that_was_just_asked() -> None:
    chosen = RouteChosen("rhel10", "RHEL 10", 1.0)
    shown = parts(turn(chosen, finished(), question="which python comes with it?"))["next"]
    assert shown.count('data-act="ask"') == 2


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("stop", ""),
        ("length", "The answer reached its length limit."),
        ("deadline", "Time ran out before the answer was finished."),
        ("cancelled", "Stopped."),
        ("error", "The answer broke off; ask again."),
    ],
)
def test_how_a_turn_ended_is_said(reason: FinishReason, text: str) -> None:
    assert words(parts(turn(finished(reason)))["notices"]) == text


def test_an_error_that_was_said_is_not_said_again() -> None:
    shown = turn(Notice("Your message is 1200 tokens long and 1000 are allowed.", "error"), finished("error"))
    assert words(parts(shown)["notices"]) == "Your message is 1200 tokens long and 1000 are allowed."


def test_many_remarks_are_folded_and_errors_come_first() -> None:
    remarks = [Notice(f"Not found: {n}", "warning") for n in range(3)]
    shown = parts(turn(*remarks, Notice("It broke.", "error"), finished("error")))["notices"]
    above, folded = shown.split("<details")
    assert words(above) == "It broke. Not found: 0"
    assert words("<details" + folded) == "2 more remarks Not found: 1 Not found: 2"
    assert "<details" not in parts(turn(*remarks, finished()))["notices"]


def test_stopping_keeps_the_text_and_ends_the_wait() -> None:
    shown = turn(TextDelta("Half an ans"), Prefill(1, 2, 1.0)).stop()
    assert words(parts(shown)["answer"]) == "Half an ans"
    assert words(parts(shown)["notices"]) == "Stopped."
    assert turn(finished()).stop() == turn(finished())


def test_the_checked_answer_replaces_the_streamed_text() -> None:
    assert turn(TextDelta("raw [9]"), finished(answer="checked")).text == "checked"


def test_foreign_text_is_escaped_in_every_part() -> None:
    evil = Passage(EVIL, EVIL, EVIL, (EVIL,), EVIL, (1, 2), "https://example.org/" + EVIL, 1.0, EVIL)
    result = ToolResult(EVIL, False, {EVIL: EVIL}, EVIL)
    call = ToolCall(EVIL, {EVIL: EVIL}, EVIL)
    shown = turn(
        RouteChosen("rhel10", EVIL, 1.0),
        SourcesFound(SearchResult([evil] * 5, 1.0, EVIL)),
        ToolStarted(call),
        ToolFinished(call, result),
        TextDelta(EVIL + " [1]"),
        Notice(EVIL, "warning"),
        replace(finished(answer=""), model=EVIL),
        question=EVIL,
    )
    for last in (True, False):
        for name, html in parts(shown, last=last).items():
            seen = Attributes(html)
            assert "img" not in seen.tags, name
            assert not {"onerror", "src"} & seen.names, name


def test_a_source_with_an_unsafe_address_has_no_link() -> None:
    evil = replace(RHEL10.passages[0], url="javascript:alert(1)")
    shown = parts(turn(SourcesFound(SearchResult([evil], 1.0, "")), TextDelta("See [1].")))
    assert "<a" not in shown["evidence"] + shown["answer"]


def test_the_empty_state_offers_starters_of_every_route_that_has_some() -> None:
    html = starters(ROUTES)
    assert html.count("<section>") == 6
    assert 'data-text="Is RHEL 8 supported?"' in html
    assert "Small talk" not in html


def test_a_screen_reader_hears_phases_and_the_answer_once() -> None:
    assert announcement(turn(TextDelta("a"))) == announcement(turn(TextDelta("a b"))) == "The model is writing."
    assert announcement(turn(finished())) == "Answer: Done."


def test_where_every_seat_is_taken_the_page_offers_what_never_queues() -> None:
    full = Notice("Every seat is taken; try again in about 30 s.", "full")
    shown = parts(turn(RouteChosen("rhel10", "RHEL 10", 0.9), SourcesFound(RHEL10), full, finished("error", "")))
    assert words(shown["notices"]) == "Every seat is taken; try again in about 30 s."
    assert re.findall(r'data-tab="(\w+)"', shown["next"]) == ["rhel10", "search"]
    assert "follow-up" in shown["next"]
    assert 'data-act="ask"' not in shown["next"]


def test_the_composer_names_its_keys() -> None:
    assert words(keys()) == "Enter sends · Shift + Enter new line · Esc stops"


NOBODY = Waiting(0, 0.0)


def test_the_header_names_model_warning_work_and_queue() -> None:
    calm = words(header_html(STATUS, NOBODY))
    assert "SmolLM2-135M-Instruct Q4_1, 98 MB stand-in no queue" in calm
    assert "rely on the quoted sources" in calm
    told = header_html(replace(STATUS, note="Granite could not be downloaded."), NOBODY)
    assert "rely on the quoted sources. why? Granite could not be downloaded." in words(told)
    assert "rely on" not in words(header_html(replace(STATUS, stand_in=False), NOBODY))
    busy = replace(STATUS, parts={"index": "building 12/40"}, downloading="Granite 412 of 2,100 MB")
    assert "2 questions ahead, ~31 s index: building 12/40 · downloading Granite 412 of 2,100 MB" in words(
        header_html(busy, Waiting(2, 31.0))
    )
    assert '<span class="fault">search: failed: no index</span>' in header_html(
        replace(STATUS, parts={"search": "failed: no index"}), NOBODY
    )
    assert "no model yet" in words(header_html(replace(STATUS, model_label="", stand_in=False), NOBODY))
    assert "<img" not in header_html(replace(STATUS, note=EVIL, model_label=EVIL, downloading=EVIL), NOBODY)


def test_the_citation_below_a_quoted_command_block_belongs_to_the_quote() -> None:
    block = "Run:\n\n```bash\nkcli list vm\n```"
    quoted = turn(
        SourcesFound(SearchResult([], 0.9, block)), TextDelta(f"{block}\n\n[1]\n\nThe stand-in adds: it lists.")
    )
    assert split_quote(quoted) == (f"{block}\n\n[1]", "The stand-in adds: it lists.")


def judging(*judged: Judged, text: str = "First. ") -> Turn:
    return turn(SourcesFound(RHEL10), TextDelta(text), *judged, TextDelta("Last."))


def test_a_marked_sentence_is_marked_behind_its_words() -> None:
    shown = parts(judging(Judged("not_found", "First.")))["answer"]
    assert words(shown) == "First. not found in the sources Last."
    assert "<details" not in shown


def test_a_left_out_sentence_is_a_line_that_opens_and_names_its_source() -> None:
    shown = parts(judging(Judged("left_out", f"Yes {EVIL} [2](https://evil.example).", 2, "RHEL 8 is refused.")))[
        "answer"
    ]
    assert shown.index("First.") < shown.index("<details") < shown.index("Last.")
    summary, opened = shown.split("</summary>")
    assert words(summary).endswith("A sentence was left out: it goes against the source 2")
    assert f'href="{RHEL10.passages[1].url}"' in summary
    assert "The model wrote:" in words(opened)
    assert "The source says: RHEL 8 is refused." in words(opened)
    assert {"img", "script"} & Attributes(shown).tags == set()
    assert "evil.example" not in shown.split("</summary>")[1].split("</details>")[0]


def test_a_marked_command_is_named_behind_its_block() -> None:
    shown = parts(judging(Judged("not_found", "rm -rf <x>", command=True), text="```bash\nrm -rf <x>\n```\n\n"))[
        "answer"
    ]
    assert words(shown).endswith("In no source, so check it before you run it: rm -rf <x> Last.")


def test_what_was_left_out_before_the_quote_stands_at_the_beginning_of_the_models_words() -> None:
    found = SourcesFound(replace(RHEL10, extract="Run the check."))
    shown = parts(turn(found, Judged("left_out", "No check is needed.", 1), TextDelta("Run the check.")))
    assert words(shown["evidence"]).startswith("Straight from the pages Run the check.")
    assert words(shown["answer"]).startswith("A sentence was left out")


def test_a_copy_holds_the_words_of_each_judgement_and_no_left_out_sentence() -> None:
    copied = judging(Judged("left_out", "A lie.", 2), Judged("not_found", "x")).in_words(
        lambda one: judgement_words(one, ENGLISH)
    )
    assert copied == (
        "First. (A sentence was left out: it goes against the source [2]) (not found in the sources) Last."
    )


def test_the_page_says_what_was_looked_for_where_it_differs_from_what_was_typed() -> None:
    shown = parts(turn(RouteChosen("rhel10", "RHEL 10", 0.9, stands_for="delete vm <kcli>"), SourcesFound(RHEL10)))[
        "route"
    ]
    assert "looked for" in shown and "delete vm &lt;kcli&gt;" in shown
    assert "looked for" not in parts(turn(RouteChosen("rhel10", "RHEL 10", 0.9), SourcesFound(RHEL10)))["route"]
