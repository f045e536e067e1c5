"""Read instruction rows and encode each as the engine renders it: the same tokens that the model reads when it serves.

The engine tokenises a prompt piece by piece: scaffolding, system prompt, each passage, the question. A row holds whole
messages, so a message is divided again where the engine divides it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from string import Template
from typing import Any

from model.engine.llama import Llama
from model.engine.prompt import Prompt
from model.prompting.assemble import OPENING, build, inert
from model.prompting.conversation import CITATION, Conversation, MessagePart, PastTurn
from model.prompting.system_prompts import PromptTexts
from model.prompting.template import ChatTemplate
from rag.errors import RowsUnreadable

IGNORED = -100  # the label of a token that is read and not learnt, as torch has it
TOLD, TOLD_END = "<tool_response>\n", "\n</tool_response>\n"
REQUEST = "Request: "  # in front of the question on which a tool is chosen
_FENCE = re.compile(r"^ *(```|~~~)")
_HEADING = "# "

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """A row as tokens. `labels` repeats the tokens of the answer; all before them is IGNORED.

    The first `shared` tokens, up to the end of its passages, are those of other rows about the same passages too.
    """

    tokens: list[int]
    labels: list[int]
    shared: int


def read_split(folder: Path, split: str) -> list[Row]:
    """Return the rows of `folder`/data/`split`.parquet. Raises RowsUnreadable with what to do."""
    import pyarrow
    from pyarrow import parquet

    path = folder / "data" / f"{split}.parquet"
    if not path.is_file():
        raise RowsUnreadable(f"{path} is missing; name the folder of a dataset with --data")
    try:
        rows: list[Row] = parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise RowsUnreadable(f"{path} is no Parquet file that can be read ({error}); make the dataset anew") from error
    for number, row in enumerate(rows, 1):
        roles = [message.get("role") for message in row.get("messages") or ()]
        if len(roles) < 3 or roles != ["system", *["user", "assistant"] * (len(roles) // 2)]:
            raise RowsUnreadable(
                f"row {number} of {path} has the roles {roles}; its messages must be system, user and assistant in turn"
            )
    if not rows:
        raise RowsUnreadable(f"{path} has no rows; make the dataset anew")
    return rows


def parts(content: str, texts: PromptTexts) -> tuple[MessagePart, ...]:
    """Return a user's message in the parts of `model.prompting.assemble.user_message`, or of a tool's choice.

    Raises RowsUnreadable for passages or a result without the line that the prompt texts put behind them today.
    """
    found: list[MessagePart] = []
    if content.startswith(OPENING):
        documents, closing, content = _cut(content, "</documents>\n" + texts.cite)
        found.append(MessagePart(OPENING))
        found += [MessagePart(text, passage=True) for text in _passages(documents.removeprefix(OPENING))]
        found.append(MessagePart(closing))
    if content.startswith(TOLD):
        told, closing, content = _cut(content, TOLD_END + texts.checked)
        found.append(MessagePart(told + closing))
    if near := _near(texts).match(content):
        found.append(MessagePart(near[0]))
        content = content[near.end() :]
    if not found and (at := content.find(REQUEST)) >= 0 and (at == 0 or content[at - 1] == "\n"):
        found.append(MessagePart(content[: at + len(REQUEST)]))
        content = content[at + len(REQUEST) :]
    return (*found, MessagePart(content))


def _cut(content: str, closing: str) -> tuple[str, str, str]:
    before, found, after = content.partition(closing)
    if not found:
        raise RowsUnreadable(
            f"a message lacks {closing.strip()!r} behind its passages or result, so other prompt texts made it; "
            "make the dataset anew"
        )
    return before, found, after


def _passages(documents: str) -> Iterator[str]:
    """Yield each passage; it begins with a heading of the first order, outside of code, behind an empty line."""
    passage, fenced, blank = "", False, True
    for line in documents.splitlines(keepends=True):
        if line.startswith(_HEADING) and blank and not fenced and passage:
            yield passage
            passage = ""
        fenced ^= bool(_FENCE.match(line))
        blank = line == "\n"
        passage += line
    if passage:
        yield passage


def _near(texts: PromptTexts) -> re.Pattern[str]:
    """Return what matches the line before a question whose words no passage holds; nothing matches no such text."""
    words = re.escape(Template(texts.near).safe_substitute(missing="\0")).replace("\0", ".+?")
    return re.compile(words + "\n") if texts.near else re.compile(r"(?!)")


def _fewer(given: Sequence[MessagePart], most: int, cited: Collection[int]) -> tuple[MessagePart, ...]:
    """Return the parts with no more than `most` passages (0: all), in their order."""
    numbers = range(1, 1 + sum(part.passage for part in given))
    kept = set(sorted(numbers, key=lambda number: number not in cited)[: most or len(numbers)])
    number = count(1)
    return tuple(part for part in given if not part.passage or next(number) in kept)


class RowEncoder:
    """Encodes rows for one base model, as its engine renders them.

    passages: the most that the engine gives this model, 0 for all. Raises RowsUnreadable for a base whose answers no
    token ends.
    """

    def __init__(self, base: Llama, texts: PromptTexts, passages: int = 0) -> None:
        self._base, self._texts, self._passages = base, texts, passages
        self._template = ChatTemplate(base.chat_template, base.bos, base.eos)
        self._ending = _ending(self._template, base)

    def prompt(self, row: Row) -> Prompt:
        """Return the prompt before the last answer of a row.

        Where its last message holds more passages than the model is given, those stay that the answer cites.
        """
        system, *talk = row["messages"]
        cited = {citation["passage"] for citation in row.get("citations") or ()}
        past = tuple(
            PastTurn("", answer["content"], "", self._parts(asked))
            for asked, answer in zip(talk[:-2:2], talk[1:-2:2], strict=True)
        )
        return build(Conversation("", past), system["content"], self._parts(talk[-2], cited), self._template, "")

    def encode(self, row: Row, window: int) -> EncodedRow | None:
        """Return a row as the tokens that the model reads and is to write; None where they are more than `window`.

        The answer is without numbers of passages, which the page puts behind its sentences by itself, and ends as the
        chat template ends it. Raises RowsUnreadable.
        """
        prompt, base = self.prompt(row), self._base
        said = inert(CITATION.sub("", row["messages"][-1]["content"])).strip()
        answer = [*base.tokenize(said, control=False), *self._ending]
        pieces = [base.tokenize(segment.text, control=segment.control) for segment in prompt.segments]
        read = list(chain(*pieces))
        if len(read) + len(answer) > window:
            return None
        last = max((at for at, segment in enumerate(prompt.segments) if segment.passage), default=0)
        return EncodedRow([*read, *answer], [IGNORED] * len(read) + answer, sum(map(len, pieces[: last + 1])))

    def _parts(self, message: Row, cited: Collection[int] = ()) -> tuple[MessagePart, ...]:
        return _fewer(parts(message["content"], self._texts), self._passages, cited)


def _ending(template: ChatTemplate, base: Llama) -> list[int]:
    """Return the tokens that end an answer: those behind it in the template, up to the first that stops the engine."""
    behind = base.tokenize(template.scaffold(["system", "user", "assistant", "user"])[3], control=True)
    end = next((at for at, token in enumerate(behind) if base.is_end(token)), None)
    if end is None:
        raise RowsUnreadable("the base's chat template ends an answer with no token that stops it; name another base")
    return behind[: end + 1]
