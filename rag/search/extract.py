"""Extract the sentences, table rows or command block of a passage that answer a question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.index.lexical import term_sets
from rag.search.query import Query
from rag.search.segments import Scored, Segment, asks_command
from rag.types import Unit

WHOLE_CHARS = 1_000  # a section of a reviewed page is quoted whole up to here: its warning stays beside its command
ADDING = (4.0, 3.0)  # logits by which the second and the third passage may trail the first and still add to it
ADDED_SENTENCES, ADDED_ENTRIES = 4, 5  # of each passage that adds
ADDED_LEAST, ADDED_MOST = 250, 600  # characters of it: what the passages before it leave of READ_CHARS
READ_CHARS = 1_300  # of an extract that others add to; nobody reads more before the text

MAX_SENTENCES = 3
MAX_CHARS = 600  # a visitor reads so much before the first token arrives
MAX_GROUP, MAX_GROUP_CHARS = 14, 1300  # entries of a list or table; a visitor scans them rather than reads
LISTED = frozenset({"item", "row"})
MAX_CODE_LINES = 14
NEAR = 0.55  # a further segment must score at least this share of the best
_ASKS_LIST = re.compile(
    r"\b(?:which|what (?:are|kinds?|types?)|lists?|all|every|each|names?|kinds|types|options|variables|vars|systems"
    r"|distros|tools|ports|parameters|params|steps|order|requirements|components|parts|pieces)\b",
    re.IGNORECASE,
)
_ASKS_EXAMPLE = re.compile(r"\b(?:examples?|snippets?|samples?|exact (?:commands?|syntax))\b", re.IGNORECASE)
_WARNS = re.compile(
    r"\b(?:delet|destroy|wip(?:e|ing)|overwrit|eras|remov|replac|expos|irrevers|los[et]|unprotected|danger|warning"
    r"|at once|without (?:a |any )?(?:login|key|password|asking|confirmation))\w*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A passage in the order of a search: its unit, its scored segments and its relevance (a logit)."""

    unit: Unit
    scored: Sequence[Scored]
    relevance: float


@dataclass(frozen=True, slots=True)
class Extract:
    """What passages say, as Markdown with citations [n], and the numbers n that it cites, counted from 1."""

    text: str
    cited: tuple[int, ...]


def answer(found: Sequence[Found], query: Query) -> Extract:
    """Return what the best passages say: the first nearly whole, and what others add.

    The numbers count `found` from 1. A section of a reviewed page up to WHOLE_CHARS is quoted whole.
    """
    if not found:
        return Extract("", ())
    first = found[0]
    whole = _body(first.unit) if first.unit.sources else ""
    lead = whole if 0 < len(whole) <= WHOLE_CHARS else compose(first.scored, query)
    parts = {1: lead} if lead else {}
    for number, (other, margin) in enumerate(zip(found[1:], ADDING, strict=False), 2):
        room = max(ADDED_LEAST, min(ADDED_MOST, READ_CHARS - sum(map(len, parts.values()))))
        if parts and other.relevance >= first.relevance - margin and (more := _added(other.scored, room)):
            parts[number] = more
    return Extract("\n\n".join(_cited(text, number) for number, text in parts.items()), tuple(parts))


def _cited(text: str, number: int) -> str:
    """Return text with its citation; behind a closing fence it would keep the block open for all that follows."""
    return f"{text}\n\n[{number}]" if text.endswith(("```", "~~~", "|")) else f"{text} [{number}]"


def _body(unit: Unit) -> str:
    """Return the text of a unit without its headings."""
    blocks = [(kind, unit.text[start:end]) for kind, start, end in unit.spans if kind != "heading"]
    text, before = "", ""
    for kind, block in blocks:
        text += ("\n" if before == kind == "item" else "\n\n" if text else "") + block
        before = kind
    return text


def _added(scored: Sequence[Scored], room: int) -> str:
    """Return the best sentences or entries of a passage, up to `room` characters where the best is not longer.

    Commands stay out: their warnings might be left behind.
    """
    said = [item for item in scored if item.segment.kind != "code" and not item.segment.text.endswith(":")]
    if not said:
        return ""
    at = max(range(len(said)), key=lambda number: said[number].score)
    if said[at].segment.kind in LISTED:
        near = NEAR * said[at].score
        entries = (n for n in _of_group(said, at, ADDED_ENTRIES, room) if n == at or said[n].score >= near)
        return _render([said[n].segment for n in entries])
    return _render([said[n].segment for n in _sentences(said, at, ADDED_SENTENCES, room)])


def excerpt(scored: Sequence[Scored], query: Query) -> str:
    """Return the one sentence, row or command line that answers best; "" for a passage without any."""
    if not scored:
        return ""
    best = max(scored, key=lambda item: item.score).segment
    return _command_line(best.text, set(query.terms)) if best.kind == "code" else best.text


def compose(scored: Sequence[Scored], query: Query) -> str:
    """Return the best answer of one passage as Markdown: a command block, a list or table, or sentences in order."""
    if not scored:
        return ""
    every = [item.segment for item in scored]
    blocks = [number for number, segment in enumerate(every) if segment.kind == "code"]
    at = max(
        (_ASKS_EXAMPLE.search(query.text) and blocks) or range(len(scored)), key=lambda number: scored[number].score
    )
    best = every[at]
    if best.kind == "code":
        warning = next((part.text for part in every[:at] if part.kind != "code" and _WARNS.search(part.text)), "")
        return _code(best) if warning in best.lead else f"{warning}\n\n{_code(best)}"
    if best.kind in LISTED:
        return _render([*_introduction(every, at), *(every[number] for number in _of_group(scored, at))])
    chosen = _sentences(scored, at)
    warnings = (
        number for number, segment in enumerate(every) if segment.kind != "code" and _WARNS.search(segment.text)
    )
    chosen = sorted({*chosen, *list(warnings)[:1]})  # no command without the passage's warning
    said = [number for number in chosen if every[number].kind not in LISTED]
    listed = [number for number in chosen if every[number].kind in LISTED]
    following = said[-1] + 1
    if not listed and _ASKS_LIST.search(query.text) and following < len(every) and every[following].kind in LISTED:
        listed = [following]
    group = _of_group(scored, listed[0]) if listed else []  # a visitor would take half a table for the whole
    whole = [every[number] for number in sorted({*said, *group})]
    return _render(_with_introduced(whole, every, asks_command(query.text)))


def _sentences(scored: Sequence[Scored], best: int, most: int = MAX_SENTENCES, chars: int = MAX_CHARS) -> list[int]:
    """Return the numbers of the best sentence and of the segments that add to it, in the order of the text."""
    chosen, size = [best], len(scored[best].segment.text)
    for at in sorted(range(len(scored)), key=lambda number: -scored[number].score):
        item = scored[at]
        if at == best or scored[best].segment.text.endswith(":") or item.segment.text.endswith("?"):
            continue  # the segments behind a lead-in are the answer; a question in the text is none
        near = item.score >= NEAR * scored[best].score and item.segment.kind != "code"
        follows = at == best + 1 and item.segment.paragraph == scored[best].segment.paragraph
        if len(chosen) < most and size + len(item.segment.text) <= chars and (near or follows):
            chosen.append(at)
            size += len(item.segment.text)
    return sorted(chosen)


def _introduction(every: Sequence[Segment], at: int) -> list[Segment]:
    """Return the sentences that introduce a list or table at `at`: the passage's first and the one just before."""
    start = next(number for number, segment in enumerate(every) if segment.paragraph == every[at].paragraph)
    if start and every[start].kind == "item":  # the items of one list are paragraphs of their own
        while start and every[start - 1].kind == "item":
            start -= 1
    before = dict.fromkeys(number for number in (0, start - 1) if 0 <= number < start)
    return [every[number] for number in before if every[number].kind == "sentence"]


def _of_group(scored: Sequence[Scored], at: int, most: int = MAX_GROUP, chars: int = MAX_GROUP_CHARS) -> list[int]:
    """Return the numbers of the entries in the list or table around `at`: all of a short one, else the best."""
    start = end = at
    while start and _same_group(scored[start - 1].segment, scored[at].segment):
        start -= 1
    while end + 1 < len(scored) and _same_group(scored[end + 1].segment, scored[at].segment):
        end += 1
    numbers = sorted(range(start, end + 1), key=lambda number: -scored[number].score)
    kept: list[int] = []
    size = len(scored[at].segment.head)
    for number in numbers:
        size += len(scored[number].segment.text)
        if kept and (size > chars or len(kept) >= most):
            break
        kept.append(number)
    return sorted(kept)


def _same_group(one: Segment, other: Segment) -> bool:
    return one.kind == other.kind and (one.kind == "item" or one.paragraph == other.paragraph)


def _with_introduced(chosen: list[Segment], every: list[Segment], wants_command: bool) -> list[Segment]:
    """Return `chosen` with the segments behind each lead-in ("Run:"), and without lead-ins that introduce nothing.

    With `wants_command`, every sentence brings the command block that stands right behind it.
    """
    whole: list[Segment] = []
    for segment in chosen:
        introduced = [other for other in every if other.lead == segment.text and segment.text]
        if not segment.text.endswith(":"):
            commands = [other for other in introduced if other.kind == "code"] if wants_command else []
            whole += [part for part in (segment, *commands) if part not in whole]
        elif introduced:
            whole += [segment, *(other for other in introduced[:MAX_GROUP] if other not in whole)]
    return whole or chosen


def _command_line(block: str, wanted: set[str]) -> str:
    lines = [line.strip() for line in block.split("\n")[1:-1] if line.strip() and not line.strip().startswith("#")]
    held = dict(zip(lines, term_sets(lines), strict=True))
    return max(lines, key=lambda line: len(wanted & held[line]), default=block)


def _code(segment: Segment) -> str:
    lead = segment.lead if len(segment.lead) <= MAX_CHARS else ""
    return "\n\n".join(part for part in (lead, _shortened(segment.text)) if part)


def _shortened(block: str) -> str:
    """Return a fenced block with at most MAX_CODE_LINES lines, fences included."""
    lines = block.split("\n")
    return block if len(lines) <= MAX_CODE_LINES else "\n".join([*lines[: MAX_CODE_LINES - 1], lines[-1]])


def _render(chosen: list[Segment]) -> str:
    """Join segments: sentences of a paragraph by a space, list items by a line end, rows under their header."""
    text = ""
    before: Segment | None = None
    for segment in chosen:
        same = before is not None and before.kind == segment.kind and before.paragraph == segment.paragraph
        if segment.kind == "row" and not same:
            text += f"\n\n{segment.head}\n{segment.text}"
        elif segment.kind == "code":
            text += f"\n\n{_shortened(segment.text)}"
        elif segment.kind == "sentence" and same:
            text += f" {segment.text}"
        elif segment.kind in {"item", "row"} and before is not None and before.kind == segment.kind:
            text += f"\n{segment.text}"
        else:
            text += f"\n\n{segment.text}"
        before = segment
    return text.strip()
