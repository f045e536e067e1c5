"""Turn a conversation, passages and a question into a prompt whose order keeps the prefix cache warm.

Order: the system prompt, the earlier turns, the lead passage, further passages, a tool's result, the question.
Granite's own template would put documents into the system message, which invalidates everything behind it at
each turn; here they stand in the user's message, in the same `<documents>` form. A passage bears no number, for what
stands in it must not depend on its place; `model.checking.gate` cites it behind what it bears out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import Engine
from model.prompting.conversation import CITATION, Conversation, MessagePart, PastTurn
from model.prompting.plain_text import plain
from model.prompting.template import ChatTemplate, parsed_template
from rag.types import Passage
from tools.diagnosis.summary import is_whole_run, summary
from tools.types import ToolResult

LONGEST_TEXT = 240  # characters of one field, e.g. ping's whole output
LONGEST_SERIES = 8  # entries of one list, e.g. processes
OPENING = "<documents>\n"
UNREVIEWED = " (upstream's own text, not reviewed)"
_MARKUP = re.compile(r"<(?=/?\s*(?:tool_call|tools|tool_response|documents)\b)", re.IGNORECASE)


def inert(text: str) -> str:
    """Return foreign text without hidden characters and without markup that could pass for our own.

    Role tags need no care here: the tokeniser never turns those of foreign text into control tokens.
    """
    return _MARKUP.sub("\u2039", plain(text))


def passage_text(passage: Passage) -> str:
    """Return a passage as the model reads it."""
    origin = "" if passage.reviewed else UNREVIEWED
    return f"{heading(passage)}{origin}\n{inert(passage.text.strip())}\n\n"


def heading(passage: Passage) -> str:
    """Return the line above a passage as the model reads it."""
    return f"# {place(passage)}"


def place(passage: Passage) -> str:
    """Return the line above a passage: its page and the headings it stands under."""
    return inert(" > ".join(dict.fromkeys([passage.title, *passage.headings])))


def user_message(
    question: str,
    passages: Sequence[Passage] = (),
    *,
    cite: str = "",
    told: str = "",
    checked: str = "",
    near: str = "",
    question_tokens: int = 0,
) -> tuple[MessagePart, ...]:
    """Return what the model reads as the visitor's message; the state after the lead passage is worth keeping.

    cite: how to answer from the passages, `PromptTexts.cite`. told: what the tools said, from `tool_text`. checked:
    what to say of it, `PromptTexts.checked`. near: `PromptTexts.near` with what no passage speaks of. question_tokens:
    the most that the question may have, 0 for any.
    """
    blocks: list[MessagePart] = []
    if passages:
        blocks.append(MessagePart(OPENING, boundary=True))
        blocks += [
            MessagePart(passage_text(passage), boundary=number == 0, passage=True)
            for number, passage in enumerate(passages)
        ]
        blocks.append(MessagePart("</documents>\n" + cite))
    if told:
        blocks.append(MessagePart(f"<tool_response>\n{inert(told)}\n</tool_response>\n{checked}"))
    if near:
        blocks.append(MessagePart(inert(near) + "\n", private=True))
    return (*blocks, MessagePart(inert(question), limit=question_tokens, private=True))


def tool_text(results: Sequence[ToolResult], now: float, chars: int) -> str:
    """Return tools' results as the model reads them: compact JSON, cut to `chars` characters for all together.

    For a run of every tool return the rules' diagnosis, which names the few fields of thousands that matter.
    now: as for `tools.diagnosis.summary.summary`.
    """
    if is_whole_run(results):
        return summary(results, now)
    room = chars // max(1, len(results))
    return "\n".join(_one_text(result, room) for result in results)


def _one_text(result: ToolResult, room: int) -> str:
    data = _shortened(result.data)
    content = {"tool": result.tool_name, "success": result.success, "data": data, "error": result.error}
    text = json.dumps(_rounded(content), ensure_ascii=False, separators=(",", ":"), default=str)
    return text if len(text) <= room else text[:room] + " ... (cut)"


def prompt_for(
    engine: Engine,
    conversation: Conversation,
    system_prompt: str,
    asked: Sequence[MessagePart],
    *,
    public: bool = False,
) -> Prompt:
    """Return the prompt for one more turn, without scaffolding for an engine that applies a template of its own."""
    template = parsed_template(engine.chat_template, engine.bos, engine.eos) if engine.chat_template else None
    return build(conversation, system_prompt, asked, template, engine.info.name, public=public)


def build(
    conversation: Conversation,
    system_prompt: str,
    asked: Sequence[MessagePart],
    template: ChatTemplate | None,
    engine: str,
    *,
    public: bool = False,
) -> Prompt:
    """Return the prompt for one more turn. Earlier answers go in as the tokens that `engine` wrote, else as text.

    The text goes in without the numbers that were put behind its sentences: the passages have none here.

    template: None for an engine that takes messages and applies a template of its own. public: the question is ours,
    such as a starter, so the cache may keep the state of the whole prompt on disk.
    """
    visible = conversation.visible
    roles = ["system", *(role for _ in visible for role in ("user", "assistant")), "user"]
    contents = [[PromptSegment(system_prompt, boundary=True)]]
    for turn in visible:
        contents += [_segments(turn.asked), [_answer(turn, engine)]]
    contents.append(_segments(asked))
    scaffold = template.scaffold(roles) if template else [""] * (len(roles) + 1)
    segments: list[PromptSegment] = []
    for i, (role, content) in enumerate(zip(roles, contents, strict=True)):
        number = (i + 1) // 2  # the system prompt is 0, then a question and its answer share a number
        segments.append(PromptSegment(scaffold[i], control=True, turn=number))
        segments += [replace(s, role=role, turn=number, private=s.private and not public) for s in content]
    segments.append(PromptSegment(scaffold[-1], control=True, boundary=True, turn=number))
    return Prompt(tuple(segments), _head(system_prompt, template) if template else ())


def _head(system_prompt: str, template: ChatTemplate) -> tuple[PromptSegment, ...]:
    """Return what stands before the lead passage of a first question."""
    opens, asks, _ = template.scaffold(["system", "user"])
    return (
        PromptSegment(opens, control=True),
        PromptSegment(system_prompt, boundary=True, role="system"),
        PromptSegment(asks, control=True, turn=1),
        PromptSegment(OPENING, boundary=True, turn=1, role="user"),
    )


def _segments(parts: Sequence[MessagePart]) -> list[PromptSegment]:
    return [
        PromptSegment(part.text, boundary=part.boundary, passage=part.passage, private=part.private, limit=part.limit)
        for part in parts
    ]


def _answer(turn: PastTurn, engine: str) -> PromptSegment:
    tokens = turn.tokens if turn.tokens and turn.engine == engine else None
    return PromptSegment(inert(CITATION.sub("", turn.answer)), tokens, boundary=True, private=True)


def _shortened(value: object) -> object:
    """Return a value without what costs many tokens and tells little: long raw output, later entries of series."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[:LONGEST_TEXT] + "..."
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(item) for item in value[:LONGEST_SERIES]]
    return value


def _rounded(value: object) -> object:
    """Return a value with its numbers rounded to three decimals: a model needs no more, and each digit is a token."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
