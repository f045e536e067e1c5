"""Write the answer to a question from the sentences of one passage, so that it is grounded by construction."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.search.segments import Scored, Segment, asks_command

SHORT_CHARS = 550  # a passage up to here is told whole
MOST_CHARS = 600  # of the prose of an answer; about 150 tokens
FEWEST_SENTENCES, MOST_SENTENCES = 3, 5
SMALL_GROUP = 4  # rows of a table that no answer takes apart
MOST_ROWS = 6  # of a table or list, where not all of it is told
WHOLE_GROUP, WHOLE_GROUP_CHARS = 9, 800  # rows and characters up to which a table or list is told whole
NEAR, NEAR_ROW = 0.62, 0.8  # a further sentence or row must score at least this share of the best
LONGEST = 1_200  # characters of an answer; 320 tokens are the most that the app lets a model write

_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)\s]*\)")
_ASIDE = re.compile(rf"\s*\((?:see (?:also )?)?{_LINK.pattern}(?:(?:,| and) {_LINK.pattern})*\)")
_SEE = re.compile(rf"[,;:]? (?:see|as in|details in|more in) {_LINK.pattern}(?=[.;,]|$)")
_POINTS = re.compile(  # a sentence that only says where to read on, or speaks of what stands elsewhere on the page
    rf"^(?:See|Compare|Details|More|For|Read|Continue|How|What|Which)\b.*{_LINK.pattern}[^.]*\.?$"
    rf"|: {_LINK.pattern}(?:(?:,| and) {_LINK.pattern})*\.$|^{_LINK.pattern}(?:(?:,| and) {_LINK.pattern})* \w+"
    rf"|^(?:If|When|Where|In|On|To|With|Whether)\b[^,;:]*[,;:]? (?:see|compare) {_LINK.pattern}\.$"
    r"|\b(?:commands?|sections?|steps?|tables?|lists?|one|ones) (?:above|below)\b"
    r"|\bthe (?:sections? (?:above|below)|(?:next|previous) section)\b"
)
# a sentence that opens so is not understood without the one before it
_LEANS = re.compile(
    r"^(?:\W*)(?:It|Its|They|Their|Them|This|That|These|Those|He|She|Both|Neither|Either|Then|There|So|But|And|Or"
    r"|Otherwise|Instead|Therefore|However|Only then|The same|Such|Else|Also|Hence|Here|Without (?:it|them|that)"
    r"|In (?:that|this) case|The (?:first|second|third|last|latter|former|other|others|rest)|Afterwards|Nor|Yet"
    r"|Another|Others|Each|Any other|All (?:of them|others|three|four|five)|One)\b"
)
_ASKS_ALL = re.compile(
    r"\b(?:which|what (?:are|kinds?|types?|env|variables)|lists?|all|every|each|names?|options|variables|steps"
    r"|parameters|params|routes|endpoints|terms)\b",
    re.IGNORECASE,
)
_OPENS = re.compile(r"\b(?:these|the following|as follows)\b(?!.*\.\s).{0,60}$", re.IGNORECASE)
_ASKS_FACT = re.compile(r"(?:what|which|who|whose|why|where|when|is|are|does|do|can|may|will|has|did)\b", re.IGNORECASE)
_PLAIN_HEADS = frozenset({"meaning", "does", "says", "what it does", "what it means", "holds", "what", "needs"})


def told(text: str) -> str:
    """Return a piece of a page without its links to other pages, which lead nowhere in an answer."""
    return _LINK.sub(r"\1", _SEE.sub("", _ASIDE.sub("", text))).strip()


def row_told(head: str, row: str) -> str:
    """Return a table row in words: its first cell, then each further cell under the name of its column."""
    subject, pairs = _read(head, row)
    if not pairs:
        return ""
    if pairs[0][0] in _PLAIN_HEADS:
        return "; ".join([f"{subject}: {pairs[0][1]}", *(f"{name}: {cell}" for name, cell in pairs[1:])])
    return f"{subject} - " + "; ".join(f"{name}: {cell}" for name, cell in pairs)


def row_answer(head: str, row: str) -> str:
    """Return a row as the answer to a question about it alone, with the name of every column; "" for an empty one."""
    subject, pairs = _read(head, row)
    if not pairs:
        return ""
    (name, cell), *others = pairs
    if name.startswith("parameters") and cell.lower().rstrip(".") == "none":
        first = f"{subject} takes no parameters"
    else:
        first = {
            "meaning": f"{subject} means {cell}",
            "parameters": f"{subject} takes the parameters {cell}",
            "parameters (default)": f"{subject} takes the parameters {cell}, with defaults in brackets",
            "default": f"The default of {subject} is {cell}",
            "does": f"{subject} does this: {cell}",
        }.get(name, f"{subject} - {name}: {cell}")
    return "; ".join([first.rstrip("."), *(f"{name}: {cell}".rstrip(".") for name, cell in others)]) + "."


def _read(head: str, row: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a table row's first cell, and its further cells that hold something, each with its column's name."""
    names, cells = cells_of(head.split("\n")[0]), [told(cell) for cell in cells_of(row)]
    pairs = zip(names[1:], cells[1:], strict=False)
    return cells[0], [(_lower(name), cell) for name, cell in pairs if cell not in ("", "-")]


def written_answer(question: str, scored: Sequence[Scored], *, whole: bool = False) -> str:
    """Return the answer from a passage's scored segments, in their order; "" where they give no whole one.

    whole: the question asks for the section as such, so a table or list in it is told whole or there is no answer.
    """
    every = [item for item in scored if not _POINTS.search(item.segment.text) and told(item.segment.text)]
    if not every:
        return ""
    size = sum(len(told(item.segment.text)) for item in every)
    prose = sum(item.segment.kind == "sentence" for item in every)
    is_short = size <= SHORT_CHARS and prose <= MOST_SENTENCES and not any(i.segment.kind == "row" for i in every)
    chosen = set(range(len(every))) if is_short else _chosen(question, every, whole=whole)
    best = max(range(len(every)), key=lambda at: every[at].score)
    if best and 0 in chosen and _LEANS.match(every[0].segment.text) and len(chosen) > 1:
        chosen.discard(0)  # nothing says what it speaks of
    if whole and _left(chosen, every):
        return ""
    return _rendered([every[at].segment for at in sorted(_closed(chosen, every))])


def _chosen(question: str, every: Sequence[Scored], *, whole: bool) -> set[int]:
    """Return the best segment and what adds to it."""
    scores = [item.score for item in every]
    best = max(range(len(every)), key=scores.__getitem__)
    chosen = {best}
    listed = [at for at, item in enumerate(every) if item.segment.kind in ("row", "item")]
    if every[best].segment.kind in ("row", "item"):
        group = [at for at in listed if _same(every[at], every[best])]
        near = [at for at in group if scores[at] >= NEAR_ROW * scores[best]]
        is_all = whole or _ASKS_ALL.search(question) or len(near) > len(group) / 2 or len(group) <= SMALL_GROUP
        is_all = is_all and _fits(group, every)
        chosen |= set(group if is_all else sorted(near, key=lambda at: -scores[at])[:MOST_ROWS])
    elif listed and (whole or _ASKS_ALL.search(question) or best + 1 == listed[0]):
        group = [at for at in listed if _same(every[at], every[listed[0]])]
        chosen |= set(group) if _fits(group, every) else set()
    commands = [at for at, item in enumerate(every) if item.segment.kind == "code"]
    if commands and (whole or asks_command(question) or not _ASKS_FACT.match(question)):
        chosen.add(max(commands, key=scores.__getitem__))
    if all(every[at].segment.kind in ("row", "item") for at in chosen) and every[0].segment.kind == "sentence":
        chosen.add(0)  # what the entries are of
    room = MOST_CHARS - sum(len(every[at].segment.text) for at in chosen if every[at].segment.kind == "sentence")
    prose = [at for at, item in enumerate(every) if item.segment.kind == "sentence" and at not in chosen]
    for at in sorted(prose, key=lambda at: -_worth(at, best, every)):
        sentences = sum(every[n].segment.kind == "sentence" for n in chosen)
        length = len(every[at].segment.text)
        is_near = sentences < FEWEST_SENTENCES or _worth(at, best, every) >= NEAR * scores[best]
        if sentences < MOST_SENTENCES and length <= room and is_near:
            chosen.add(at)
            room -= length
    return chosen


def _fits(group: Sequence[int], every: Sequence[Scored]) -> bool:
    size = sum(len(every[at].segment.text) for at in group)
    return len(group) <= WHOLE_GROUP and size <= WHOLE_GROUP_CHARS


def _left(chosen: set[int], every: Sequence[Scored]) -> bool:
    """Return True where entries of a table or list were left out."""
    return any(item.segment.kind in ("row", "item") and at not in chosen for at, item in enumerate(every))


def _worth(at: int, best: int, every: Sequence[Scored]) -> float:
    """Return the score of a sentence; the one right behind the best goes on with it, and the first states the point."""
    follows = at == best + 1 and every[at].segment.paragraph == every[best].segment.paragraph
    return every[at].score + 0.1 * follows + 0.1 * (at == 0)


def _closed(chosen: set[int], every: Sequence[Scored]) -> set[int]:
    """Return `chosen` with what its pieces lean on: the sentence before, a command's lead, what a lead-in opens."""
    whole, todo = set[int](), sorted(chosen)
    while todo:
        at = todo.pop()
        if at in whole:
            continue
        whole.add(at)
        segment = every[at].segment
        if segment.kind == "sentence" and segment.text.count("`") % 2:  # cut within a code span
            ahead = sum(item.segment.text.count("`") for item in every[:at] if _beside(item, every[at])) % 2
            todo += [n for n in (at - 1 if ahead else at + 1,) if 0 <= n < len(every)]
        if segment.kind == "sentence" and at and _LEANS.match(segment.text):
            todo += [n for n in (at - 1,) if every[n].segment.kind == "sentence"]
        if segment.kind == "code":
            todo += [n for n in range(at) if every[n].segment.text == segment.lead][-1:]
        if segment.kind == "sentence":  # a command belongs to its sentence, a list to its lead-in
            led = [n for n, item in enumerate(every) if item.segment.lead == segment.text and n > at]
            commands = [n for n in led if every[n].segment.kind == "code"]
            todo += led[:WHOLE_GROUP] if segment.text.endswith(":") else commands[:1]
        if segment.kind in ("row", "item") and segment.lead:
            todo += [n for n in range(at) if every[n].segment.text == segment.lead][-1:]
    return whole


def _beside(one: Scored, other: Scored) -> bool:
    return one.segment.kind == "sentence" and one.segment.paragraph == other.segment.paragraph


def _rendered(segments: Sequence[Segment]) -> str:
    text, before, said = "", "", ""
    for number, segment in enumerate(segments):
        piece = _piece(segment)
        is_last = number + 1 == len(segments) or segments[number + 1].kind == "sentence"
        if segment.kind in ("sentence", "item") and piece.endswith(":") and is_last:
            piece = piece[:-1] + "."  # what it opened is not here
        if piece:
            joint = {"row": "\n", "item": "\n", "sentence": " "}.get(segment.kind) if segment.kind == before else None
            text += piece if not text else (joint or "\n\n") + piece
            before, said = segment.kind, piece
    return "" if len(text) > LONGEST or _OPENS.search(said) else text


def _piece(segment: Segment) -> str:
    if segment.kind == "code":
        return segment.text
    if segment.kind == "row":
        row = row_told(segment.head, segment.text)
        return f"- {row}" if row else ""
    return told(segment.text)


def _same(one: Scored, other: Scored) -> bool:
    return one.segment.paragraph == other.segment.paragraph or one.segment.kind == "item"


def cells_of(row: str) -> list[str]:
    """Return the cells of a Markdown table row."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def _lower(name: str) -> str:
    return name if name[:2].isupper() or "`" in name else name[:1].lower() + name[1:]
