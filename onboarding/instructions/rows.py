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

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_PLACE = {"page": _TEXT, "first_line": pa.int32(), "last_line": pa.int32()}
_PASSAGE = {"title": _TEXT, "headings": _TEXTS, **_PLACE, "text": _TEXT}
SCHEMA = pa.schema(
    {
        "id": _TEXT,
        "kind": _TEXT,
        "language": _TEXT,
        "pages": _TEXTS,
        "messages": pa.list_(pa.struct({"role": _TEXT, "content": _TEXT})),
        "question": _TEXT,
        "passages": pa.list_(pa.struct(_PASSAGE)),
        "answer": _TEXT,
        "citations": pa.list_(pa.struct({"passage": pa.int32(), **_PLACE})),
        "source": _TEXT,
    }
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
            "passages": [
                {"title": one.title, "headings": one.headings, **_place(one), "text": one.text} for one in self.passages
            ],
            "answer": self.answer,
            "citations": [{"passage": number, **_place(self.passages[number - 1])} for number in self.cited],
            "source": self.source,
        }


def messages(brief: str, asked: Sequence[MessagePart], answer: str) -> tuple[Message, ...]:
    """Return the messages of one turn as the app's own prompt has them, with the answer behind."""
    prompt = prompt_for(ScriptedEngine(), Conversation.new(), brief, asked)
    return (*prompt.messages, ("assistant", answer))


def listed(parts: Sequence[str]) -> str:
    """Return the parts as a list within a sentence."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _place(passage: Passage) -> dict[str, Any]:
    first, last = passage.lines
    return {"page": passage.path, "first_line": first, "last_line": last}
