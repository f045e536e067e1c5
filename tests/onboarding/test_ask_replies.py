"""The answer as `ask` sends it: one reply for each state of the turn."""

from __future__ import annotations

from typing import Any

import pytest

from model.checking.gate import Judged
from model.engine.events import Counts, Prefill, Queued, TextDelta, Timings
from model.prompting.conversation import Conversation
from model.turn.events import Notice, RouteChosen, SourcesFound, ToolFinished, ToolStarted, TurnEvent, TurnFinished
from onboarding.assistant.turns import Turn, advance_all
from onboarding.results import reply_of
from tests.fakes import RHEL10
from tools.types import ToolCall, ToolResult

CALL = ToolCall("service_status", {"services": ["libvirtd"]}, "libvirtd-down")
RESULT = ToolResult("service_status", True, {"up": False}, None, 0.04, 1.0)
END = TurnFinished("An answer [1].", "stop", Counts(), Timings(), "SmolLM2", True, Conversation.new())


def reply(*events: TurnEvent) -> dict[str, Any]:
    return reply_of(advance_all(Turn("", "How?", Conversation.new()), events))


def test_a_reply_begins_empty() -> None:
    assert reply() == {
        "answer": "", "judged": [], "sources": [], "missing": [], "differs": [], "tools": [], "notices": [], "done": False, "state": "looking", "eta_s": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("events", "state", "eta_s", "answer"),
    [
        ([Queued(2, 31.4)], "waiting", 31, ""),
        ([Queued(2, 31.4), Prefill(60, 240, 2.6)], "reading", 3, ""),
        ([Prefill(240, 240, 0.0), TextDelta("An "), TextDelta("answer")], "writing", 0, "An answer"),
        ([TextDelta("An "), Prefill(1, 9, 4.0)], "reading", 4, "An "),
    ],
)
def test_a_reply_says_what_is_waited_for(events: list[TurnEvent], state: str, eta_s: int, answer: str) -> None:
    seen = reply(RouteChosen("rhel10", "RHEL 10", 0.9), *events)
    assert (seen["route"], seen["state"], seen["eta_s"], seen["answer"]) == ("rhel10", state, eta_s, answer)
    assert (seen["done"], "reason" in seen) == (False, False)


def test_a_tool_joins_with_its_result() -> None:
    assert reply(ToolStarted(CALL))["tools"] == []
    (tool,) = reply(ToolStarted(CALL), ToolFinished(CALL, RESULT))["tools"]
    assert (tool["tool_name"], tool["arguments"], tool["host"]) == (CALL.tool, CALL.arguments, CALL.host)
    assert (tool["success"], tool["data"]) == (True, {"up": False})


def test_a_judgement_is_told_in_words_at_its_place_and_as_a_value() -> None:
    seen = reply(
        TextDelta("It runs."), Judged("not_found", "It runs."), TextDelta(" "), Judged("left_out", "It flies.", 2, "No."),
        TextDelta("It ends."),
    )  # fmt: skip
    assert seen["answer"] == (
        "It runs. (not found in the sources) (A sentence was left out here: it goes against source [2].) It ends."
    )
    left_out = {"kind": "left_out", "words": "It flies.", "source": 2, "evidence": "No.", "command": False}
    assert seen["judged"][1] == left_out


def test_a_finished_reply_is_the_checked_answer_with_what_it_rests_on() -> None:
    seen = reply(SourcesFound(RHEL10), TextDelta("An unchecked answer"), Notice("Not found: x"), END)
    assert (seen["answer"], seen["done"], seen["state"]) == ("An answer [1].", True, "done")
    assert (seen["reason"], seen["model"], seen["grounded"]) == ("stop", "SmolLM2", True)
    assert [source["title"] for source in seen["sources"]] == [passage.title for passage in RHEL10.passages]
    assert seen["notices"] == ["Not found: x"]
