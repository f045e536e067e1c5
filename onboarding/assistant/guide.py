"""Answers whoever asks: routes a message, decides about a tool, and streams the chat turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.engine.events import Queued
from model.engine.protocol import Engine
from model.prompting.conversation import Conversation, PastTurn, Topic
from model.prompting.plain_text import plain
from model.prompting.system_prompts import RouteText, load_prompt_texts
from model.turn.chat import Ask, Chat, TurnRecord
from model.turn.events import Notice, RouteChosen, TurnEvent, TurnFinished
from model.turn.popular_passages import MOST_KEPT, PassageCounts
from model.turn.prewarm import warm_prompts
from model.turn.retrieval import shown
from onboarding.assistant.about_page import AboutPage, NextThings, PageState, last_topic
from onboarding.assistant.answer_language import is_in_another_language
from onboarding.assistant.parts import Parts
from onboarding.assistant.replies import Replies
from onboarding.assistant.standing import Standing, is_answered, searched, stand
from onboarding.routing.about import TALK, PageTopic
from onboarding.routing.reading import Reading
from onboarding.routing.router import FALLBACK, Route
from onboarding.routing.tool_choice import ToolChoice
from onboarding.tours.content import load_tours
from rag.search.tiers import Searching
from rag.types import Passage
from tools.simulation.hosts import DEFAULT_HOST, host_named, load_hosts
from tools.types import ToolCall, ToolResult

MAX_CHARS = 4000  # of one message; the token limit of the model's own vocabulary comes on top
MAX_TURNS = 40  # of one conversation
BEAT_S = 0.5  # between two signs of life while a question waits
LOADING_WAIT_S = 90.0  # the encoder loads in ~10 s, several times that on a busy machine
USED_LEADS = 24  # passages that a stand-in reads ahead because answers often began with them
SURELY_NOT_ASKED = 0.95  # likelihood from which a message is off topic or about the page, whatever the pages hold
PROMPTS = Path(__file__).parents[1] / "prompts"
PAGE = "smalltalk"  # the route of a turn about the page itself


class Unusable(ValueError):
    """A message that cannot be taken; the text is one sentence for the visitor."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the app as the page shows it."""

    parts: dict[str, str] = field(default_factory=dict)  # part -> "ready", "loading", "building 12/40", "failed: ..."
    model_label: str = ""
    stand_in: bool = False
    note: str = ""  # one sentence, "" when all is well
    downloading: str = ""


class Guide:
    """Answers visitors with whatever parts are loaded."""

    def __init__(
        self, parts: Parts, record: Callable[[TurnRecord], None] = lambda _record: None, prompts: Path = PROMPTS
    ) -> None:
        self.parts = parts
        self._texts = load_prompt_texts(prompts)
        self.routes: Mapping[str, RouteText] = self._texts.routes
        self._replies = Replies(prompts / "replies")
        self._about = AboutPage(prompts / "about")
        self._offered = frozenset(question.casefold() for question in _offered(self.routes))
        self.keeps_feedback = False  # set by whoever asks visitors for feedback
        self._hosts = tuple(load_hosts())
        self._leads = PassageCounts(parts.settings.data / "leads.json")
        self._record_turn = record
        limits = parts.settings.turn
        self._chat = Chat(
            parts.engine_for, lambda: self.parts.retriever, self.run_tool, self._texts, self._record, limits
        )
        parts.on_ready = self._prewarm

    @property
    def retriever(self) -> Searching | None:
        """Retrieval, for tabs that never wait for the model; None while it loads."""
        return self.parts.retriever

    def explain(self, text: str, earlier: Sequence[str] = ()) -> dict[str, object]:
        """Return the route of a message and the check it asks for, as JSON values; raises Unusable.

        earlier: the messages before it in its talk, oldest first; `stands_for` is "" where it leans on none. `about` is
        the kind of a message about the page itself, which no check or search follows.
        """
        talk = Conversation.new()
        for one in earlier[-MAX_TURNS:]:
            topic = self._stand(_checked(one, Conversation.new()), talk).topic
            talk = talk.with_turn(PastTurn(one, "", "", topic=topic))
        standing = self._stand(_checked(text, Conversation.new()), talk)
        reading = standing.reading
        route, about, _ = self._decide(text, standing)
        choice = ToolChoice("none", None) if about else self.parts.routing.chooser.choose(reading, route)
        return {
            "stands_for": standing.stands_for,
            "route": route.name,
            "about": about.kind if about else "",
            "label": self.routes[route.name].label,
            "confidence": round(route.confidence, 3),
            "intent": choice.intent,
            "tool": choice.tool,
            "arguments": dict(choice.args),
        }

    def run_tool(self, call: ToolCall) -> ToolResult:
        """Run one simulated tool in the sandbox."""
        return self.parts.sandbox.call(call.tool, call.arguments, call.host)

    def ask(
        self, text: str, conversation: Conversation, *, route: str | None = None, host: str = DEFAULT_HOST
    ) -> Iterator[TurnEvent]:
        """Yield the events of one turn, RouteChosen first; raises Unusable for a message that cannot be taken.

        route: the visitor's own choice. Closing the iterator stops the computing.
        """
        text = _checked(text, conversation)
        return self._events(text, conversation, route, host)

    def _events(self, text: str, conversation: Conversation, override: str | None, host: str) -> Iterator[TurnEvent]:
        if self.parts.is_loading:
            yield Notice("Still loading; your question is taken and will be answered in a few seconds.")
            self.parts.wait_for_router(LOADING_WAIT_S)
        chosen = None if override == PAGE else override  # what is about the page is known, never chosen
        route, about, standing = self._read(text, conversation, chosen)
        if self.retriever is None and not about and not self.routes[route.name].reply and self.parts.search_is_coming:
            yield from self._await_search()
            route, about, standing = self._read(text, conversation, chosen)
        if about:
            yield from self._say_about_page(about, text, standing, conversation)
            return
        if route.name == PAGE:
            route = Route(FALLBACK, 1 - route.confidence)  # a question after all
        label = self.routes[route.name].label
        yield RouteChosen(route.name, label, route.confidence, bool(chosen), stands_for=standing.stands_for)
        with closing(self._chat.answer(self._ask(text, standing, conversation, route, host))) as events:
            for event in events:
                if isinstance(event, TurnFinished) and self._is_foreign(event.generated, standing.reading):
                    yield Notice(self._replies.say("other_language", standing.reading))
                yield event

    def _read(
        self, text: str, conversation: Conversation, chosen: str | None
    ) -> tuple[Route, PageTopic | None, Standing]:
        """Return the route of a message, its kind where it is about the page, and what it stands for."""
        standing = self._stand(text, conversation)
        return (Route(chosen, 1.0), None, standing) if chosen else self._decide(text, standing)

    def _await_search(self) -> Iterator[TurnEvent]:
        """Wait for the index, and tell so twice a second; raises Unusable where it takes too long, so nothing is kept.

        An answer without the search would stay in its conversation long after the search is there.
        """
        yield Notice("The documentation is still being indexed; your question is answered as soon as it is there.")
        for _ in range(round(LOADING_WAIT_S / BEAT_S)):
            if self.parts.wait_for_search(BEAT_S):
                return
            yield Queued(0)
        state = self.parts.status["search"]
        raise Unusable(f"The documentation is still being indexed ({state}); ask again in a minute.")

    def _is_foreign(self, generated: str, reading: Reading) -> bool:
        return is_in_another_language(generated, reading.language, self.parts.routing.reader.lexicon)

    def _say_about_page(
        self, about: PageTopic, text: str, standing: Standing, conversation: Conversation
    ) -> Iterator[TurnEvent]:
        """Yield the events of a turn about the page itself; thanks and the like leave the talk as it was."""
        following = self._next_things(about.kind, conversation)
        label = self.routes[PAGE].label
        yield RouteChosen(PAGE, label, about.confidence, asks=following.asks, tabs=following.tabs)
        said = self._about.say(about.kind, standing.reading, self._page_state(conversation), conversation)
        before = conversation.topic if following.keeps_topic else None
        yield from self._chat.answer(Ask(text, conversation, PAGE, reply=said, topic=before or standing.topic))

    def _next_things(self, kind: str, conversation: Conversation) -> NextThings:
        """Return what to click below a reply about the page; thanks and the like lead back to the last topic."""
        following, last = self._about.next_things(kind), last_topic(conversation)
        if not following.keeps_topic or last is None or last.route not in self.routes:
            return following
        asked = {question.casefold() for question in conversation.questions}
        asks = (text for text in self.routes[last.route].follow_ups if text.casefold() not in asked)
        return replace(following, asks=tuple(asks))

    def _page_state(self, conversation: Conversation) -> PageState:
        parts, engine, limits = self.parts, self.parts.engine_for(conversation), self.parts.settings.limits
        held = next((one for one in self.retriever.holdings if one.reviewed), None) if self.retriever else None
        return PageState(
            len(parts.routing.chooser.tools), engine.info if engine else None, bool(parts.settings.engine_url),
            limits.threads, held, self.keeps_feedback,
        )  # fmt: skip

    def _page_topic(self, text: str, reading: Reading, route: Route) -> PageTopic | None:
        """Return the kind of a message about the page; what the page offers to ask is for the documentation."""
        if text.strip().casefold() in self._offered:
            return None
        return self.parts.routing.topics.topic(reading, route)

    def _stand(self, text: str, conversation: Conversation) -> Standing:
        routing = self.parts.routing
        return stand(
            text, conversation, routing.reader, routing.router, self.retriever, shown(self.parts.settings.turn)
        )

    def _route(self, reading: Reading) -> Route:
        return self.parts.routing.router.route(reading)

    def _decide(self, text: str, standing: Standing) -> tuple[Route, PageTopic | None, Standing]:
        """Return the route of a message and its kind where it is about the page, with what was found to know it.

        A message that seems to be off topic, unsafe or about the page, though not surely, is none of these where the
        pages answer it.
        """
        route = self._route(standing.reading)
        about = self._page_topic(text, standing.reading, route)
        is_declined = route.name == "off_topic" or route.is_doubtful
        doubted = about.confidence if about else route.confidence
        if ((about and about.kind not in TALK) or is_declined) and doubted < SURELY_NOT_ASKED and self.retriever:
            standing = searched(standing, self.retriever, shown(self.parts.settings.turn))
            if is_answered(standing):
                return (Route(FALLBACK, 1 - route.confidence) if is_declined else route), None, standing
        return route, about, standing

    def _ask(self, text: str, standing: Standing, conversation: Conversation, route: Route, host: str) -> Ask:
        words, reading, topic = self.routes[route.name], standing.reading, standing.topic
        if words.reply:
            return Ask(text, conversation, route.name, reply=self._replies.say(route.name, reading), topic=topic)
        choice = self.parts.routing.chooser.choose(reading, route)
        if choice.intent == "action" and reading.move.kind not in ("tells", "still"):  # "it says paused" is no order
            said = self._replies.refuse_action(reading, choice.suggestion)
            return Ask(text, conversation, route.name, reply=said, topic=self._refused(standing))
        menu = self.parts.menu if _is_doubtful(choice, route) else None
        host = host_named(text, self._hosts) or host_named(reading.standing.folded, self._hosts) or host
        calls = self._calls(choice, host)
        wording = self._replies.abstaining(reading)
        search = "" if reading.is_english else standing.stands_for or reading.gloss
        embedded = reading.joint.embedded if reading.joint and standing.stands_for else reading.embedded
        return Ask(
            text, conversation, route.name, search, wording, calls=calls, menu=menu,
            host=host, embedded=embedded, found=standing.found, topic=topic, language=reading.language,
        )  # fmt: skip

    def _refused(self, standing: Standing) -> Topic:
        """Return the topic after a refused action, with the page that says how a visitor does it."""
        found = searched(standing, self.retriever, 1).found if self.retriever else standing.found
        return standing.topic.answered(found.passages[0] if found and found.passages else None)

    def _calls(self, choice: ToolChoice, host: str) -> tuple[ToolCall, ...]:
        """Return the calls a choice stands for: one tool, all of them for a check of the whole host, or none."""
        if choice.tool:
            return (ToolCall(choice.tool, dict(choice.args), host),)
        if choice.intent != "check":
            return ()
        return tuple(ToolCall(tool, {}, host) for tool in self.parts.routing.chooser.tools)

    def status(self) -> Status:
        """Return what is loading and who answers; cheap."""
        parts, engine = self.parts, self.parts.engine
        return Status(
            dict(parts.status),
            _label(engine),
            bool(engine and engine.info.stand_in),
            parts.note,
            parts.downloading,
        )

    def _record(self, turn: TurnRecord) -> None:
        if turn.passages:
            self._leads.note(turn.passages[0])
        self._record_turn(turn)

    def _prewarm(self, engine: Engine) -> None:
        texts, asked, passages = self._texts, self._tour_questions(), self._likely(engine)
        engine.prewarm(
            warm_prompts(engine, texts, self.retriever, self.parts.menu, asked, passages, self.parts.settings.turn)
        )

    def _likely(self, engine: Engine) -> list[Passage]:
        """Return the passages to read ahead: those that led most answers so far, then the others of our pages.

        A stand-in reads any passage in a moment, so it reads ahead only those that are asked for.
        """
        if self.retriever is None:
            return []
        used = [
            self.retriever.passage(id_)
            for id_ in self._leads.most_used(USED_LEADS if engine.info.stand_in else MOST_KEPT)
        ]
        others = [] if engine.info.stand_in else self.retriever.likely()
        return list({passage.id: passage for passage in [*used, *others] if passage}.values())

    def _tour_questions(self) -> list[str]:
        """Return the questions of "Ask about this step", without those that run a tool."""
        if not self.parts.can_route:
            return []
        found = []
        for question in dict.fromkeys(step.ask for tour in load_tours().values() for step in tour.steps):
            reading = self.parts.routing.reader.read(question)
            route = self._route(reading)
            is_told = self.routes[route.name].reply
            if not is_told and self.parts.routing.chooser.choose(reading, route).intent not in {"check", "action"}:
                found.append(question)
        return found


def _offered(routes: Mapping[str, RouteText]) -> Iterator[str]:
    """Yield every question that the page offers: starters, follow-ups, and what tours ask and look up."""
    for route in routes.values():
        yield from (*route.starters, *route.follow_ups)
    for tour in load_tours().values():
        for step in tour.steps:
            yield from (step.ask, *step.topics)


def _is_doubtful(choice: ToolChoice, route: Route) -> bool:
    """Return whether a model should have a say: the classifier wavers, and it wavers about a check."""
    return not choice.is_sure and (choice.intent == "check" or route.name == "diagnostics")


def _checked(text: str, conversation: Conversation) -> str:
    """Return the message without hidden characters; raises Unusable."""
    text = text.strip()
    if len(text) > MAX_CHARS:
        raise Unusable(f"Your message has {len(text):,} characters and {MAX_CHARS:,} are allowed; shorten it.")
    text = plain(text).strip()
    if not text:
        raise Unusable("Please write a question first.")
    if len(conversation.turns) >= MAX_TURNS:
        raise Unusable(f"This conversation has reached its {MAX_TURNS} turns; start a new one.")
    return text


def _label(engine: Engine | None) -> str:
    if engine is None:
        return ""
    size = f", {engine.info.bytes / 1e6:,.0f} MB" if engine.info.bytes else ""
    return engine.info.label + size
