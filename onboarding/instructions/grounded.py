"""Make the rows that are answered from passages: a section's question, its passage among others, its own sentences."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model.prompting.assemble import user_message
from model.prompting.system_prompts import PromptTexts
from model.turn.limits import USUAL_LIMITS
from onboarding.instructions.answers import row_answer, written_answer
from onboarding.instructions.questions import AskedOfUnit, Speech, of_heading, of_rows
from onboarding.instructions.rows import InstructionRow, messages
from rag.search.near import load_word_kinds
from rag.search.retriever import Ranking, Retriever
from rag.search.segments import Scored, segments
from rag.types import Document, Passage, Unit

SHARE_OF_COUNTS = ((1, 0.5), (2, 0.75), (3, 1.0))  # passages of a row, and the share of rows with at most so many
NAMES_FROM = -0.6  # product of a word's vector and the kinds of word, from which it names something
LEAST_ANSWER = 40  # characters


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question, the unit that answers it, and the split of its page."""

    asked: AskedOfUnit
    unit: Unit
    language: str
    split: str


@dataclass(frozen=True, slots=True)
class PageSearch:
    """The search, and which split each page belongs to."""

    retriever: Retriever
    splits: dict[str, str]  # path -> split

    def ranked(self, question: str, split: str) -> tuple[list[Unit], dict[str, list[Scored]]]:
        """Return the units of one split as a search ranks them for a question, and each one's scored segments."""
        ranking: Ranking = self.retriever.rank(question)
        units = [(self.retriever.index.units[int(ranking.found.units[at])], ranking.scored[at]) for at in ranking.order]
        inside = [(unit, scored) for unit, scored in units if self.splits[unit.path] == split]
        return [unit for unit, _ in inside], {unit.id: scored for unit, scored in inside}

    def nearest(self, question: str) -> tuple[list[Unit], float]:
        """Return the units that a search ranks best, all of the split of the first, and how likely they answer."""
        look = self.retriever.look(question)
        units = [self.retriever.index.units[at] for at in look.ranking.units(range(len(look.ranking.order)))]
        return [unit for unit in units if self.splits[unit.path] == self.splits[units[0].path]], look.result.answerable

    def is_name(self, word: str) -> bool:
        """Return True for a word that names something, by its vector; not for what people say around names."""
        kinds = load_word_kinds(self.retriever.index.manifest.model_digest)
        return kinds is None or float(self.retriever.embed(word).vector @ kinds) >= NAMES_FROM

    def passage(self, unit: Unit) -> Passage:
        """Return a unit as the app gives it to a model."""
        found = self.retriever.passage(unit.id)
        assert found is not None
        return found


def asked_of_pages(
    documents: Sequence[Document], units: Sequence[Unit], splits: dict[str, str], languages: dict[str, str], seed: int
) -> list[AskedQuestion]:
    """Return every question that pages list or that their headings, tables and commands let one ask, in page order."""
    speech = Speech.of(documents)
    found: list[AskedQuestion] = []
    for unit in units:
        chance = random.Random(f"{seed} {unit.id}")  # noqa: S311 - no secrets
        has_command = any(kind == "code" for kind, _, _ in unit.spans)
        heading = unit.headings[-1] if unit.headings else unit.title
        asked = [AskedOfUnit(text, "listed") for text in unit.questions]
        asked += [*of_heading(heading, speech, chance, has_command=has_command), *of_rows(unit, chance)]
        found += [AskedQuestion(one, unit, languages.get(one.text, "en"), splits[unit.path]) for one in asked]
    return found


def grounded_rows(
    questions: Sequence[AskedQuestion], search: PageSearch, texts: PromptTexts, seed: int
) -> Iterator[InstructionRow]:
    """Yield a row for each English question whose section gives an answer; the pages have no other language."""
    for one in questions:
        chance = random.Random(f"{seed} {one.asked.text}")  # noqa: S311 - no secrets
        ranked, scored = search.ranked(one.asked.text, one.split)
        unit = _answering(one.unit, ranked)
        answer = _answer(one.asked, unit, scored.get(unit.id))
        if len(answer) < LEAST_ANSWER or (one.asked.recipe == "command" and "```" not in answer):
            continue
        given = _among_others(unit, ranked, search, chance)
        asked = user_message(one.asked.text, given, cite=texts.cite)
        at = next(number for number, passage in enumerate(given, 1) if passage.id == unit.id)
        yield InstructionRow(
            "answer", one.language, messages(texts.brief, asked, answer), one.asked.text, answer,
            f"{one.asked.recipe} question", tuple(given), (at,),
        )  # fmt: skip


def _answering(unit: Unit, ranked: Sequence[Unit]) -> Unit:
    """Return the part of a section that the search ranks first, where a section is cut into several units."""
    return next((other for other in ranked if other.path == unit.path and other.headings == unit.headings), unit)


def _answer(asked: AskedOfUnit, unit: Unit, scored: Sequence[Scored] | None) -> str:
    every = scored or [Scored(segment, 1.0 - at / 100) for at, segment in enumerate(segments(unit.text, unit.spans))]
    if asked.row:
        row = next((item.segment for item in every if item.segment.text == asked.row), None)
        return row_answer(row.head, row.text) if row else ""
    return written_answer(asked.text, every, whole=asked.recipe != "listed")


def _among_others(unit: Unit, ranked: Sequence[Unit], search: PageSearch, chance: random.Random) -> list[Passage]:
    """Return the passage that answers among the next best of its split, at any place, within the room of a turn."""
    drawn = chance.random()
    count = next(count for count, share in SHARE_OF_COUNTS if drawn <= share)
    room = USUAL_LIMITS.room - len(unit.text)
    others: list[Unit] = []
    for other in ranked:
        if len(others) == count - 1:
            break
        if other.id != unit.id and other.headings != unit.headings and len(other.text) <= room:
            others.append(other)
            room -= len(other.text)
    given = [search.passage(one) for one in (unit, *others)]
    chance.shuffle(given)
    return given
