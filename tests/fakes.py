"""Hand-written fakes. `ScriptedGuide` answers like the real guide, without any model, at a pace the test sets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from model.checking.gate import Judged
from model.engine.events import Counts, Prefill, Queued, TextDelta, Timings
from model.engine.prompt import PromptTooLong
from model.prompting.conversation import Conversation, PastTurn
from model.prompting.system_prompts import RouteText
from model.turn.events import (
    Notice,
    RouteChosen,
    SourcesFound,
    ToolFinished,
    ToolStarted,
    TurnEvent,
    TurnFinished,
)
from onboarding.assistant.guide import Status
from rag.types import Passage, SearchResult
from tools.types import ToolCall, ToolResult

STATUS = Status(
    parts={"model": "ready", "index": "ready", "router": "ready"},
    model_label="SmolLM2-135M-Instruct Q4_1, 98 MB",
    stand_in=True,
)
REPO = "https://github.com/tosin2013/qubinode_navigator/blob/03ce8239"
LIMIT_TOKENS = 1000


ROUTES = {
    route.name: route
    for route in (
        RouteText(
            "introduction", "Getting to know it", ("What is Qubinode Navigator?", "Who is it for?"),
            ("Which systems are supported?", "What does it deploy?"),
        ),
        RouteText(
            "deploy", "Deploying", ("Which variables must I set?", "What hardware do I need?"),
            ("Which ports does it open?", "Where is the log?"),
        ),
        RouteText(
            "rhel10", "RHEL 10", ("How do I deploy on RHEL 10?", "Is RHEL 8 supported?"),
            ("Which CPU level does RHEL 10 need?", "Which Python comes with it?", "What changes for plugins?"),
        ),
        RouteText(
            "diagnostics", "Diagnostics", ("Is libvirtd running?", "Why does my VM not start?"),
            ("Which tools are there?", "Show the disk usage"),
        ),
        RouteText(
            "plugins", "Plugins", ("How do I write a plugin?", "How are plugins ordered?"),
            ("What is idempotence?", "Where are plugins found?"),
        ),
        RouteText("contribute", "Contributing", ("How can I contribute?",), ("How do I run the tests?",)),
        RouteText("smalltalk", "Small talk"),
    )
}  # fmt: skip


def passage(title: str, headings: tuple[str, ...], path: str, lines: tuple[int, int], excerpt: str) -> Passage:
    """A passage with an address that looks like upstream's."""
    url = f"{REPO}/{path}#L{lines[0]}-L{lines[1]}"
    return Passage(path, excerpt, title, headings, path, lines, url, 4.2, excerpt)


RHEL10 = SearchResult(
    [
        passage(
            "Deploying on RHEL 10", ("Deploying on RHEL 10", "Before you start"), "docs/rhel10.md", (12, 30),
            "RHEL 10 needs a processor of level x86-64-v3; run the preflight check with --fix before deploying.",
        ),
        passage(
            "Supported systems", ("Supported systems",), "docs/systems.md", (3, 21),
            "Accepted are RHEL 9 and 10, CentOS Stream 9 and 10, Rocky 9 and AlmaLinux 9; RHEL 8 is refused.",
        ),
        passage(
            "Required variables", ("Required variables", "The three that matter"), "docs/variables.md", (8, 19),
            "QUBINODE_DOMAIN, QUBINODE_ADMIN_USER and QUBINODE_CLUSTER_NAME must be set; the domain contains a dot.",
        ),
        passage(
            "The RHEL 10 plugin", ("The RHEL 10 plugin",), "docs/plugins/rhel10.md", (1, 44),
            "The plugin checks the CPU flags, the kernel and Python 3.12, then installs what is missing.",
        ),
    ],
    0.93,
    "Run the preflight check, then the deploy script as root with your environment kept:\n\n"
    "```bash\n./scripts/preflight-check.sh --fix\nsudo -E ./scripts/development/deploy-qubinode.sh\n```",
    [],
    41.0,
)  # fmt: skip

ANSWER = """Deploying on RHEL 10 takes three steps.

1. **Check the host.** RHEL 10 needs an x86-64-v3 processor [1], and RHEL 8 is refused [2].
2. **Set the variables** `QUBINODE_DOMAIN`, `QUBINODE_ADMIN_USER` and `QUBINODE_CLUSTER_NAME` [3]:

```bash
export QUBINODE_DOMAIN=lab.example.com   # must contain a dot
export QUBINODE_ADMIN_USER=lab-user
```

3. **Run the script** with `sudo -E`, so that the variables reach it [1].

The run writes a log to `/tmp`, and ends with a summary of what was set up.
"""

HOSTILE = (
    "Look ![x](https://evil.example/a.png) <img src=x onerror=alert(1)> <script>alert(2)</script> "
    "[click](https://evil.example) [js](javascript:alert(3)) <form action=https://evil.example><button>ok</button>"
    "</form> [1]: https://evil.example [1] and [7].\n"
)

JUDGED: tuple[str | Judged, ...] = (
    "RHEL 10 needs an x86-64-v3 processor [1]. ",
    Judged("left_out", "Yes, RHEL 8 is supported.", 2, RHEL10.passages[1].text),
    " The check takes about a minute.",
    Judged("not_found", "The check takes about a minute."),
    "\n\n| system | accepted |\n| --- | --- |\n| RHEL 9 | yes |\n| Fedora | yes",
    Judged("not_found", "| Fedora | yes |"),
    " |\n\n",
    Judged("left_out", "| RHEL 8 | yes |", 2, RHEL10.passages[1].text),
    "\n\n1. Run the check:\n\n   ```bash\n   ./scripts/preflight-check.sh --fix\n   dnf install qubinode-all\n   ```\n\n   ",
    Judged("not_found", "dnf install qubinode-all", command=True),
    Judged("left_out", "./scripts/preflight-check.sh --skip", 1, RHEL10.passages[0].text, command=True),
    "\n\n2. Set `QUBINODE_DOMAIN` [3].\n",
)
SHORT = "A short answer [1]."
ABSTENTION = "The documentation I have does not answer this, so I would be guessing."
PERSIAN = "راهنما می‌گوید که RHEL 10 پشتیبانی می‌شود [1]. ابتدا بررسی کنید."

SERVICES = ToolResult(
    "service_status",
    True,
    {"services": [{"name": "libvirtd", "active": "failed", "since": "2 h", "last_log": "cannot bind to socket"}]},
    execution_time=0.04,
)


@dataclass(slots=True)
class ScriptedGuide:
    """Answers by key words in the question; counts what was opened and closed.

    pace_s: seconds between two events. `gate`: cleared, it holds every turn after its first token batch until it is
    set again, so that a test can look at a running turn without racing it.
    """

    pace_s: float = 0.0
    routes: Mapping[str, RouteText] = field(default_factory=lambda: ROUTES)
    state: Status = field(default_factory=lambda: STATUS)
    asked: list[tuple[str, str | None, str]] = field(default_factory=list)  # (question, route, host)
    histories: list[tuple[str, ...]] = field(default_factory=list)  # the earlier questions of each turn
    closed: list[str] = field(default_factory=list)  # questions whose iterator was closed before its end
    hold: Mapping[str, threading.Event] = field(
        default_factory=lambda: {"queue": threading.Event(), "prefill": threading.Event(), "decode": threading.Event()}
    )

    def __post_init__(self) -> None:
        """Nothing is held back at first."""
        self.release()

    def release(self) -> None:
        """Let every phase run through."""
        for gate in self.hold.values():
            gate.set()

    def status(self) -> Status:
        """What the header shows."""
        return self.state

    def ask(
        self, text: str, conversation: Conversation, *, route: str | None = None, host: str = "healthy"
    ) -> Iterator[TurnEvent]:
        """The events of one turn, as the real guide orders them."""
        if len(text) > 4 * LIMIT_TOKENS:
            raise PromptTooLong(
                f"Your message is {len(text) // 4} tokens long and {LIMIT_TOKENS} are allowed; shorten it."
            )
        self.asked.append((text, route, host))
        self.histories.append(conversation.questions)
        try:
            for event in self._turn(text, conversation, route, host):
                time.sleep(self.pace_s)
                yield event
        except GeneratorExit:
            self.closed.append(text)
            raise

    def _turn(self, text: str, conversation: Conversation, route: str | None, host: str) -> Iterator[TurnEvent]:
        words = text.casefold()
        name = route or _route_of(words)
        yield RouteChosen(name, self.routes[name].label, 1.0 if route else 0.91, route is not None)
        if name == "diagnostics":
            call = ToolCall("service_status", {"services": ["libvirtd"]}, host)
            yield ToolStarted(call)
            yield ToolFinished(call, SERVICES)
        found = replace(RHEL10, passages=[], extract="") if "capital of" in words else RHEL10
        yield SourcesFound(found)
        if "queue" in words:
            yield from self._wait("queue", [Queued(2, 14.0), Queued(1, 7.0)])
        total = 240
        yield from self._wait(
            "prefill", [Prefill(done, total, (total - done) / 60) for done in range(60, total + 1, 60)]
        )
        answer = _answer_for(words, conversation)
        pieces = JUDGED if "judged" in words else (answer,)
        answer = "".join(piece for piece in pieces if isinstance(piece, str))
        yield from self._wait("decode", list(_streamed(pieces)))
        if "notice" in words:
            yield Notice("1 citation(s) or address(es) that are in no source were taken out.", "warning")
        past = PastTurn(text, answer, name)
        timings = Timings(0.0, 3.2, 3.2 + len(answer) / 4 / 7.1)
        yield TurnFinished(
            answer, "stop", Counts(240, 180, len(answer) // 4), timings, self.state.model_label, bool(found.passages),
            conversation.with_turn(past),
        )  # fmt: skip

    def _wait(self, phase: str, events: Sequence[TurnEvent]) -> Iterator[TurnEvent]:
        """The phase's events; held after the second one (repeating it) while the phase's gate is closed."""
        for number, event in enumerate(events):
            yield event
            while number == 1 and not self.hold[phase].wait(0.05):
                yield event if phase != "decode" else TextDelta("… ")


def _route_of(words: str) -> str:
    for key, name in (("rhel", "rhel10"), ("libvirt", "diagnostics"), ("plugin", "plugins"), ("variable", "deploy")):
        if key in words:
            return name
    return "introduction"


def _answer_for(words: str, conversation: Conversation) -> str:
    if "ask before" in words:
        return f"You asked before: {', '.join(conversation.questions)}"
    for key, answer in (("evil", HOSTILE), ("فارسی", PERSIAN), ("short", SHORT), ("capital of", ABSTENTION)):
        if key in words:
            return answer
    return ANSWER


def _streamed(pieces: Sequence[str | Judged]) -> Iterator[TextDelta | Judged]:
    for piece in pieces:
        if isinstance(piece, Judged):
            yield piece
        else:
            yield from map(TextDelta, _pieces(piece))


def _pieces(text: str) -> list[str]:
    """About a token each."""
    return [text[at : at + 4] for at in range(0, len(text), 4)]
