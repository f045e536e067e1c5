"""Routes a message: which of ten kinds of request it is, with a calibrated confidence, without a language model."""

from dataclasses import dataclass

from onboarding.routing.classifier import Classifier
from onboarding.routing.hostile import is_after_secrets, is_hostile
from onboarding.routing.reading import Reading

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
FALLBACK = "general_question"  # the route of every harmless message while there is no classifier
UNSAFE_FROM = 0.35  # refusing a harmless message costs a rephrasing, answering a hostile one costs more
UNSAFE_FROM_NEAR_SECRETS = 0.12  # of a message that names secrets and this app together
HOSTILE_CONFIDENCE = 0.99  # of a message that bears a mark of attack


@dataclass(frozen=True, slots=True)
class Route:
    """One of ROUTES and how likely it is right, 0..1."""

    name: str
    confidence: float


class Router:
    """Decides the route of a message. Safe to share between threads.

    Without a classifier, as with an encoder it was not trained on, marks of attack still count and every other
    message takes the route FALLBACK with confidence 0.
    """

    def __init__(self, classifier: Classifier | None) -> None:
        """Take the classifier "router" of the encoder that makes the readings."""
        self._classifier = classifier

    @property
    def is_trained(self) -> bool:
        """True where there is a classifier."""
        return self._classifier is not None

    def route(self, reading: Reading) -> Route:
        """Return the route of a message."""
        likely = self.probabilities(reading)
        if is_hostile(reading):
            return Route("unsafe", max(HOSTILE_CONFIDENCE, likely.get("unsafe", 0.0)))
        if not likely:
            return Route(FALLBACK, 0.0)
        if likely["unsafe"] >= (UNSAFE_FROM_NEAR_SECRETS if is_after_secrets(reading) else UNSAFE_FROM):
            return Route("unsafe", likely["unsafe"])
        name = max(likely, key=lambda route: likely[route])
        return Route(name, likely[name])

    def probabilities(self, reading: Reading) -> dict[str, float]:
        """Return how likely each route is; they add up to one, and there are none without a classifier."""
        return self._classifier.probabilities(reading) if self._classifier else {}
