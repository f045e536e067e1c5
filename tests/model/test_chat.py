"""A chat turn with hand-written fakes: evidence first, honest about what is missing, stopped when left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from model.checking.gate import Judged
from model.checking.verdict import Verdict
from model.engine.events import Prefill, TextDelta
from model.prompting.assemble import user_message
from model.prompting.conversation import Conversation, PastTurn, Topic
from model.statements.evidence import Given
from model.turn.chat import Ask, Chat, TurnRecord
from model.turn.events import Notice, SourcesFound, ToolFinished, ToolStarted, TurnEvent, TurnFinished
from model.turn.held_to_rules import WithRules
from model.turn.tool_calling import ToolMenu
from model.turn.wording import ABSTAIN, ALL_LEFT_OUT, STAND_IN_ADDS, Words
from rag.types import Passage, SearchResult
from tests.prompt_texts import TEXTS
from tests.turn_fakes import FakeEngine, FakeSearcher, LenientChecker, said
from tools.diagnosis.reading import ResultReading
from tools.registry import Registry
from tools.simulation.hosts import load_hosts
from tools.types import ToolCall, ToolResult

PASSAGE = Passage(
    "p1", "RHEL 8 is refused by the deployment script.", "RHEL 8", ("Status",), "rhel8.md", (1, 3),
    "https://github.com/x/y", 1.0, "RHEL 8 is refused by the deployment script.",
)  # fmt: skip
FOUND = SearchResult([PASSAGE], 0.9, "RHEL 8 is refused. [1]")
LIBVIRTD = ToolCall("service_status", {"services": ["libvirtd"]}, "libvirtd-down")
NOTHING = SearchResult([], 0.1, "", [PASSAGE])


class ByWords(LenientChecker):
    """A checker that knows three words: so no test here depends on how well sentences are judged."""

    def __init__(self, given: Given, *, foreign: bool = False, before: str = "") -> None:
        self._passages = given.passages

    def judge(self, sentence: str, before: str = "", after: str = "") -> Verdict:
        if "supported" in sentence:
            return Verdict("against", 1, PASSAGE.text)
        if "9999" in sentence or "Pizza" in sentence:
            return Verdict("not_found")
        told = any(word in sentence for word in ("refused", "error")) and bool(self._passages)
        return Verdict("holds", int(told))


def run_tool(call: ToolCall) -> ToolResult:
    return ToolResult(call.tool, True, {"services": {"libvirtd": {"status": "failed"}}})


def make(
    engine: FakeEngine | None, result: SearchResult | None = FOUND
) -> tuple[Callable[[Ask], list[TurnEvent]], list[TurnRecord], Chat]:
    records: list[TurnRecord] = []
    searcher = FakeSearcher(result) if result else None
    chat = Chat(lambda _: engine, lambda: searcher, run_tool, TEXTS, records.append, checker=ByWords)
    return (lambda ask: list(chat.answer(ask))), records, chat


def asking(**changes: object) -> Ask:
    values: dict[str, object] = {"text": "Is RHEL 8 supported?", "conversation": Conversation.new(), "route": "rhel10"}  # fmt: skip
    return Ask(**{**values, **changes})  # type: ignore[arg-type]


def judged(events: list[TurnEvent]) -> list[Judged]:
    return [event for event in events if isinstance(event, Judged)]


def kinds(events: list[TurnEvent]) -> list[str]:
    names = [type(event).__name__ for event in events]
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]


def last(events: list[TurnEvent]) -> TurnFinished:
    assert isinstance(events[-1], TurnFinished)
    return events[-1]


def test_sources_come_before_any_token_and_the_turn_ends_with_its_record() -> None:
    run, records, _ = make(FakeEngine("It is refused [1]. "))
    events = run(asking())
    assert kinds(events) == ["SourcesFound", "Prefill", "TextDelta", "TurnFinished"]
    assert last(events).answer.strip() == "It is refused [1]."
    assert [(r.route, r.model, r.reason, r.passages) for r in records] == [("rhel10", "Fake", "stop", ("p1",))]


def test_without_passages_no_token_is_spent_and_the_nearest_page_is_named() -> None:
    engine = FakeEngine("never said")
    run, records, _ = make(engine, NOTHING)
    events = run(asking())
    assert engine.prompts == []
    assert ABSTAIN in said(events)
    assert "[RHEL 8](https://github.com/x/y)" in said(events)
    assert records[0].abstained


NEAR = replace(FOUND, missing=("Harbor",))


def test_a_near_answer_says_first_what_no_passage_speaks_of_and_the_model_is_told() -> None:
    engine = FakeEngine("RHEL 8 is refused [1]. ")
    run, _, _ = make(engine, NEAR)
    events = run(asking(words=Words(near="Nichts zu $missing:")))
    assert said(events).startswith("Nichts zu \u201cHarbor\u201d:\n\nRHEL 8 is refused [1].")
    assert next(event.near for event in events if isinstance(event, SourcesFound)) == "Nichts zu \u201cHarbor\u201d:"
    asked = engine.prompts[0].messages[-1][1]
    assert "do not speak of \u201cHarbor\u201d" in asked
    assert asked.index("\u201cHarbor\u201d") < asked.index("Is RHEL 8 supported?")


def test_an_answer_with_nothing_missing_says_nothing_of_the_kind() -> None:
    engine = FakeEngine("It is refused [1]. ")
    run, _, _ = make(engine)
    assert "found no passage" not in said(run(asking()))
    assert "do not speak of" not in engine.prompts[0].messages[-1][1]


def test_without_a_model_a_near_answer_is_the_sentence_and_the_extract() -> None:
    run, _, _ = make(None, NEAR)
    assert said(run(asking())).startswith(
        f"I found no passage about \u201cHarbor\u201d. The nearest is this:\n\n{NEAR.extract}"
    )


def test_abstaining_uses_the_visitors_words() -> None:
    run, _, _ = make(FakeEngine("never said"), NOTHING)
    answer = said(run(asking(words=Words("Das steht nirgends.", "Am nächsten:"))))
    assert answer.startswith("Das steht nirgends.\n\nAm nächsten:\n\n- [RHEL 8]")


def test_an_answer_in_another_language_is_checked_by_its_figures_only() -> None:
    run, _, _ = make(FakeEngine("Das Skript weist RHEL 8 vollständig ab [1]. Port 9999 bleibt offen [1]."))
    marked = judged(run(asking(search="rhel 8 supported", language="de")))
    assert [one.words for one in marked] == ["Port 9999 bleibt offen."]


def test_a_generation_that_wrote_nothing_is_not_blamed_for_citing_nothing() -> None:
    run, _, _ = make(FakeEngine(""))
    assert not [event for event in run(asking()) if isinstance(event, Notice) and "cites no source" in event.text]


def test_without_an_index_the_answer_says_so_instead_of_guessing() -> None:
    engine = FakeEngine("never said")
    run, _, _ = make(engine, None)
    assert "python -m rag build" in said(run(asking()))
    assert engine.prompts == []


def test_a_tool_runs_before_the_model_and_its_result_is_in_the_prompt() -> None:
    engine = FakeEngine("libvirtd has failed.")
    run, records, _ = make(engine)
    events = run(asking(calls=(LIBVIRTD,)))
    assert kinds(events)[:4] == ["ToolStarted", "ToolFinished", "TextDelta", "Prefill"]
    assert isinstance(events[0], ToolStarted)
    assert isinstance(events[1], ToolFinished)
    assert '"status":"failed"' in engine.prompts[0].messages[-1][1]
    assert last(events).grounded
    assert records[0].tools == ("service_status",)


def test_while_no_model_is_loaded_the_extract_answers() -> None:
    run, _, _ = make(None)
    events = run(asking())
    assert said(events) == "RHEL 8 is refused. [1]"
    assert any(isinstance(event, Notice) for event in events)


ADDING = SearchResult(
    [replace(PASSAGE, text="RHEL 8 is refused by the script. It prints an error and ends with status 1.")], 0.9,
    "RHEL 8 is refused by the script. [1]",
)  # fmt: skip


def test_of_a_stand_ins_text_only_what_holds_and_adds_to_the_extract_is_shown() -> None:
    words = "RHEL 8 is refused by the script. It prints an error and ends with status 1. Pizza is nice to have. Yes."
    run, _, _ = make(FakeEngine(words, stand_in=True), ADDING)
    events = run(asking())
    assert (
        said(events).split()
        == (
            f"RHEL 8 is refused by the script. [1] {STAND_IN_ADDS} It prints an error and ends with status 1 [1]."
        ).split()
    )
    assert judged(events) == []
    assert not [event for event in events if isinstance(event, Notice)]
    assert last(events).conversation.turns[-1].tokens == ()  # they would bring the rest back


def test_a_stand_in_that_adds_nothing_leaves_the_extract_alone() -> None:
    run, _, _ = make(FakeEngine("RHEL 8 is refused by the script. Pizza is nice.", stand_in=True), ADDING)
    events = run(asking())
    assert (said(events), last(events).model) == (ADDING.extract, "")
    assert not [event for event in events if isinstance(event, Notice)]


def test_stopping_before_the_first_words_of_a_stand_in_leaves_no_heading_alone() -> None:
    _, _, chat = make(FakeEngine("It prints an error and", stand_in=True), ADDING)
    seen = ""
    for event in chat.answer(asking()):
        seen += event.text if isinstance(event, TextDelta) else ""
        if isinstance(event, Prefill):
            break
    assert seen == ADDING.extract


def test_a_stand_in_adds_nothing_to_what_the_rules_read_in_a_tools_result() -> None:
    engine = FakeEngine("All is well.", stand_in=True)
    run, records, _ = make(engine)
    text = said(run(asking(calls=(LIBVIRTD,))))
    assert "libvirtd" in text
    assert "All is well" not in text
    assert engine.generations == []
    assert records[0].tools == ("service_status",)


def test_a_sentence_without_a_number_gets_that_of_its_passage() -> None:
    run, _, _ = make(FakeEngine("RHEL 8 is refused by the script."))
    events = run(asking())
    assert last(events).answer.strip() == "RHEL 8 is refused by the script [1]."
    assert not [event for event in events if isinstance(event, Notice)]


def checked(words: str) -> tuple[list[TurnEvent], FakeEngine]:
    engine = FakeEngine(words)
    chat = Chat(lambda _: engine, lambda: FakeSearcher(FOUND), run_tool, TEXTS, checker=ByWords)
    return list(chat.answer(asking())), engine


def test_what_goes_against_its_source_is_left_out_and_told_in_its_place() -> None:
    events, _ = checked("Yes, RHEL 8 is supported [1]. The script decides.")
    assert said(events).strip() == "The script decides."
    assert judged(events) == [Judged("left_out", "Yes, RHEL 8 is supported.", 1, PASSAGE.text)]
    at = [type(event) for event in events]
    assert at.index(Judged) < at.index(TextDelta)


def test_the_next_prompt_holds_nothing_that_was_left_out() -> None:
    events, engine = checked("- RHEL 8 is supported.\n- The script decides.\n")
    past = last(events).conversation.turns[-1]
    assert (past.answer, past.tokens) == ("- The script decides.\n", ())
    chat = Chat(lambda _: engine, lambda: FakeSearcher(FOUND), run_tool, TEXTS, checker=ByWords)
    list(chat.answer(asking(text="And 9?", conversation=last(events).conversation)))
    answers = [text for role, text in engine.prompts[-1].messages if role == "assistant"]
    assert answers == [past.answer]


def test_where_all_was_left_out_the_extract_alone_stands_and_one_line_says_so() -> None:
    events, _ = checked("Yes, RHEL 8 is supported [1].")
    assert said(events).strip() == last(events).answer.strip() == FOUND.extract
    assert [event.text for event in events if isinstance(event, Notice)] == [ALL_LEFT_OUT]
    assert len(judged(events)) == 1


HOST = load_hosts()["healthy"]


def diagnosing(words: str, question: str, tool: str, **changes: object) -> list[TurnEvent]:
    chat = Chat(
        lambda _: FakeEngine(words),
        lambda: None,
        lambda c: Registry.default().run_tool(c.tool, HOST.view(1.8e9)),
        TEXTS,
        checker=ByWords,
    )
    return list(chat.answer(asking(text=question, calls=(ToolCall(tool, {}, "healthy"),), **changes)))


def test_the_rules_answer_a_yes_or_no_before_any_model_and_it_may_not_contradict_them() -> None:
    events = diagnosing(
        "Yes, the disk is full at 45.8 %. The images disk holds most.", "is the disk full?", "resource_usage"
    )
    assert said(events).startswith("No: 46 % of /var/lib/libvirt/images is used")
    assert "Yes" not in said(events)
    assert next((one.kind, one.words) for one in judged(events)) == ("left_out", "Yes, the disk is full at 45.8 %.")


def test_a_yes_that_the_rules_said_needs_no_other_evidence() -> None:
    class Doubting(ByWords):
        def judge(self, sentence: str, before: str = "", after: str = "") -> Verdict:
            return Verdict("not_found") if "yes" in sentence.lower() else Verdict("holds")

    given = Given(("x",), (), "is libvirtd running?")
    agreeing = WithRules(Doubting(given), ResultReading("Yes: libvirtd is running."))
    assert agreeing.judge("Yes, it runs.").kind == agreeing.judge("Yes.").kind == "holds"
    assert WithRules(Doubting(given), ResultReading("")).judge("Yes, it runs.").kind == "not_found"


def test_why_of_what_is_not_so_gets_no_invented_reason() -> None:
    events = diagnosing("The disk is full because of old logs.", "why is the disk full?", "resource_usage")
    assert said(events).startswith("It is not so: 46 %")
    assert "because" not in said(events)


def test_in_another_language_the_summarys_own_words_lead() -> None:
    events = diagnosing("Nein.", "ist die Platte voll?", "resource_usage", search="is disk full", language="de")
    assert said(events).startswith("- ")
    assert "usage_percent 45.8" in said(events)


def test_numbers_and_addresses_that_were_not_given_never_come_out() -> None:
    run, records, _ = make(FakeEngine("See [4] and https://evil.example/x or ![i](https://evil.example/i) end."))
    text = said(run(asking()))
    assert "evil.example" not in text
    assert "[4]" not in text
    assert records[0].removed == 3


def test_a_full_house_is_a_notice_and_leaves_the_conversation_as_it_was() -> None:
    before = Conversation.new()
    run, records, _ = make(FakeEngine("", full=True))
    events = run(asking(conversation=before))
    assert any(event.kind == "full" and "in a minute" in event.text for event in events if isinstance(event, Notice))
    assert last(events).conversation == before
    assert records[0].reason == "error"


def test_a_fixed_reply_looks_at_nothing_else() -> None:
    engine = FakeEngine("never said")
    run, records, _ = make(engine)
    events = run(asking(reply="Hello."))
    assert (said(events), engine.prompts, len(records)) == ("Hello.", [], 1)
    assert not any(isinstance(event, SourcesFound) for event in events)


def test_leaving_the_turn_cancels_the_generation_and_is_recorded_once() -> None:
    engine = FakeEngine("a long answer with many words")
    _, records, chat = make(engine)
    events = chat.answer(asking())
    next(event for event in events if isinstance(event, Prefill))
    events.close()
    assert engine.generations[0].cancelled
    assert [record.reason for record in records] == ["cancelled"]


def test_the_next_turn_repeats_what_was_read_and_written() -> None:
    engine = FakeEngine("It is refused [1].")
    run, _, _ = make(engine)
    conversation = last(run(asking())).conversation
    run(asking(text="And 9?", conversation=conversation))
    first, second = (prompt.segments for prompt in engine.prompts)
    # The prefix cache can take it over: the same text, in the same roles.
    assert [(s.text, s.control) for s in second[: len(first)]] == [(s.text, s.control) for s in first]
    assert second[len(first)].tokens == (1, 2, 3)


@pytest.mark.parametrize("asked_before", [1, 2])
def test_a_model_that_arrives_in_the_middle_of_a_turn_serves_the_next_turn_only(asked_before: int) -> None:
    small, large = FakeEngine("It is refused [1].", name="small"), FakeEngine("No.", name="large")
    engines = [small] * asked_before
    chat = Chat(
        lambda _: engines.pop() if engines else large, lambda: FakeSearcher(FOUND), run_tool, TEXTS, checker=ByWords
    )
    end = last(list(chat.answer(asking())))
    turn = end.conversation.turns[-1]
    assert (end.model, turn.engine) == ("Small", "small")
    assert turn.tokens == (1, 2, 3)
    assert (len(small.prompts), large.prompts) == (1, [])
    engines.clear()
    list(chat.answer(asking(text="And 9?", conversation=end.conversation)))
    segments = large.prompts[0].segments
    assert [segment.tokens for segment in segments if segment.tokens is not None] == []
    assert end.answer.replace(" [1]", "") in [segment.text for segment in segments]


# --- which tool: the model's choice under a grammar -------------------------------------------------------------

SCHEMAS = Registry.default().schemas()
MENU = ToolMenu.of("Tools:\n$tools", SCHEMAS)


def choosing(*calls: str, stand_in: bool = False) -> FakeEngine:
    """An engine that writes the given calls one after another, then its answer."""
    return FakeEngine(*calls, "It has failed.", stand_in=stand_in)


def checks(events: list[TurnEvent]) -> list[tuple[str, dict[str, object]]]:
    return [(event.call.tool, event.call.arguments) for event in events if isinstance(event, ToolStarted)]


SERVICES = '{"name": "service_status", "arguments": {"services": ["libvirtd"]}}'
ASKS = "Something is odd with libvirtd."
NO_CALL = '{"name": null, "arguments": {}}'


def test_an_unsure_choice_is_the_models_under_the_grammar_and_its_result_is_answered() -> None:
    engine = choosing(SERVICES, NO_CALL)
    run, records, _ = make(engine)
    events = run(asking(text=ASKS, calls=(ToolCall("system_info", {}, "healthy"),), menu=MENU, host="libvirtd-down"))
    assert checks(events) == [("service_status", {"services": ["libvirtd"]})]
    assert [options.sampling.grammar == MENU.grammar for options in engine.options] == [True, True, False]
    assert "It has failed" in said(events)
    assert records[0].tools == ("service_status",)


def test_the_same_call_is_never_run_twice_and_two_rounds_are_the_most() -> None:
    run, _, _ = make(choosing(SERVICES, SERVICES))
    assert len(checks(run(asking(text=ASKS, menu=MENU)))) == 1
    others = [f'{{"name": "process_info", "arguments": {{"top_n": {n}}}}}' for n in range(1, 5)]
    run, _, _ = make(choosing(*others))
    assert len(checks(run(asking(menu=MENU)))) == 2


@pytest.mark.parametrize(
    ("question", "written", "kept"),
    [
        ("top 5 processes", {"filter_name": "python", "top_n": 5}, {"top_n": 5}),
        ("any PYTHON there?", {"filter_name": "python"}, {"filter_name": "python"}),
        ("is the firewall up", {"services": ["firewalld", "libvirtd"]}, {"services": ["firewalld"]}),
        ("is everything up", {"services": ["libvirtd"]}, {}),
    ],
)
def test_a_name_that_nobody_mentioned_is_no_argument(question: str, written: dict[str, object], kept: object) -> None:
    tool = "service_status" if "services" in written else "process_info"
    run, _, _ = make(choosing(json.dumps({"name": tool, "arguments": written})))
    assert checks(run(asking(text=question, menu=MENU)))[:1] == [(tool, kept)]


@pytest.mark.parametrize(
    "text", ['{"name": "rm", "arguments": {}}', '{"name": "serv', "Sure!", "[" * 20_000, '"x"', ""]
)
def test_a_call_that_cannot_be_read_counts_as_none_and_the_documentation_answers(text: str) -> None:
    run, _, _ = make(choosing(text))
    events = run(asking(menu=MENU))
    assert checks(events) == []
    assert any(isinstance(event, SourcesFound) for event in events)


def test_a_stand_in_is_not_asked_and_the_best_guess_runs() -> None:
    engine = choosing(SERVICES, stand_in=True)
    run, _, _ = make(engine)
    events = run(asking(calls=(LIBVIRTD,), menu=MENU))
    assert checks(events) == [(LIBVIRTD.tool, LIBVIRTD.arguments)]
    assert all(not options.sampling.grammar for options in engine.options)


def test_with_a_full_house_the_best_guess_still_runs() -> None:
    run, _, _ = make(FakeEngine("", full=True))
    assert checks(run(asking(calls=(LIBVIRTD,), menu=MENU))) == [(LIBVIRTD.tool, LIBVIRTD.arguments)]


def test_of_a_run_of_every_tool_the_rules_diagnosis_leads_whatever_the_model_says() -> None:
    registry, host = Registry.default(), load_hosts()["images-disk-full"]
    now = time.time()
    run = Chat(
        lambda _: FakeEngine("Something else."),
        lambda: None,
        lambda c: registry.run_tool(c.tool, host.view(now)),
        TEXTS,
        checker=ByWords,
    )
    every = tuple(ToolCall(tool, {}, host.id) for tool in registry.list_tools())
    text = said(list(run.answer(asking(calls=every))))
    assert text.startswith("**")
    assert "/var/lib/libvirt/images" in text.split("Something else.")[0]


ESCAPES = r"Run printf '\e[31m' and '\e[2J' or \x1b]0;t [1]."


def test_a_typed_terminal_escape_comes_out_only_where_a_source_holds_it() -> None:
    page = replace(PASSAGE, text=r"RHEL 8 is refused with printf '\e[31m'.", excerpt="")
    run, _, _ = make(FakeEngine(ESCAPES), SearchResult([page], 0.9, r"printf '\e[31m' '\e[3J'"))
    events = run(asking(text=rf"Is RHEL 8 supported? {ESCAPES}"))
    assert said(events) == last(events).answer
    assert said(events).strip() == r"Run printf '\e[31m' and '␛[2J' or ␛]0;t [1]."
    assert last(events).conversation.turns[-1].answer == said(events)
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert not [text for text in notices if r"\e[2J" in text]


def test_what_is_said_without_a_model_keeps_to_the_same_rule() -> None:
    run, _, _ = make(FakeEngine(""), SearchResult([PASSAGE], 0.9, r"Is refused '\e[3J'."))
    assert r"\e" not in said(run(asking(reply=ESCAPES)))
    run, _, _ = make(None, SearchResult([PASSAGE], 0.9, r"Is refused '\e[3J'. [1]"))
    assert said(run(asking())) == "Is refused '␛[3J'. [1]"


def test_a_tools_words_lend_an_escape_but_not_the_name_it_was_asked_about() -> None:
    def failing(call: ToolCall) -> ToolResult:
        return ToolResult(call.tool, False, {"log": r"\e[1m"}, rf"no unit {call.arguments['services']}")

    call = ToolCall("service_status", {"services": r"\e[2J"}, "healthy")
    chat = Chat(
        lambda _: FakeEngine(r"Its log has \e[1m and \e[2J in it."), lambda: None, failing, TEXTS, checker=ByWords
    )
    assert said(list(chat.answer(asking(calls=(call,))))).strip().endswith(r"Its log has \e[1m and ␛[2J in it.")


def test_a_turn_keeps_what_the_next_one_may_lean_on() -> None:
    run, _, _ = make(FakeEngine("Do this:\n\n1. First [1].\n2. Second.\n"))
    past = last(run(asking(topic=Topic("is rhel 8 supported", read=("p0",))))).conversation.turns[-1]
    assert past.topic is not None
    assert (past.topic.question, past.topic.read) == ("is rhel 8 supported", ("p0", "p1"))
    assert past.topic.steps == ("First.", "Second.")
    assert last(run(asking())).conversation.topic is None


def test_what_was_found_already_is_not_searched_again() -> None:
    engine, searcher = FakeEngine("Yes [1]. "), FakeSearcher(NOTHING)
    chat = Chat(lambda _: engine, lambda: searcher, run_tool, TEXTS)
    assert isinstance(
        next(event for event in chat.answer(asking(found=FOUND)) if isinstance(event, SourcesFound)), SourcesFound
    )
    assert last(list(chat.answer(asking(found=FOUND)))).grounded


def test_what_earlier_turns_gave_to_read_bears_an_answer_out() -> None:
    asked = user_message("how much memory", [replace(PASSAGE, text="Snow needs 16 GB of memory.")])
    talk = Conversation.new().with_turn(PastTurn("how much memory", "So.", "x", asked))
    given: list[Given] = []

    class Remembering(ByWords):
        def __init__(self, evidence: Given, *, foreign: bool = False, before: str = "") -> None:
            super().__init__(evidence)
            given.append(evidence)

    for calls in ((), (ToolCall("service_status", {}, "healthy"),)):
        chat = Chat(lambda _: FakeEngine("So. "), lambda: FakeSearcher(FOUND), run_tool, TEXTS, checker=Remembering)
        list(chat.answer(asking(conversation=talk, calls=calls)))
    passages, check = ("".join(one.others) for one in given)
    assert "Snow needs 16 GB" in passages and "<documents>" not in passages
    assert "Snow" not in check


def test_a_template_that_fails_on_a_conversation_ends_the_turn_with_that_reason() -> None:
    engine = FakeEngine("Yes.")
    engine.chat_template = "{{ raise_exception('Enough turns') }}"
    run, records, _ = make(engine)
    events = run(asking())
    notices = [event for event in events if isinstance(event, Notice)]
    assert [(notice.text, notice.kind) for notice in notices] == [
        ("The model's chat template fails (Enough turns).", "error")
    ]
    assert isinstance(events[-1], TurnFinished)
    assert (events[-1].reason, records[0].reason) == ("error", "error")
    assert any(isinstance(event, SourcesFound) for event in events), "the sources stay"
