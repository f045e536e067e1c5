"""Routes a message: which of ten kinds of request it is, with a calibrated confidence, without a language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onboarding.routing.classifier import ARTEFACT, load
from onboarding.routing.features import Encoder, Reader
from onboarding.routing.followup import probabilities
from onboarding.routing.hostile import is_after_secrets, is_hostile
from onboarding.routing.lexicon import load_lexicon

ROUTES = (
    "introduction",
    "rhel10",
    "diagnostics",
    "plugins",
    "contribute",
    "deploy",
    "general_question",
    "smalltalk",
    "off_topic",
    "unsafe",
)
UNSAFE_FROM = 0.35  # refusing a harmless message costs a rephrasing, answering a hostile one costs more
UNSAFE_FROM_NEAR_SECRETS = 0.12  # of a message that names secrets and this app together
HOSTILE_CONFIDENCE = 0.99  # of a message that bears a mark of attack


@dataclass(frozen=True, slots=True)
class Route:
    """One of ROUTES and how likely it is right, 0..1."""

    name: str
    confidence: float


class Router:
    """Decides the route of a message; ~20 ms, nearly all of it the embedding. Safe to share between threads."""

    def __init__(self, embedder: Encoder, reader: Reader | None = None, folder: Path = ARTEFACT) -> None:
        """Load the classifier. Raises ArtefactStale, which names the mending command, when it does not fit.

        Pass the `reader` on to a ToolChooser, so that a message is embedded once for both.
        """
        self.reader = reader or Reader(embedder, load_lexicon())
        self._classifier = load("router", embedder.digest, folder)

    def route(self, text: str, history: Sequence[str] = ()) -> Route:
        """Return the route of `text`; `history` is what the visitor wrote before, oldest first.

        A short message that leans on the one before it ("and on rocky?") is read together with that one.
        """
        likely = self.probabilities(text, history)
        gloss = self.reader.read(text).gloss
        if is_hostile(text, gloss):
            return Route("unsafe", max(HOSTILE_CONFIDENCE, likely["unsafe"]))
        if likely["unsafe"] >= (UNSAFE_FROM_NEAR_SECRETS if is_after_secrets(gloss) else UNSAFE_FROM):
            return Route("unsafe", likely["unsafe"])
        name = max(likely, key=lambda route: likely[route])
        return Route(name, likely[name])

    def probabilities(self, text: str, history: Sequence[str] = ()) -> dict[str, float]:
        """Return how likely each route is; they add up to one."""
        return probabilities(self._classifier, self.reader, text, history)
