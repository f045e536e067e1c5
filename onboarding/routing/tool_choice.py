"""Chooses a diagnostic tool and its arguments for a message, or rightly none, without a language model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from onboarding.routing.arguments import ArgumentGrammar, load_names
from onboarding.routing.classifier import ARTEFACT, load
from onboarding.routing.features import Encoder, Reader
from onboarding.routing.followup import in_context, probabilities
from onboarding.routing.lexicon import load_lexicon
from onboarding.routing.remedies import command_for, load_remedies
from onboarding.routing.router import Route

Intent = Literal["check", "knowledge", "action", "none"]
TOOLS = (
    "system_info",
    "resource_usage",
    "service_status",
    "process_info",
    "kvm_diagnostics",
    "network_diagnostics",
)
ALL_TOOLS = "all_tools"  # the classifier's label for a run of every tool
SURE_FROM = 0.6  # below this the caller had better ask the model, under the grammar of its schemas
CHECK_FROM = {"diagnostics": 0.45}  # how likely a check must be, by route: elsewhere a question is the usual thing
CHECK_FROM_ELSEWHERE = 0.6
ASKED_HOW = 0.2  # what is left of a check's likelihood when the message asks how something is done
_HOW = re.compile(r"^(?:(?:and|hi|hello|please|so|ok) )*how (?:to|(?:\w+ ){0,2}(?:i|one|we)) ")


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What a message wants of the demo host.

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
        """Whether the choice stands without asking the model."""
        return self.confidence >= SURE_FROM


class ToolChooser:
    """Decides intent, tool and arguments; under 2 ms for a message the router has read already."""

    def __init__(self, embedder: Encoder, reader: Reader | None = None, folder: Path = ARTEFACT) -> None:
        """Load classifier and grammar; pass `router.reader` as `reader`, so that a message is embedded only once.

        Raises ArtefactStale, which names the mending command, when the stored classifier does not fit.
        """
        self._reader = reader or Reader(embedder, load_lexicon())
        self._classifier = load("tools", embedder.digest, folder)
        self._grammar = ArgumentGrammar(self._reader.lexicon, load_names())
        self._remedies = load_remedies()

    def choose(self, text: str, route: Route, history: Sequence[str] = ()) -> ToolChoice:
        """Return what `text` wants; `history` is what the visitor wrote before, oldest first.

        On the route `unsafe` the answer is always `none`. On other routes than `diagnostics` a check must be likelier.
        """
        if route.name == "unsafe":
            return ToolChoice("none", None, confidence=route.confidence)
        labels = _damped(probabilities(self._classifier, self._reader, text, history), self._reader.read(text).gloss)
        checks = {label: p for label, p in labels.items() if label in TOOLS or label == ALL_TOOLS}
        if sum(checks.values()) < CHECK_FROM.get(route.name, CHECK_FROM_ELSEWHERE):
            choice = _without_tool({label: p for label, p in labels.items() if label not in checks})
            return replace(choice, suggestion=self._suggestion(text)) if choice.intent == "action" else choice
        best = max(checks, key=lambda label: checks[label])
        if best == ALL_TOOLS:
            return ToolChoice("check", None, confidence=checks[best])
        return ToolChoice("check", best, self._arguments(best, text, history), checks[best])

    def _suggestion(self, text: str) -> str:
        return command_for(text, self._reader.lexicon, self._grammar, self._remedies)

    def _arguments(self, tool: str, text: str, history: Sequence[str]) -> dict[str, Any]:
        """Return the arguments of the text, or of the message it leans on when it names none itself."""
        own = self._grammar.arguments(tool, text)
        context, share = in_context(text, history, self._reader.lexicon)
        return own if own or not share else self._grammar.arguments(tool, context)


def _damped(labels: dict[str, float], gloss: str) -> dict[str, float]:
    """Return the labels with the checks' share moved to knowledge as far as "how do i ..." makes them unlikely."""
    if not _HOW.match(gloss):
        return labels
    result = {label: p * ASKED_HOW if label in (*TOOLS, ALL_TOOLS) else p for label, p in labels.items()}
    return result | {"knowledge": result["knowledge"] + 1 - sum(result.values())}


def _without_tool(labels: dict[str, float]) -> ToolChoice:
    best = max(labels, key=lambda label: labels[label])
    intents: dict[str, Intent] = {"knowledge": "knowledge", "action": "action"}
    return ToolChoice(intents.get(best, "none"), None, confidence=labels[best])
