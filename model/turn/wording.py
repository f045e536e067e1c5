"""Word what a turn says without a model: the lead before the answer, abstentions, notices behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Template

from model.checking.answer_filter import AnswerFilter
from model.checking.gate import Judged
from model.engine.events import Finished
from model.turn.events import Notice
from rag.types import SearchResult
from tools.diagnosis.summary import summary
from tools.types import ToolResult

ABSTAIN = "The documentation I have does not answer this, so I would be guessing."
NEAREST = "The nearest pages:"
NEAR = "I found no passage about $missing. The nearest is this:"
MOST_MISSING = 3  # things that a sentence names
STAND_IN_ADDS = "*The stand-in model adds:*"
ALL_LEFT_OUT = (
    "What the model wrote goes against its sources and was left out; what stands here comes from those alone."
)
NOT_LOADED = "The model is not ready yet, so this comes straight from the documentation or the tool."
NO_SOURCES = (
    "The documentation cannot be searched right now, and without sources I would be guessing. While the page says that "
    "the index is being built, ask again in a minute; if it says that it failed, the operator runs the command that "
    "the log names: python -m rag build --out FOLDER"
)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of an abstention and of a near answer, in the visitor's own language."""

    abstain: str = ABSTAIN
    nearest: str = NEAREST
    near: str = NEAR  # `$missing` stands for what no passage speaks of


def lead(results: Sequence[ToolResult], found: SearchResult | None, now: float) -> str:
    """Return the answer without a model: a summary of the tools' results as of `now`, or the passages' extract."""
    if results:
        return summary(results, now)
    return found.extract if found else ""


def abstention(result: SearchResult, words: Words) -> str:
    """Return an abstention that names the nearest pages."""
    pages = [f"- [{p.title}]({p.url})" if p.url.startswith("https://") else f"- {p.title}" for p in result.nearest[:3]]
    return words.abstain + (f"\n\n{words.nearest}\n\n" + "\n".join(dict.fromkeys(pages)) if pages else "")


def nearness(template: str, result: SearchResult | None) -> str:
    """Return `template` with what the question turns on and no passage speaks of; "" where nothing is missing."""
    if result is None or not result.missing:
        return ""
    named = ", ".join(f"\u201c{name}\u201d" for name in result.missing[:MOST_MISSING])
    return Template(template).substitute(missing=named)


def ending(finished: Finished) -> Iterator[Notice]:
    """Yield what the visitor should know about the end of the generation."""
    if finished.reason == "error" and finished.error:
        yield Notice(finished.error, "error")
    if finished.reason == "deadline":
        yield Notice("The answer took too long and was ended here; ask for less at a time.", "warning")
    if finished.dropped_turns:
        yield Notice(f"The {finished.dropped_turns} oldest turn(s) no longer fit and were dropped.")


def remarks(said: AnswerFilter) -> Iterator[Notice]:
    """Yield what to say of a whole answer beside what stands at its places: removals, missing citations."""
    if said.removed and said.generated.strip():
        yield Notice(f"{said.removed} citation(s) or address(es) that are in no source were taken out.")
    if said.uncited:
        yield Notice("The generated text cites no source; compare it with the excerpts above.", "warning")


def told(judged: Judged) -> str:
    """Return what a text without a page says at the place of a judgement."""
    if judged.kind == "left_out":
        what = "A command" if judged.command else "A sentence"
        against = f"source [{judged.source}]" if judged.source else "the check's result"
        return f"({what} was left out here: it goes against {against}.)"
    if judged.command:
        return f"(In no source, so check it before you run it: `{judged.words}`)"
    return "(not found in the sources)"
