"""Questions about the page itself, measured on judged messages.

    python -m tests.evals about [--cases FILE.jsonl] [--json] [--misses]

A row has `text`, `language`, `kind`, and perhaps `history` (earlier messages, oldest first). The kind is right where
the page replies with a reply of that kind, in the message's language; a row of kind `knowledge` only looks like a
question about the page, and is right where it is searched for or checked.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.prompting.conversation import Conversation
from onboarding.assistant.about_page import AboutPage, PageState
from onboarding.routing.reading import Reading
from onboarding.routing.router import FALLBACK, Route
from onboarding.routing.routing import Routing, load_routing
from rag.embedding.embedder import Embedder
from rag.reading.rows import read_rows
from tests.evals.figures import Row, confusion, mean, means, parser, show

CASES = Path(__file__).with_name("about_page.jsonl")
KNOWLEDGE = "knowledge"
REFUSED = "refused"
# the kinds that the page tells apart more finely than the judges do
JUDGED_AS = {
    "person": "identity", "limits": "abilities", "offline": "abilities", "slow": "complaint", "ack": "chatter",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answered:
    """One judged message, the kind it got, and the page's reply, "" where the documentation answers."""

    row: Row
    kind: str  # the page's own
    reply: str
    in_language: bool
    ms: float

    @property
    def judged_as(self) -> str:
        """The kind in the judges' words."""
        return JUDGED_AS.get(self.kind, self.kind)

    @property
    def is_right(self) -> bool:
        """Whether kind and language are right."""
        return self.judged_as == self.row["kind"] and (self.kind == KNOWLEDGE or self.in_language)


def main(argv: Sequence[str]) -> int:
    """Answer every case and print the figures."""
    options = parser("about", __doc__, cases=CASES, misses="the messages that went wrong").parse_args(argv)
    routing, page = load_routing(Embedder()), AboutPage()
    routing.reader.read("warm up")
    answered = [_answer(routing, page, row) for row in read_rows(options.cases)]
    show(measure(answered), options)
    if options.misses:
        for one in answered:
            if not one.is_right:
                spoken = "" if one.in_language else " (another language)"
                print(f"{one.row['kind']:12} -> {one.kind:12}{spoken} {one.row['language']}  {one.row['text']}")
    return 0


def measure(answered: Sequence[Answered]) -> dict[str, Any]:
    """Return accuracy overall, by kind and by language, the share of knowledge taken for the page, and who for whom."""
    knowledge = [one for one in answered if one.row["kind"] == KNOWLEDGE]
    by_kind = means((one.row["kind"], one.is_right) for one in answered)
    return {
        "n": len(answered),
        "accuracy": mean([one.is_right for one in answered]),
        "knowledge_swallowed": mean([one.kind != KNOWLEDGE for one in knowledge]),
        "ms_p50": round(statistics.median(one.ms for one in answered), 1),
        "by_kind": by_kind,
        "by_language": means((one.row["language"], one.is_right) for one in answered),
        "confusion": confusion([(one.row["kind"], one.judged_as) for one in answered], [*by_kind]),
        "rows": [{"id": one.row.get("id", ""), "kind": one.kind, "reply": one.reply} for one in answered],
    }


def _answer(routing: Routing, page: AboutPage, row: Row) -> Answered:
    start = time.perf_counter()
    reading = routing.reader.read(row["text"], row.get("history", ()))
    route = routing.router.route(reading)
    topic = routing.topics.topic(reading, route)
    ms = (time.perf_counter() - start) * 1000
    if topic is None:
        return Answered(row, _elsewhere(routing, reading, route), "", True, ms)
    state = PageState(tools=len(routing.chooser.tools))
    reply = page.say(topic.kind, reading, state, Conversation.new())
    return Answered(row, topic.kind, reply, reading.language == row["language"], ms)


def _elsewhere(routing: Routing, reading: Reading, route: Route) -> str:
    """Return KNOWLEDGE where the documentation or a check answers, and who answers else."""
    if route.name in {"unsafe", "off_topic"}:
        return REFUSED
    route = Route(FALLBACK, 0.0) if route.name == "smalltalk" else route
    intent = routing.chooser.choose(reading, route).intent
    return intent if intent == "action" else KNOWLEDGE
