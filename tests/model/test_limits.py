"""Each limit of a turn reaches the prompt or the engine's options, and raising one is enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.engine.prompt import Prompt
from model.engine.scripted import ScriptedEngine
from model.prompting.system_prompts import RouteText
from model.turn.chat import Chat
from model.turn.limits import TurnLimits
from model.turn.prewarm import warm_prompts
from model.turn.tool_calling import ToolMenu
from rag.types import Embedded, SearchResult
from tests.model.test_chat import LIBVIRTD, PASSAGE, asking, checks, choosing, run_tool
from tests.prompt_texts import TEXTS
from tests.turn_fakes import FakeSearcher
from tools.registry import Registry
from tools.types import ToolCall, ToolResult

PAGES = [replace(PASSAGE, id=f"p{i}", text=f"Page {i} says. ".ljust(690, "x")) for i in range(1, 10)]


class Counting:
    """Finds as many passages as it is asked for."""

    def search(self, text: str, k: int = 5, embedded: Embedded | None = None) -> SearchResult:
        return SearchResult(PAGES[:k], 0.9, "")


def asked(limits: TurnLimits, *, stand_in: bool = False) -> str:
    """What the model reads as the visitor's message."""
    engine = choosing(stand_in=stand_in)
    list(Chat(lambda _: engine, Counting, run_tool, TEXTS, limits=limits).answer(asking()))
    return engine.prompts[0].messages[-1][1]


def numbers(message: str) -> list[int]:
    return [number for number in range(1, 10) if f"Page {number} says. " in message]


@pytest.mark.parametrize(
    ("limits", "read"),
    [
        (TurnLimits(), [1, 2, 3]),
        (TurnLimits(passages=5), [1, 2, 3, 4, 5]),
        (TurnLimits(passages=8), [1, 2, 3, 4, 5, 6, 7, 8]),
        (TurnLimits(passages=1), [1]),
        (TurnLimits(passages=5, passage_chars=1500), [1, 2]),
        (TurnLimits(passage_chars=10), [1]),
    ],
)
def test_more_passages_are_read_without_turning_anything_else(limits: TurnLimits, read: list[int]) -> None:
    assert numbers(asked(limits)) == read


def test_a_model_reads_no_more_passages_than_it_answers_best_from() -> None:
    for passages, read in ((1, 1), (2, 2), (8, 5), (0, 5)):
        engine = choosing()
        engine.info = replace(engine.info, passages=passages)
        list(Chat(lambda _, it=engine: it, Counting, run_tool, TEXTS, limits=TurnLimits(passages=5)).answer(asking()))  # type: ignore[misc]
        assert numbers(engine.prompts[0].messages[-1][1]) == list(range(1, read + 1))


def test_the_embedded_model_reads_one_passage_whatever_the_limits_say() -> None:
    assert numbers(asked(TurnLimits(passages=5), stand_in=True)) == [1]


def test_the_room_grows_with_the_passages_unless_it_is_given() -> None:
    assert [TurnLimits(passages=n).room for n in (1, 3, 5)] == [733, 2200, 3667]
    assert TurnLimits(passages=5, passage_chars=900).room == 900


def test_an_answers_length_and_deadline_and_the_questions_length_reach_the_engine() -> None:
    engine = choosing()
    limits = TurnLimits(answer_tokens=77, question_tokens=55, deadline_s=9.0)
    list(Chat(lambda _: engine, Counting, run_tool, TEXTS, limits=limits).answer(asking()))
    assert [(options.max_tokens, options.deadline_s) for options in engine.options] == [(77, 9.0)]
    assert [segment.limit for segment in engine.prompts[0].segments if segment.private] == [55]
    stand_in = choosing(stand_in=True)
    list(Chat(lambda _: stand_in, Counting, run_tool, TEXTS, limits=limits).answer(asking()))
    assert stand_in.options[0].max_tokens == 77


def test_the_translation_and_the_choice_of_a_tool_have_the_same_deadline() -> None:
    engine, menu = (choosing('{"name": null, "arguments": {}}'), ToolMenu.of("$tools", Registry.default().schemas()))
    chat = Chat(
        lambda _: engine,
        lambda: FakeSearcher(SearchResult([], 0.1, "")),
        run_tool,
        TEXTS,
        limits=TurnLimits(deadline_s=9.0, question_tokens=55),
    )
    list(chat.answer(asking(menu=menu, search="rhel 8")))
    assert [options.deadline_s for options in engine.options] == [9.0, 9.0]
    assert engine.prompts[1].segments[-2].limit == 55


def test_tools_results_are_cut_to_their_limit() -> None:
    def long(call: ToolCall) -> ToolResult:
        return ToolResult(call.tool, True, {str(i): "x" * 200 for i in range(40)})

    def told(limits: TurnLimits) -> str:
        engine = choosing()
        list(Chat(lambda _: engine, Counting, long, TEXTS, limits=limits).answer(asking(calls=(LIBVIRTD,))))
        return engine.prompts[0].messages[-1][1].partition("<tool_response>\n")[2].partition(" ... (cut)")[0]

    assert (len(told(TurnLimits())), len(told(TurnLimits(tool_result_chars=500)))) == (2400, 500)


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_the_model_may_choose_as_many_checks_as_the_limit_says(rounds: int) -> None:
    calls = [f'{{"name": "process_info", "arguments": {{"top_n": {n}}}}}' for n in range(1, 9)]
    menu = ToolMenu.of("$tools", Registry.default().schemas())
    engine = choosing(*calls)
    chat = Chat(lambda _: engine, Counting, run_tool, TEXTS, limits=TurnLimits(tool_rounds=rounds))
    assert len(checks(list(chat.answer(asking(menu=menu))))) == rounds


def test_what_is_read_ahead_is_what_a_turn_reads_under_the_same_limits() -> None:
    limits, route = TurnLimits(passages=6), RouteText("rhel10", "RHEL 10", ("Is RHEL 8 supported?",))
    engine = choosing()
    list(Chat(lambda _: engine, Counting, run_tool, TEXTS, limits=limits).answer(asking()))
    texts = replace(TEXTS, routes={"rhel10": route})
    ahead = warm_prompts(ScriptedEngine(), texts, Counting(), limits=limits)[-1]
    assert texts_of(ahead) == texts_of(engine.prompts[0])
    assert numbers(ahead.messages[-1][1]) == [1, 2, 3, 4, 5, 6]


def texts_of(prompt: Prompt) -> list[str]:
    return [segment.text for segment in prompt.segments]
