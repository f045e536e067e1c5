"""Answers what is asked about the page itself, in the visitor's language, from what holds at that moment.

`prompts/about/<language>.toml` has the replies by kind, and the sentences that some of them hold only in some states of
the page; `next.toml` has the next things to click by kind. Numbers, names of models and tours, and the state of
upstream come from the parts that know them.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from model.catalogue.entries import DEFAULT, EMBEDDED, catalogue
from model.engine.protocol import ModelInfo
from model.prompting.conversation import Conversation, PastTurn
from onboarding.routing.exemplars import NOT_LOOKED_UP
from onboarding.routing.reading import Reading
from onboarding.tours.content import load_tours
from rag.reading.links import UPSTREAM
from rag.search.retriever import Holding

FOLDER = Path(__file__).parents[1] / "prompts" / "about"
FALLBACK = "en"
NEXT = "next"
MAINTAINER = "Tosin Akinosho"  # of Qubinode Navigator, as the page below says
PEOPLE_PAGE = "Community, people and licence"  # title of rag/corpus/community-and-licence.md
LONGEST_TOPIC = 80  # characters of an earlier question that are repeated
_MARKUP = re.compile(r"[`*\[\]<>|\\~]+")


@dataclass(frozen=True, slots=True)
class PageState:
    """What holds of the page at the moment of a reply."""

    tools: int  # diagnostic tools
    model: ModelInfo | None = None  # that answers this conversation
    is_remote: bool = False  # the model runs on another server
    threads: int = 1  # CPU cores that the model may use
    held: Holding | None = None  # of the reviewed pages
    keeps_feedback: bool = False


@dataclass(frozen=True, slots=True)
class NextThings:
    """What is offered below a reply: questions to ask, and tabs to open by name."""

    asks: tuple[str, ...] = ()
    tabs: tuple[str, ...] = ()
    keeps_topic: bool = False  # the follow-ups of the last topic stand in for `asks`


class AboutPage:
    """The replies of the page about itself, by kind and language."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Read all replies. Raises ValueError that names the file and what it lacks beside the English one."""
        texts = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml"))}
        self._next = {kind: _next_things(table) for kind, table in texts.pop(NEXT).items()}
        self._texts = texts
        english = _keys(texts[FALLBACK])
        for language, text in texts.items():
            if differ := _keys(text) ^ english:
                raise ValueError(f"{language}.toml and en.toml of {folder} differ in: {', '.join(sorted(differ))}")
        if differ := texts[FALLBACK]["replies"].keys() ^ self._next.keys():
            raise ValueError(f"{NEXT}.toml and en.toml of {folder} differ in: {', '.join(sorted(differ))}")
        models = catalogue()
        tours = load_tours()
        self._always = {
            "languages": str(len(texts)), "upstream": UPSTREAM, "maintainer": MAINTAINER, "people_page": PEOPLE_PAGE,
            "default": models[DEFAULT].label, "stand_in": models[EMBEDDED].label,
            "tours": ", ".join(tour.label for tour in tours.values()), "contribute": tours["contribute"].label,
        }  # fmt: skip

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of message there is a reply to."""
        return tuple(self._next)

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of the languages it is answered in."""
        return tuple(self._texts)

    def say(self, kind: str, reading: Reading, state: PageState, conversation: Conversation) -> str:
        """Return the reply to a message of a kind, in its language, in English when that is unknown."""
        texts = self._texts.get(reading.language, self._texts[FALLBACK])
        last = last_topic(conversation)
        asks = self._next[kind].asks
        values = self._always | {
            "tools": str(state.tools), "threads": str(state.threads), "first": asks[0] if asks else "",
            "model": state.model.label if state.model else "", "topic": _shortened(last.question) if last else "",
            **_of_holding(state.held),
        }  # fmt: skip
        chosen = _chosen(state, has_topic=last is not None)
        parts = {name: Template(texts["parts"].get(key, "")).substitute(values) for name, key in chosen.items()}
        return re.sub(r"  +", " ", Template(texts["replies"][kind]).substitute(values | parts)).strip()

    def next_things(self, kind: str) -> NextThings:
        """Return what to offer below a reply of a kind."""
        return self._next[kind]


def last_topic(conversation: Conversation) -> PastTurn | None:
    """Return the latest turn about the platform or a host, None where there was none."""
    return next((turn for turn in reversed(conversation.turns) if turn.route not in NOT_LOOKED_UP), None)


def _chosen(state: PageState, *, has_topic: bool) -> dict[str, str]:
    """Return which sentence each placeholder of a reply stands for now; "" for none."""
    if state.model is None:
        answering = "answering_none"
    else:
        answering = "answering_stand_in" if state.model.stand_in else "answering_model"
    return {
        "held": "held" if state.held and state.held.date else "",
        "answering": answering,
        "runs": "runs_there" if state.is_remote else "runs_here",
        "wait": "wait_there" if state.is_remote else "wait_here",
        "kept": "kept" if state.keeps_feedback else "not_kept",
        "thumbs": "thumbs" if state.keeps_feedback else "",
        "thumb_down": "thumb_down" if state.keeps_feedback else "",
        "go_on": "go_on" if has_topic else "go_on_first",
        "about_topic": "about_topic" if has_topic else "",
    }


def _of_holding(held: Holding | None) -> dict[str, str]:
    if held is None:
        return {"passages": "", "commit": "", "date": ""}
    return {"passages": f"{held.passages}", "commit": held.commit[:8], "date": held.date}


def _shortened(question: str) -> str:
    """Return an earlier question on one line, without what Markdown would read as markup."""
    words = " ".join(_MARKUP.sub(" ", question).split())
    return words if len(words) <= LONGEST_TOPIC else words[: LONGEST_TOPIC - 1].rstrip() + "…"


def _next_things(table: Mapping[str, Any]) -> NextThings:
    return NextThings(tuple(table.get("ask", ())), tuple(table.get("open", ())), table.get("keeps_topic", False))


def _keys(text: Mapping[str, Mapping[str, str]]) -> set[str]:
    return {f"{table}.{key}" for table in ("replies", "parts") for key in text[table]}
