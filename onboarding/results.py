"""The JSON objects that programs get: their types, from which MCP's output schemas follow, and how they are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from model.checking.gate import Judged
from onboarding.assistant.turns import Turn
from onboarding.tours.content import Tour
from rag.types import Passage, SearchResult


class Quoted(TypedDict):
    """A passage of the documentation."""

    title: str
    headings: list[str]
    text: str
    excerpt: str
    url: str
    sources: list[str]
    reviewed: bool


class Near(TypedDict):
    """A page that stands nearest to a question that no page answers."""

    title: str
    url: str


class Differs(TypedDict):
    """A place where upstream's own file says otherwise."""

    file: str
    url: str
    says: str


class FoundPassages(TypedDict):
    """The result of a search; `answerable` is a probability, `missing` what the passages do not speak of."""

    answerable: float
    state: Literal["answered", "near", "not here"]
    missing: list[str]
    extract: str
    passages: list[Quoted]
    nearest: list[Near]
    differs: list[Differs]


class CheckMade(TypedDict):
    """A simulated check as it ran for an answer."""

    arguments: dict[str, Any]
    host: str
    tool_name: str
    success: bool
    data: dict[str, Any]
    error: str | None
    execution_time: float
    timestamp: float


class Reply(TypedDict):
    """An answer so far; `reason`, `model` and `grounded` join at its end, `route` and `stands_for` with the route."""

    answer: str
    judged: list[Judged]
    sources: list[Quoted]
    missing: list[str]
    differs: list[Differs]
    tools: list[CheckMade]
    notices: list[str]
    done: bool
    state: str
    eta_s: int
    route: NotRequired[str]
    stands_for: NotRequired[str]
    reason: NotRequired[str]
    model: NotRequired[str]
    grounded: NotRequired[bool]


class Routed(TypedDict):
    """The route of a message, and the check that it asks for."""

    stands_for: str
    route: str
    about: str
    label: str
    confidence: float
    intent: str
    tool: str | None
    arguments: dict[str, Any]


class TourListed(TypedDict):
    """A guided tour; `link` follows the page's address."""

    name: str
    title: str
    steps: list[str]
    link: str


def found_of(result: SearchResult) -> FoundPassages:
    """Return a search's result as programs get it."""
    return {
        "answerable": round(result.answerable, 3),
        "state": result.state,
        "missing": list(result.missing),
        "extract": result.extract,
        "passages": [_passage(passage) for passage in result.passages],
        "nearest": [{"title": passage.title, "url": passage.url} for passage in result.nearest],
        "differs": _differs(result),
    }


def tours_of(tours: Iterable[Tour]) -> list[TourListed]:
    """Return the tours with their steps and the links that open them."""
    return [
        {
            "name": tour.name,
            "title": tour.title,
            "steps": [step.name for step in tour.steps],
            "link": f"?tour={tour.name}&step=1",
        }
        for tour in tours
    ]


def reply_of(turn: Turn) -> dict[str, Any]:
    """Return a turn as `ask` sends it, a Reply in plain JSON."""
    finished, progress = turn.finished, turn.progress
    underway = "looking" if turn.phase == "searching" else turn.phase
    reply: dict[str, Any] = {
        "answer": turn.in_words(),
        "judged": [asdict(judged) for _, judged in turn.judged],
        "sources": [_passage(passage) for passage in turn.sources],
        "missing": list(turn.found.missing) if turn.found else [],
        "differs": _differs(turn.found),
        "tools": [
            {"arguments": step.call.arguments, "host": step.call.host, **asdict(step.result)}
            for step in turn.steps
            if step.result
        ],
        "notices": [notice.text for notice in turn.notices],
        "done": finished is not None,
        "state": "done" if finished else underway,
        "eta_s": round(progress.eta_s) if progress else 0,
    }
    if turn.route:
        reply |= {"route": turn.route.name, "stands_for": turn.route.stands_for}
    if finished:
        reply |= {"reason": finished.reason, "model": finished.model, "grounded": finished.grounded}
    return reply


def _passage(passage: Passage) -> Quoted:
    return {
        "title": passage.title,
        "headings": list(passage.headings),
        "text": passage.text,
        "excerpt": passage.excerpt,
        "url": passage.url,
        "sources": list(passage.sources),
        "reviewed": passage.reviewed,
    }


def _differs(found: SearchResult | None) -> list[Differs]:
    """Return where upstream's own files say otherwise than the pages that the extract cites."""
    return [{"file": other.path, "url": other.url, "says": other.says} for other in (found.differs if found else ())]
