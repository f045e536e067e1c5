"""The instant extract: the sentences, the table rows or the command block of the passages that answer the question."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rag.lexical import terms
from rag.query import Query
from rag.segments import Segment, segments

MAX_SENTENCES = 3
MAX_ITEMS = 6  # of a list that a chosen sentence introduces
MAX_CHARS = 600  # what is read before the first token arrives
MAX_CODE_LINES = 14
NEAR = 0.55  # a further segment must score at least this share of the best
FIRST = 0.12  # the first sentence of a section states its point more often than not
EXPANSION = 0.4
_ASKS_COMMAND = re.compile(
    r"\b(command|commands|cmd|cli|syntax|shell|run|type|trigger|install|enable|disable|start|stop|restart|create|set"
    r"|export|list|check|deploy|build|delete|remove|add|configure|how (?:do|can|to)|example|snippet|curl)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Scored:
    """A segment with its relevance to the question, 0..~2."""

    segment: Segment
    score: float


def score_segments(
    text: str, query: Query, idf: Callable[[str], float], similarity: Callable[[str], float]
) -> list[Scored]:
    """Score every segment of a passage; `similarity` is the cosine of the chunk that holds a segment."""
    weights = {term: idf(term) for term in query.terms} | {term: EXPANSION * idf(term) for term in query.expansions}
    total = sum(idf(term) for term in query.terms) or 1.0
    wants_command = bool(_ASKS_COMMAND.search(query.text))
    scored: list[Scored] = []
    for at, segment in enumerate(segments(text)):
        own = _term_set(segment.text)
        led = _term_set(segment.lead) - own
        overlap = sum(weights.get(term, 0.0) for term in own) + 0.5 * sum(weights.get(term, 0.0) for term in led)
        score = overlap / total + similarity(segment.text) + (FIRST if at == 0 else 0.0)
        if segment.kind == "code":
            score += 0.15 if wants_command else -0.15
        scored.append(Scored(segment, score))
    return scored


@lru_cache(maxsize=50_000)
def _term_set(text: str) -> frozenset[str]:
    return frozenset(terms(text))


def excerpt(scored: Sequence[Scored], query: Query) -> str:
    """Return the one sentence, row or command line that matters; "" for a passage without any."""
    if not scored:
        return ""
    best = max(scored, key=lambda item: item.score).segment
    return _command_line(best.text, set(query.terms)) if best.kind == "code" else best.text


def compose(scored: Sequence[Scored]) -> str:
    """Return the best two or three segments of one passage as Markdown, in the order of the text."""
    if not scored:
        return ""
    order = sorted(range(len(scored)), key=lambda at: -scored[at].score)
    best = scored[order[0]]
    if best.segment.kind == "code":
        return _code(best.segment)
    chosen = [order[0]]
    size = len(best.segment.text)
    for at in order[1:]:
        item = scored[at]
        if best.segment.text.endswith(":"):
            break  # what it introduces is the answer
        near = item.score >= NEAR * best.score and item.segment.kind != "code"
        follows = at == order[0] + 1 and item.segment.paragraph == best.segment.paragraph
        if len(chosen) < MAX_SENTENCES and size + len(item.segment.text) <= MAX_CHARS and (near or follows):
            chosen.append(at)
            size += len(item.segment.text)
    return _render(_with_introduced([scored[at].segment for at in sorted(chosen)], [item.segment for item in scored]))


def _with_introduced(chosen: list[Segment], every: list[Segment]) -> list[Segment]:
    """Follow each lead-in ("Run:") by what it introduces; alone it says nothing, so one of nothing is left out."""
    whole: list[Segment] = []
    for segment in chosen:
        if not segment.text.endswith(":"):
            whole += [] if segment in whole else [segment]
            continue
        introduced = [other for other in every if other.lead == segment.text]
        if introduced:
            whole += [segment, *(other for other in introduced[:MAX_ITEMS] if other not in whole)]
    return whole or chosen


def _command_line(block: str, wanted: set[str]) -> str:
    lines = [line.strip() for line in block.split("\n")[1:-1] if line.strip() and not line.strip().startswith("#")]
    return max(lines, key=lambda line: len(wanted & set(terms(line))), default=block)


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
