"""Chooses a diagnostic tool and its arguments for a message, or rightly none, without a language model."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from onboarding.routing.arguments import ArgumentGrammar, load_names
from onboarding.routing.classifier import Classifier
from onboarding.routing.language.lexicon import Lexicon
from onboarding.routing.reading import Reading
from onboarding.routing.remedies import command_for, load_remedies
from onboarding.routing.router import Route

Intent = Literal["check", "knowledge", "action", "none"]
# The order of a run of every tool: what a host is comes before what ails it. Any other tool follows by its name.
FIRST_TOOLS = ("system_info", "resource_usage", "service_status", "process_info")
ALL_TOOLS = "all_tools"  # the classifier's label for a run of every tool
SURE_FROM = 0.6  # below this the caller had better ask the model, under the grammar of its schemas
CHECK_FROM = {"diagnostics": 0.45}  # how likely a check must be, by route: elsewhere a question is the usual thing
CHECK_FROM_ELSEWHERE = 0.6
NAMED_CONFIDENCE = 1.0  # of a tool that a message names outright
ASKED_HOW = 0.2  # what is left of a check's likelihood when the message asks how something is done
AFTER_KNOWLEDGE = 0.6  # what is taken from it after a question about how something works
_HOW = re.compile(
    r"^(?:(?:and|hi|hello|please|so|ok) )*how (?:to|(?:\w+ ){0,2}(?:i|one|we)) "
    r"|\bhow (?:much|many|big|large)\b.*\b(?:should|must|needs?|needed|required|recommended)\b"
    r"|\b(?:does|do|must|should)\b.*\bhave to\b"
)
_HERE = re.compile(
    r"\b(?:on|of|in) (?:this|the|our|my) (?:\w+ )?(?:host|machine|box|server)\b"
    r"|\b(?:here|now|currently|at the moment|running|up|down|active|ours?|mine)\b"
)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """The request that a message makes of the demo host.

    `intent` is `check` (look at the demo host), `knowledge` (how something is done or works), `action` (change
    something, which nobody may do here) or `none`. A check without `tool` asks for the comprehensive run.
    """

    intent: Intent
    tool: str | None
    args: dict[str, Any] = field(default_factory=dict)  # empty means the tool's defaults
    confidence: float = 0.0  # 0..1, of intent and tool together
    suggestion: str = ""  # of an action: the command to run on a machine of one's own, where one is known

    @property
    def is_sure(self) -> bool:
        """True where the choice stands without asking the model."""
        return self.confidence >= SURE_FROM


class ToolChooser:
    """Decides intent, tool and arguments; under 2 ms. Safe to share between threads.

    The classifier knows the tools that have exemplars. A tool without any, such as one that was added a minute ago, is
    chosen where a message names it ("disk_health" or "disk health"). Without a classifier that is all.
    """

    def __init__(self, lexicon: Lexicon, classifier: Classifier | None, tools: Iterable[str]) -> None:
        """Take the classifier "tools" of the encoder that makes the readings, and the names of the tools there are."""
        rank = {name: at for at, name in enumerate(FIRST_TOOLS)}
        self.tools = tuple(sorted(tools, key=lambda name: (rank.get(name, len(rank)), name)))
        self._classifier = classifier
        known = classifier.labels if classifier else ()
        self._by_name = {
            name: re.compile(rf"(?<!\w){name.replace('_', '[ _-]')}(?!\w)") for name in self.tools if name not in known
        }
        self._grammar = ArgumentGrammar(lexicon, load_names())
        self._remedies = load_remedies()

    def choose(self, reading: Reading, route: Route) -> ToolChoice:
        """Return what a message wants.

        On the route `unsafe` the answer is always `none`. On other routes than `diagnostics` a check must be likelier.
        """
        if route.name == "unsafe":
            return ToolChoice("none", None, confidence=route.confidence)
        if named := self._named(reading):
            return ToolChoice("check", named, self.arguments(named, reading), NAMED_CONFIDENCE)
        if self._classifier is None:
            return ToolChoice("none", None)
        labels = self._damped(self._classifier.probabilities(reading), self._share_of_checks(reading, self._classifier))
        checks = {label: p for label, p in labels.items() if label in self.tools or label == ALL_TOOLS}
        if sum(checks.values()) < CHECK_FROM.get(route.name, CHECK_FROM_ELSEWHERE):
            choice = _without_tool({label: p for label, p in labels.items() if label not in checks})
            return replace(choice, suggestion=self._suggestion(reading)) if choice.intent == "action" else choice
        best = max(checks, key=lambda label: checks[label])
        if best == ALL_TOOLS:
            return ToolChoice("check", None, confidence=checks[best])
        return ToolChoice("check", best, self.arguments(best, reading), checks[best])

    def _named(self, reading: Reading) -> str:
        """Return the tool that has no exemplars and that the message names, or ""."""
        if _HOW.search(reading.gloss):
            return ""
        return next((name for name, pattern in self._by_name.items() if pattern.search(reading.folded)), "")

    def _suggestion(self, reading: Reading) -> str:
        return command_for(reading, self._grammar, self._remedies)

    def arguments(self, tool: str, reading: Reading) -> dict[str, Any]:
        """Return the arguments a message names, or those of the message it leans on when it names none itself."""
        own = self._grammar.arguments(tool, reading)
        return own if own or not reading.joint else self._grammar.arguments(tool, reading.joint)

    def _share_of_checks(self, reading: Reading, classifier: Classifier) -> float:
        """Return what is left of a check's likelihood by how a message asks, and what it leans on.

        "Which python?" after a question about a system asks about that system, "is it running now?" about the host.
        """
        if _HOW.search(reading.standing.gloss):
            return ASKED_HOW
        if not (reading.share and reading.before) or _HERE.search(reading.gloss):
            return 1.0
        before = classifier.probabilities(reading.before)
        return 1 - AFTER_KNOWLEDGE * before["knowledge"]

    def _damped(self, labels: dict[str, float], share: float) -> dict[str, float]:
        """Return the labels with all but a share of the checks' likelihood moved to knowledge."""
        result = {label: p * share if label in (*self.tools, ALL_TOOLS) else p for label, p in labels.items()}
        return result | {"knowledge": result["knowledge"] + 1 - sum(result.values())}


def _without_tool(labels: dict[str, float]) -> ToolChoice:
    best = max(labels, key=lambda label: labels[label])
    intents: dict[str, Intent] = {"knowledge": "knowledge", "action": "action"}
    return ToolChoice(intents.get(best, "none"), None, confidence=labels[best])
