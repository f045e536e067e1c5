"""The recorder: one cheap method for each kind of event. It never raises and never touches a disk.

`prometheus_client` counts, in a registry of this object's own; `ledger_writer.py` writes them to disk and `scrape.py`
serves them at /metrics. Every label's value comes from a closed set, so the registry and what is derived from it
cannot grow, and cannot hold what a visitor wrote.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from model.prompting.system_prompts import load_routes
from model.turn.chat import TurnRecord
from onboarding.feedback.row import FeedbackRow
from onboarding.operation.logs import event
from onboarding.routing.language.lexicon import ENGLISH, load_lexicon
from onboarding.tours.content import load_tours
from tools.registry import Registry

logger = logging.getLogger("usage")

OTHER = "other"  # the label of every value outside its closed set
REASONS = ("stop", "length", "cancelled", "deadline", "error")
ENDPOINTS = ("ask", "search", "route", "tours")  # of programs, beside the tools
SCOPES = ("visitor", "address", "everybody", "at_once", "full", "flood", "requests")  # whose limit refused
FIRST_TOKEN_S = (0.5, 1, 2, 3, 5, 8, 13, 20, 30, 45, 60, 90, 120)
TOKENS_PER_S = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50)
MOST_MARKS = 50_000  # kept of one day; beyond it a visitor may count twice
MB = 1_000_000
DAY_S = 86_400


class Usage:
    """Counts events. Any thread may call the methods; `session` is the page's own id and is not kept."""

    def __init__(
        self,
        routes: Iterable[str],
        tools: Iterable[str],
        tours: Mapping[str, int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Register the metrics. routes, tools: names. tours: name -> number of steps. clock: epoch seconds."""
        self.tours = dict(tours)
        self._routes, self._tools = frozenset(routes), frozenset(tools)
        self._languages = frozenset({ENGLISH, *load_lexicon().languages})
        self._clock = clock
        self._lock = threading.Lock()
        self._day, self._salt, self._marks = -1, b"", set[tuple[str, str]]()
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"qubinode_{name}", text, labels, registry=registry)

        self._visits = counter("visits", "Pages opened by a browser that runs scripts")
        self._tour_starts = counter("tour_starts", "Tours opened, once a page", "tour")
        self._tour_steps = counter("tour_steps", "Steps reached, once a page", "tour", "step")
        self._tour_ends = counter("tour_completions", "Tours left by their last step's way on, once a page", "tour")
        self._questions = counter("questions", "Turns by route and how they ended", "route", "reason")
        self._topics = counter("searches", "Searches by route and how far they came", "topic", "state")
        self._spoken = counter("searches_in", "Searches by language and how far they came", "language", "state")
        self._abstentions = counter("abstentions", "Turns that said the documentation does not answer")
        self._removed = counter("removed_citations", "Citations and addresses that no source held")
        self._stops = counter("stops", "Presses of Stop")
        self._thumbs = counter("thumbs", "Judgements of answers", "way")
        self._feedback = counter("feedback_rows", "Rows of feedback kept, on answers of this process", "kind", "reason")
        self._tool_runs = counter("tool_runs", "Runs of simulated tools", "tool", "result")
        self._looks = counter("whole_checks", "Runs of all tools at once, each look at a host's vital signs included")
        self._calls = counter("program_calls", "Calls of the named endpoints", "endpoint")
        self._refusals = counter("refusals", "Requests refused by a limit", "scope")
        self._tokens = counter("tokens", "Tokens of prompts, of prompts really computed, and of answers", "kind")
        self._first_token = Histogram(
            "qubinode_first_token_seconds", "From the engine's taking a question to its first token",
            buckets=FIRST_TOKEN_S, registry=registry,
        )  # fmt: skip
        self._speed = Histogram(
            "qubinode_tokens_per_second", "Decode rate of an answer", buckets=TOKENS_PER_S, registry=registry
        )
        self._waited = Histogram(
            "qubinode_queue_seconds", "Time in the engine's queue", buckets=FIRST_TOKEN_S, registry=registry
        )
        self._unsent = Gauge("qubinode_feedback_files_waiting", "Files that the Hub has not got", registry=registry)
        self._upload_failures = counter("feedback_upload_failures", "Tries to send feedback that failed")
        self._queue = Gauge("qubinode_queue_length", "Answers that wait for a slot", registry=registry)
        self._queue.set_function(lambda: 0.0)
        process = psutil.Process()
        memory = Gauge("qubinode_memory_megabytes", "Resident memory of the process", registry=registry)
        memory.set_function(lambda: process.memory_info().rss / MB)

    def watch_queue(self, length: Callable[[], float]) -> None:
        """Read the length of the queue from `length` whenever the counts are read."""
        self._queue.set_function(length)

    def watch_uploads(self, waiting: Callable[[], float]) -> None:
        """Read the number of files that wait for the Hub from `waiting` whenever the counts are read."""
        self._unsent.set_function(waiting)

    # --- what happens ---------------------------------------------------------------------------------

    def visit(self, session: str) -> None:
        """Count an opened page."""
        self._visits.inc()
        event(logger, "visit", session=self.alias(session))

    def tour_step(self, session: str, tour: str, step: int) -> None:
        """Count a step that a visitor sees, once a page; the first one counts as the tour's start."""
        if not 1 <= step <= self.tours.get(tour, 0):
            return
        if self._first(session, f"{tour}"):
            self._tour_starts.labels(tour).inc()
        if self._first(session, f"{tour}/{step}"):
            self._tour_steps.labels(tour, str(step)).inc()
            event(logger, "tour_step", session=self.alias(session), tour=tour, step=step)

    def tour_end(self, session: str, tour: str) -> None:
        """Count a tour that a visitor finishes, once a page."""
        if tour in self.tours and self._first(session, f"{tour}/end"):
            self._tour_ends.labels(tour).inc()
            event(logger, "tour_end", session=self.alias(session), tour=tour)

    def turn(self, record: TurnRecord) -> None:
        """Count a turn that ended, whatever the reason."""
        route, reason = _among(record.route, self._routes), _among(record.reason, REASONS)
        counts, timings = record.counts, record.timings
        self._questions.labels(route, reason).inc()
        self._abstentions.inc(int(record.abstained))
        self._removed.inc(record.removed)
        if record.state:
            self._topics.labels(route, record.state).inc()
            self._spoken.labels(_among(record.language, self._languages), record.state).inc()
        speed = timings.tokens_per_s(counts.generated)
        if record.model:
            for kind, amount in (("prompt", counts.prompt), ("read", counts.read), ("generated", counts.generated)):
                self._tokens.labels(kind).inc(amount)
            self._waited.observe(timings.queued_s)
        if timings.first_token_s is not None:
            self._first_token.observe(timings.first_token_s)
        if speed:
            self._speed.observe(speed)
        event(
            logger, "turn", route=route, reason=reason, model=record.model, abstained=record.abstained,
            removed=record.removed, passages=len(record.passages),
            tools=[_among(tool, self._tools) for tool in record.tools], prompt_tokens=counts.prompt,
            read_tokens=counts.read, generated_tokens=counts.generated, queued_s=round(timings.queued_s, 3),
            first_token_s=None if timings.first_token_s is None else round(timings.first_token_s, 3),
            total_s=round(timings.total_s, 3), tokens_per_s=round(speed, 2),
        )  # fmt: skip

    def stop(self, session: str) -> None:
        """Count a press of Stop during an answer."""
        self._stops.inc()
        event(logger, "stop", session=self.alias(session))

    def thumb(self, up: bool) -> None:
        """Count a thumb."""
        self._thumbs.labels("up" if up else "down").inc()
        event(logger, "thumb", up=up)

    def feedback(self, row: FeedbackRow) -> None:
        """Count a kept row of feedback by its kind and reason, and the first thumb on each answer of ours."""
        if row.from_browser:
            return
        if row.kind == "thumb" and row.verdict and self._first(row.visitor, f"thumb/{row.turn}"):
            self.thumb(row.verdict == "up")
        self._feedback.labels(row.kind, row.reason or "none").inc()

    def upload_failed(self) -> None:
        """Count a failed upload of feedback; the uploader repeats it."""
        self._upload_failures.inc()

    def tool(self, name: str, success: bool) -> None:
        """Count a run of a simulated tool."""
        self._tool_runs.labels(_among(name, self._tools), "ok" if success else "failed").inc()

    def whole_check(self) -> None:
        """Count a run of all tools at once."""
        self._looks.inc()

    def call(self, endpoint: str) -> None:
        """Count a program's call of an endpoint."""
        self._calls.labels(_among(endpoint, {*ENDPOINTS, *self._tools})).inc()

    def refused(self, scope: str) -> None:
        """Count a request that a rate limit refused."""
        self._refusals.labels(_among(scope, SCOPES)).inc()
        event(logger, "refused", scope=_among(scope, SCOPES))

    # --- sessions -------------------------------------------------------------------------------------

    def alias(self, session: str) -> str:
        """Return eight hex digits for a session, the same all day (UTC); the salt is random and never leaves memory."""
        with self._lock:
            return self._alias(session)

    def _alias(self, session: str) -> str:
        day = int(self._clock() // DAY_S)
        if day != self._day:
            self._day, self._salt, self._marks = day, token_bytes(16), set()
        return blake2b(session.encode("utf-8", "replace"), key=self._salt, digest_size=4).hexdigest()

    def _first(self, session: str, mark: str) -> bool:
        """Set a session's mark; return True the first time on a day (UTC)."""
        with self._lock:
            key = (self._alias(session), mark)
            if key in self._marks:
                return False
            if len(self._marks) >= MOST_MARKS:
                self._marks.clear()
            self._marks.add(key)
            return True


def usage_of_project() -> Usage:
    """Return a recorder that knows this project's routes, tools and tours."""
    routes = load_routes(Path(__file__).parents[1] / "prompts")
    return Usage(routes, Registry.default().list_tools(), {t.name: len(t.steps) for t in load_tours().values()})


def _among(value: str, known: Iterable[str]) -> str:
    return value if value in known else OTHER
