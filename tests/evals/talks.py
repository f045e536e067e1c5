"""Talks measured on judged conversations: does the last question lead with the passage that answers it?

    python -m tests.evals talks [--cases FILE.jsonl] [--index FOLDER] [--behind FOLDER] [--json] [--misses]

A row has `turns` (the visitor's messages), `leans` (False: the last one stands alone), and what is right for the last
one: the place that answers it, `page` and `heading` or one of `also`; or the `tool` that it runs; or its `route`, which
is `unsafe` for a hostile one. Every message goes through the reader, the router, the tool choice and the search, as in
the app without a language model; what it finds is what the next message leans on.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.prompting.conversation import Conversation
from model.turn.events import RouteChosen, SourcesFound, ToolStarted, TurnFinished
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.routing.routing import load_routing
from rag.embedding.embedder import Embedder
from rag.reading.rows import read_rows
from rag.search.retriever import open_or_build
from rag.search.tiers import with_upstream
from rag.types import Passage
from tests.evals.figures import Row, mean, means, parser, show
from tests.evals.retrieval import heading_hit

CASES = Path(__file__).with_name("talks.jsonl")
CORPUS = Path(__file__).parents[2] / "rag" / "corpus"
TOP = 3
REFUSED = "unsafe"


@dataclass(frozen=True, slots=True)
class Talk:
    """One judged conversation and what its last message led to."""

    row: Row
    stands_for: str  # what was searched instead of the message, "" for itself
    passages: list[Passage]
    routes: list[str]  # of every message
    tools: list[str]  # of the last
    ms: float  # until the sources of the last were known

    @property
    def is_right(self) -> bool:
        """Whether the judged place leads, or the judged tool or route was taken."""
        return self._is_right_in(1)

    @property
    def is_near(self) -> bool:
        """Whether it is right, or the judged place is among the first passages."""
        return self._is_right_in(TOP)

    @property
    def refused_wrongly(self) -> int:
        """The number of turns that were refused and are harmless."""
        harmless = self.routes[:-1] if self.row.get("route") == REFUSED else self.routes
        return harmless.count(REFUSED)

    def _is_right_in(self, first: int) -> bool:
        if route := self.row.get("route"):
            return bool(self.routes[-1] == route)
        tool = self.row.get("tool")
        return tool in self.tools if tool else heading_hit(self.row, self.passages[:first])


class _Loaded(Parts):
    """Parts that are given what they hold, and no model."""

    @property
    def is_loading(self) -> bool:
        """False: nothing is to come."""
        return False


def main(argv: Sequence[str]) -> int:
    """Play every conversation and print the figures."""
    given = parser("talks", __doc__, cases=CASES, misses="the conversations whose last turn went wrong")
    given.add_argument("--index", type=Path, help="the index of our own pages; built anew where none is named")
    given.add_argument("--behind", type=Path, help="an index of upstream's own text to search behind it")
    options = given.parse_args(argv)
    rows, embedder = read_rows(options.cases), Embedder()
    with tempfile.TemporaryDirectory() as scratch:
        parts = _Loaded(PartsSettings(data=Path(scratch)))
        own = open_or_build(CORPUS, options.index or Path(scratch) / "index", embedder)
        parts.retriever = with_upstream(own, options.behind, embedder, required=True) if options.behind else own
        parts.routing = load_routing(embedder)
        guide = Guide(parts)
        _play(guide, {"turns": ["warm up", "and then?"]})
        talks = [_play(guide, row) for row in rows]
        parts.close()
    show(measure(talks), options)
    if options.misses:
        print(*(_miss(talk) for talk in talks if not talk.is_right), sep="\n")
    return 0


def measure(talks: Sequence[Talk]) -> dict[str, Any]:
    """Return the shares of last messages that lead right, were refused, or were rightly left as typed, and the time."""
    leaning = [talk for talk in talks if talk.row["leans"]]
    alone = [talk for talk in talks if not talk.row["leans"]]
    hostile = [talk for talk in talks if talk.row.get("route") == REFUSED]
    return {
        "n": len(talks),
        "last_turn_right": mean([talk.is_right for talk in talks]),
        "right_in_first_three": mean([talk.is_near for talk in talks]),
        "leaning_right": mean([talk.is_right for talk in leaning]),
        "standing_alone_right": mean([talk.is_right for talk in alone]),
        "standing_alone_left_as_typed": mean([not talk.stands_for for talk in alone]),
        "leaning_read_in_its_talk": mean([bool(talk.stands_for) for talk in leaning]),
        "hostile_refused": mean([talk.is_right for talk in hostile]),
        "refused_wrongly": sum(talk.refused_wrongly for talk in talks),
        "abstained": sum(not talk.passages and not talk.tools for talk in talks)
        - sum(talk.is_right for talk in hostile),
        "ran_a_tool": sum(bool(talk.tools) for talk in talks),
        "ms_p50_alone": _median([talk.ms for talk in talks if not talk.stands_for]),
        "ms_p50_leaning": _median([talk.ms for talk in talks if talk.stands_for]),
        "by_language": means((talk.row["language"], talk.is_right) for talk in talks),
    }


def _play(guide: Guide, row: Row) -> Talk:
    talk, routes, start = Conversation.new(), [], 0.0
    for text in row["turns"]:
        passages: list[Passage] = []
        tools: list[str] = []
        stands_for, start, ms = "", time.perf_counter(), 0.0
        for event in guide.ask(text, talk):
            match event:
                case RouteChosen():
                    routes.append(event.name)
                    stands_for = event.stands_for
                case SourcesFound(result):
                    passages, ms = result.passages, (time.perf_counter() - start) * 1000
                case ToolStarted(call):
                    tools.append(call.tool)
                case TurnFinished():
                    talk = event.conversation
    return Talk(row, stands_for, passages, routes, tools, ms)


def _miss(talk: Talk) -> str:
    row = talk.row
    lead = talk.passages[0] if talk.passages else None
    led = f"{lead.path} > {lead.headings[-1] if lead.headings else ''}" if lead else " ".join(talk.tools) or "nothing"
    said = f"{row['id']} [{talk.routes[-1]}] {' | '.join(row['turns'])}"
    wanted = row.get("route") or row.get("tool") or f"{row['page']} > {row['heading']}"
    return f"{said}\n      searched {talk.stands_for or 'as typed'}: {led}; wanted {wanted}"


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 1) if values else 0.0
