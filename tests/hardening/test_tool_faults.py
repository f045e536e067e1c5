"""A tool broken in five ways: a failed result in time, and the answer goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model.prompting.conversation import Conversation
from model.turn.chat import Ask, Chat
from model.turn.events import ToolFinished, TurnFinished
from tests.hardening.obeying import ObeyingEngine
from tests.prompt_texts import TEXTS
from tools.sandbox.lockdown import WorkerLimits
from tools.sandbox.sandbox import Sandbox
from tools.types import ToolCall

FAULTS = {
    "raises": "the tool broke",
    "hangs": "did not answer within 0.5 s",
    "10 MB": "",  # more than the reply's cap: the worker or the parent says so
    "garbage": "no JSON",
    "dies": "",
}
MODULE, TOOL = Path(__file__).with_name("faulty_tools.py"), "broken_tool"


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """A quarter of the usual deadline, so that hanging is soon over; everything else as it is."""
    with Sandbox(files=[MODULE], limits=WorkerLimits(call_s=0.5)) as sandbox:
        yield sandbox


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_tool_is_a_failed_result_and_the_answer_goes_on(box: Sandbox, fault: str) -> None:
    engine = ObeyingEngine()
    chat = Chat(lambda _: engine, lambda: None, lambda call: box.call(call.tool, call.arguments, call.host), TEXTS)
    calls = (ToolCall(TOOL, {"fault": fault}, "healthy"),)
    events = list(chat.answer(Ask("Check it.", Conversation.new(), "diagnostics", "Be brief.", calls=calls)))
    result = next(event.result for event in events if isinstance(event, ToolFinished))
    assert (result.success, result.tool_name, result.data) == (False, TOOL, {})
    assert result.error
    assert FAULTS[fault] in result.error
    assert len(result.error) < 500
    assert isinstance(events[-1], TurnFinished)
    assert (events[-1].reason, "Nothing was ordered" in events[-1].answer) == ("stop", True)


def test_after_all_of_them_a_sound_tool_answers() -> None:
    with Sandbox(files=[MODULE], limits=WorkerLimits(call_s=0.5)) as box:
        assert not box.call(TOOL, {"fault": "dies"}, "healthy").success
    with Sandbox() as box:
        assert box.call("system_info", {}, "healthy").success
    assert WorkerLimits().call_s <= 2.0  # what a visitor waits for at most
