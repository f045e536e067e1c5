"""Make the rows that say that the answer is not here: the passages given do not speak of what a question turns on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from model.prompting.assemble import place, user_message
from model.prompting.system_prompts import PromptTexts
from model.turn.limits import USUAL_LIMITS
from model.turn.wording import ABSTAIN, NEAR, nearness
from onboarding.instructions.answers import told
from onboarding.instructions.grounded import AskedQuestion, PageSearch
from onboarding.instructions.rows import InstructionRow, listed, messages
from rag.index.lexical import WORD, terms
from rag.search.segments import segments
from rag.types import Passage, SearchResult, Unit

Replies = Mapping[str, Mapping[str, str]]  # language -> name -> text
Idf = Mapping[str, float]  # term -> inverse document frequency
OFF_TOPIC = "question off topic"
NEAR_FROM = 0.1  # probability that the pages answer, from which the nearest passage is worth naming
RARE = 4.0  # inverse document frequency from which a word is what a question turns on, not what is said around it
MARK = re.compile(r"\{(.*?)\}")
TOLD = 0.5  # share of the near questions in which the app itself says what is missing
_NEAREST = "The nearest passage is"
_ENGLISH = (  # what is not here, where it has a name
    NEAR.replace(" The nearest is this:", ""),
    "The documentation I have does not say anything about $missing.",
    "These passages do not speak of $missing, so I would be guessing.",
)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that the pages do not answer, with what no passage speaks of where it has a name."""

    question: str
    missing: tuple[str, ...] = ()
    language: str = "en"
    recipe: str = "not answered"
    is_near: bool = True  # the pages speak of something near it


def marked(line: str, recipe: str) -> Unanswered:
    """Return a question of rag/training: what no page speaks of stands in braces."""
    return Unanswered(re.sub(r"[{}]", "", line), tuple(MARK.findall(line))[:1], recipe=recipe)


def abstaining_rows(
    asked: Sequence[Unanswered], search: PageSearch, texts: PromptTexts, replies: Replies, seed: int
) -> Iterator[InstructionRow]:
    """Yield a row for each question, with the passages that a search finds nearest in one split."""
    for one in asked:
        chance = random.Random(f"{seed} {one.question}")  # noqa: S311 - no secrets
        units, likely = search.nearest(one.question)
        given = _some(units, search, chance)
        one = replace(one, is_near=likely >= NEAR_FROM)
        if given and not any(_speaks(passage.text, name) for passage in given for name in one.missing):
            yield _row(one, given, texts, replies, chance)


def misplaced_rows(
    asked: Sequence[AskedQuestion], search: PageSearch, texts: PromptTexts, replies: Replies, seed: int
) -> Iterator[InstructionRow]:
    """Yield a row for each question that a page answers, with passages of other pages that lack what it turns on."""
    idf = search.retriever.index.lexical.idf
    for one in asked:
        chance = random.Random(f"{seed} {one.asked.text}")  # noqa: S311 - no secrets
        heading = one.unit.headings[-1] if one.unit.headings else one.unit.title
        turns_on = one.asked.text if one.language == "en" else heading
        rare = [word for word in WORD.findall(turns_on) if _weight(word, idf) >= RARE]
        held = [word for word in rare if _speaks(f"{heading} {one.unit.text}", word) and search.is_name(word)]
        name = max(held, key=lambda word: _weight(word, idf), default="")
        ranked, _ = search.ranked(one.asked.text if one.language == "en" else heading, one.split)
        far = [unit for unit in ranked if unit.path != one.unit.path and not _speaks(_whole(unit), name)]
        if name and (given := _some(far, search, chance)):
            missing = (name,) if one.language == "en" else ()
            asks = Unanswered(one.asked.text, missing, one.language, "question of another page")
            yield _row(asks, given, texts, replies, chance)


def _row(
    asks: Unanswered, given: Sequence[Passage], texts: PromptTexts, replies: Replies, chance: random.Random
) -> InstructionRow:
    result = SearchResult(list(given), 1.0, "", missing=asks.missing)
    near = nearness(texts.near, result) if chance.random() < TOLD else ""
    about = f"The passages here are about {listed([_quoted(passage) for passage in given])}."
    if asks.recipe == OFF_TOPIC:
        answer = replies[asks.language]["off_topic"]
    elif asks.language != "en":
        answer = _elsewhere(replies[asks.language], given)
    elif asks.missing:
        answer = f"{nearness(chance.choice(_ENGLISH), result)} {_nearest(given[0])}"
    else:
        answer = f"{ABSTAIN} {_nearest(given[0]) if asks.is_near else about}"
    asked = user_message(asks.question, given, cite=texts.cite, near=near)
    return InstructionRow(
        "abstain", asks.language, messages(texts.brief, asked, answer), asks.question, answer, asks.recipe,
        tuple(given), (1,) if _NEAREST in answer else (),
    )  # fmt: skip


def _nearest(passage: Passage) -> str:
    point = _point(passage)
    return f"{_NEAREST} {_quoted(passage)}" + (f": {point}" if point else ".")


def _quoted(passage: Passage) -> str:
    return f"\u201c{place(passage)}\u201d"


def _elsewhere(replies: Mapping[str, str], given: Sequence[Passage]) -> str:
    return f"{replies['abstain']} {replies['nearest']} {', '.join(place(passage) for passage in given)}"


def _some(units: Sequence[Unit], search: PageSearch, chance: random.Random) -> list[Passage]:
    """Return one to three of the first units that fit the room of a turn."""
    count, room = chance.choice((1, 1, 2, 3)), USUAL_LIMITS.room
    given: list[Unit] = []
    for unit in units[: 2 * count]:
        if len(given) < count and len(unit.text) <= room:
            given.append(unit)
            room -= len(unit.text)
    return [search.passage(unit) for unit in given]


def _point(passage: Passage) -> str:
    """Return the first sentence of a passage, which states its point; "" where it opens a list."""
    found = next((told(one.text) for one in segments(passage.text) if one.kind == "sentence"), "")
    return "" if found.endswith(":") or found.count("`") % 2 else found


def _speaks(text: str, name: str) -> bool:
    """Return True where a text holds every word of a name, in any form."""
    return bool(set(terms(name)) & set(terms(text))) if name else True


def _weight(word: str, idf: Idf) -> float:
    return max((idf.get(term, 0.0) for term in terms(word)), default=0.0)


def _whole(unit: Unit) -> str:
    return "\n".join([unit.title, *unit.headings, unit.text, *unit.questions])
