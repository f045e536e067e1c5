"""The rows of the data set: what is trained on, in the app's own prompt form, and what it was made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from model.engine.scripted import ScriptedEngine
from model.prompting.assemble import prompt_for
from model.prompting.conversation import Conversation, MessagePart
from rag.types import Passage

try:
    import pyarrow as pa
except ImportError as error:
    from rag.errors import RagError

    raise RagError("writing the rows needs pyarrow, which is not installed; run: make setup-full") from error

Kind = Literal["answer", "abstain", "tool_call", "tool_reading"]
Message = tuple[str, str]  # role and content

_PASSAGE = pa.struct(
    [
        ("title", pa.string()),
        ("headings", pa.list_(pa.string())),
        ("page", pa.string()),
        ("first_line", pa.int32()),
        ("last_line", pa.int32()),
        ("text", pa.string()),
    ]
)
_CITATION = pa.struct(
    [("passage", pa.int32()), ("page", pa.string()), ("first_line", pa.int32()), ("last_line", pa.int32())]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("kind", pa.string()),
        ("language", pa.string()),
        ("pages", pa.list_(pa.string())),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("question", pa.string()),
        ("passages", pa.list_(_PASSAGE)),
        ("answer", pa.string()),
        ("citations", pa.list_(_CITATION)),
        ("source", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class InstructionRow:
    """One example. The last of `messages` is the answer; `passages` stand in the question before it, in their order.

    `cited`: numbers of the passages that the answer rests on, counted from 1; the answer itself carries no numbers.
    `group`: what must not be parted between splits where no page decides.
    """

    kind: Kind
    language: str
    messages: tuple[Message, ...]
    question: str
    answer: str
    source: str
    passages: tuple[Passage, ...] = ()
    cited: tuple[int, ...] = ()
    group: str = field(default="", compare=False)

    @property
    def pages(self) -> list[str]:
        """The pages whose text the row shows, sorted."""
        return sorted({passage.path for passage in self.passages})

    def as_dict(self) -> dict[str, Any]:
        """Return the row as SCHEMA has it."""
        told = json.dumps(self.messages, ensure_ascii=False)
        return {
            "id": hashlib.blake2b(f"{self.kind}\x1f{told}".encode(), digest_size=8).hexdigest(),
            "kind": self.kind,
            "language": self.language,
            "pages": self.pages,
            "messages": [{"role": role, "content": content} for role, content in self.messages],
            "question": self.question,
            "passages": [_shown(passage) for passage in self.passages],
            "answer": self.answer,
            "citations": [_citation(number, self.passages[number - 1]) for number in self.cited],
            "source": self.source,
        }


def messages(brief: str, asked: Sequence[MessagePart], answer: str) -> tuple[Message, ...]:
    """Return the messages of one turn as the app's own prompt has them, with the answer behind."""
    prompt = prompt_for(ScriptedEngine(), Conversation.new(), brief, asked)
    return (*prompt.messages, ("assistant", answer))


def _shown(passage: Passage) -> dict[str, Any]:
    return {
        "title": passage.title,
        "headings": list(passage.headings),
        "page": passage.path,
        "first_line": passage.lines[0],
        "last_line": passage.lines[1],
        "text": passage.text,
    }


def _citation(number: int, passage: Passage) -> dict[str, Any]:
    first, last = passage.lines
    return {"passage": number, "page": passage.path, "first_line": first, "last_line": last}
