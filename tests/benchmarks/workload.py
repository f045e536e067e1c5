"""A documentation chat: several visitors take turns, each turn bringing two passages and a question.

The numbers are those of the peers' benchmark: a system prompt of ~450 tokens, passages of ~2 x 120, all different.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.engine.prompt import Prompt, PromptSegment
from model.prompting.template import ChatTemplate

CORPUS = Path(__file__).parents[2] / "rag" / "corpus"
SYSTEM_WORDS, PASSAGE_WORDS = 360, 95


@dataclass(frozen=True, slots=True)
class Message:
    """One visitor's message; all four joined are what a peer is sent."""

    question: str
    opening: str = ""
    lead: str = ""
    rest: str = ""


Workload = tuple[str, Callable[[int, int], Message]]


def workload(visitors: int, turns: int, peers: Path | None = None) -> Workload:
    """(system, message(visitor, turn)); the very texts of the peers' script where that is given."""
    if peers is None:
        return _own(turns)
    spec = importlib.util.spec_from_file_location("peers", peers)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(peers)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    system, question = module.workload(visitors, turns)
    return system, lambda visitor, turn: _split(question(visitor, turn))


def _own(turns: int) -> Workload:
    text = " ".join(page.read_text() for page in sorted(CORPUS.glob("*.md")))
    words = re.findall(r"[A-Za-z][a-z]+", text)

    def run(start: int, count: int) -> str:
        return " ".join(words[start : start + count])

    def message(visitor: int, turn: int) -> Message:
        at = 1000 + (visitor * turns + turn) * 200
        lead, rest = run(at, PASSAGE_WORDS), run(at + 100, PASSAGE_WORDS)
        asked = f"Visitor {visitor}, question {turn}: how do I do that on RHEL 10?"
        return _split(f"Passages:\n[1] {lead}\n[2] {rest}\n\n{asked}")

    return "You guide visitors and answer from the passages. " + run(0, SYSTEM_WORDS), message


def _split(text: str) -> Message:
    opening, _, passages = text.partition("\n")
    lead, _, rest = passages.partition("\n[2] ")
    passage, _, question = rest.partition("\n\n")
    return Message(question, opening + "\n", lead + "\n", f"[2] {passage}\n\n")


def prompt(
    template: ChatTemplate, system: str, messages: Sequence[Message], answers: Sequence[tuple[int, ...]]
) -> Prompt:
    """The prompt for the last message, given the tokens of the answers to those before it."""
    roles = ["system", *(role for _ in answers for role in ("user", "assistant")), "user"]
    scaffold = template.scaffold(roles)
    opening = messages[0].opening if messages else ""
    head = (
        PromptSegment(scaffold[0], control=True),
        PromptSegment(system, boundary=True),
        PromptSegment(template.scaffold(["system", "user"])[1], control=True, turn=1),
        PromptSegment(opening, boundary=True, turn=1),
    )
    segments = [PromptSegment(scaffold[0], control=True), PromptSegment(system, boundary=True)]
    for turn, message in enumerate(messages, start=1):
        segments += [
            PromptSegment(scaffold[2 * turn - 1], control=True, turn=turn),
            PromptSegment(message.opening, boundary=True, turn=turn),
            PromptSegment(message.lead, boundary=True, passage=True, turn=turn),
            PromptSegment(message.rest, passage=True, turn=turn),
            PromptSegment(message.question, private=True, turn=turn),
            PromptSegment(scaffold[2 * turn], control=True, turn=turn),
        ]
        if turn <= len(answers):
            segments.append(PromptSegment(tokens=answers[turn - 1], boundary=True, private=True, turn=turn))
    return Prompt(tuple(segments), head)
