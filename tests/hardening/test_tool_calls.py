"""Whatever a model writes where a tool call should stand: no exception, no call that its schema does not allow."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from model.engine.events import Prefill
from model.prompting.conversation import Conversation
from model.turn.chat import Ask, Chat
from model.turn.events import ToolStarted, TurnFinished
from model.turn.limits import TurnLimits
from model.turn.tool_calling import CALL_CHARS, ToolMenu, choose
from model.turn.tool_grammar import NO_CALL_TEXT
from tests.prompt_texts import TEXTS
from tests.turn_fakes import FakeEngine
from tools.registry import Registry
from tools.types import ToolCall, ToolResult

SCHEMAS = Registry.default().schemas()
MENU = ToolMenu.of("Tools:\n$tools", SCHEMAS)
KNOWN = {schema["function"]["name"]: schema["function"]["parameters"] for schema in SCHEMAS}
CASES = 2_500  # `python -m tests.hardening fuzz` has minutes for this, and is guided by what it covers


def chosen(text: str) -> ToolCall | None:
    """What `choose` makes of a text."""
    steps = choose(FakeEngine(text), MENU, "Is libvirtd up?", [], "healthy")
    while True:
        try:
            next(steps)
        except StopIteration as end:
            call: ToolCall | None = end.value
            return call


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["libvirtd", "sshd"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*KNOWN, "rm", "shell", "system_info\u200b", "", "SYSTEM_INFO"]) | JSON
ARGUMENTS = JSON | st.dictionaries(
    st.sampled_from(["services", "targets", "top_n", "filter_name", "host", "__class__", "shell"]), JSON, max_size=3
)
CALLS = st.builds(lambda name, arguments, more: {"name": name, "arguments": arguments, **more}, NAMES, ARGUMENTS,
                  st.just({}) | st.dictionaries(st.sampled_from(["host", "name2", "id"]), JSON, max_size=1))  # fmt: skip
INSERTED = st.sampled_from(["NaN", "Infinity", "-", '"', "}", ",", "\x00", "\ud800", "1e999", "x" * CALL_CHARS])
OTHER = st.sampled_from(
    ["[" * 10_000, '{"name":' * 10_000, '{"arguments":[' * 100, NO_CALL_TEXT, "", "Sure!", " " * 5000 + NO_CALL_TEXT]
)


def variants(call: dict[str, object], at: float, inserted: str, name: object) -> list[str]:
    """A call as it is, cut off, with something inside, with a name said twice, and wrapped in prose."""
    text = json.dumps(call)
    place = int(at * len(text))
    doubled = f'{{"name": {json.dumps(name)}, {text[1:]}'
    return [text, text[:place], text[:place] + inserted + text[place:], doubled, f"Sure! ```json\n{text}\n```"]


WRITTEN = st.builds(variants, CALLS, st.floats(0, 1), INSERTED, NAMES).flatmap(st.sampled_from) | OTHER


@settings(max_examples=CASES // 5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(CALLS, st.floats(0, 1), INSERTED, NAMES)
def test_no_text_raises_and_only_what_a_schema_allows_is_called(
    call: dict[str, object], at: float, inserted: str, name: object
) -> None:
    for text in variants(call, at, inserted, name):
        made = chosen(text)
        if made is not None:
            assert made.host == "healthy"
            Draft202012Validator({**KNOWN[made.tool], "additionalProperties": False}).validate(made.arguments)


@pytest.mark.parametrize("text", ["[" * 10_000, '{"name":' * 10_000, "x" * 9000, '{"name": [], "arguments": {}}'])
def test_what_once_broke_a_reader_counts_as_none(text: str) -> None:
    assert chosen(text) is None


def run(*texts: str) -> tuple[FakeEngine, list[ToolCall], TurnFinished]:
    """A whole turn in which the model may choose."""
    engine, ran = FakeEngine(*texts), []

    def run_tool(call: ToolCall) -> ToolResult:
        ran.append(call)
        return ToolResult(call.tool, True, {"said": texts[0][:200]})

    ask = Ask("Is libvirtd up?", Conversation.new(), "diagnostics", "Be brief.", menu=MENU, host="healthy")
    events = list(Chat(lambda _: engine, lambda: None, run_tool, TEXTS).answer(ask))
    assert [event.call for event in events if isinstance(event, ToolStarted)] == ran
    last = events[-1]
    assert isinstance(last, TurnFinished)
    return engine, ran, last


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(WRITTEN, min_size=1, max_size=5))
def test_a_turn_asks_again_once_at_most_and_runs_two_calls_at_most(texts: list[str]) -> None:
    engine, ran, last = run(*texts)
    asked = [options for options in engine.options if options.sampling.grammar]
    assert len(asked) <= TurnLimits().tool_rounds == 2
    assert len(ran) <= 2
    assert last.reason == "stop"


def test_a_server_that_writes_without_end_is_left() -> None:
    engine = FakeEngine("[" * 10_000_000)
    steps = choose(engine, MENU, "Is libvirtd up?", [], "healthy")
    assert [type(step) for step in steps] == [Prefill]
    assert engine.generations[0].cancelled
