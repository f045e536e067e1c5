"""Tells whether a message is about this page, or talk with it, and of which kind, without a language model."""

from dataclasses import dataclass, replace

from onboarding.routing.classifier import Classifier
from onboarding.routing.exemplars import CHATTER, ELSEWHERE
from onboarding.routing.reading import Reading
from onboarding.routing.router import FALLBACK, Route

TALK = frozenset({"thanks", "goodbye", "greeting", "complaint", "slow", "ack", "person", CHATTER})
# How likely a message must be about the page to be answered as such, by route; the narrower topics ask for more.
ABOUT_FROM = {"smalltalk": 0.3, "introduction": 0.4, "off_topic": 0.4, FALLBACK: 0.4}
ABOUT_FROM_ELSEWHERE = 0.55
SURELY_TALK = 0.9  # from which a remark on a question ("this is rubbish") is meant for the page


@dataclass(frozen=True, slots=True)
class PageTopic:
    """A kind of message about the page, the name of a reply, and how likely it is right, 0..1."""

    kind: str
    confidence: float


class PageTopics:
    """Decides whether the page itself is meant. Safe to share between threads.

    Without a classifier no message is taken to be about the page.
    """

    def __init__(self, classifier: Classifier | None) -> None:
        """Take the classifier "about" of the encoder that makes the readings."""
        self._classifier = classifier

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds it can tell apart."""
        return tuple(kind for kind in self._classifier.labels if kind != ELSEWHERE) if self._classifier else ()

    def topic(self, reading: Reading, route: Route) -> PageTopic | None:
        """Return the kind of a message about the page, None for any other message.

        Thanks, complaints and other talk are told by their own words; what goes on with a question ("is it real?",
        "why?", "still nothing") is about the page only where both together are.
        """
        if self._classifier is None or route.name == "unsafe":
            return None
        alone = self._classifier.probabilities(replace(reading, joint=None, share=0.0))
        found = _best(alone)
        goes_on = bool(reading.share) and (reading.move.kind != "tells" or found.confidence < SURELY_TALK)
        if reading.joint and (goes_on or found.kind not in TALK):
            both = self._classifier.probabilities(reading)
            if goes_on and reading.before:  # halfway as near to the page as what it goes on with
                before = self._classifier.probabilities(reading.before)
                both = {kind: min(p, (p + before[kind]) / 2) for kind, p in both.items()}
            found = _best(both)
        return found if found.confidence >= ABOUT_FROM.get(route.name, ABOUT_FROM_ELSEWHERE) else None


def _best(likely: dict[str, float]) -> PageTopic:
    """Return the likeliest kind; its confidence is that of any kind at all."""
    kinds = {kind: p for kind, p in likely.items() if kind != ELSEWHERE}
    return PageTopic(max(kinds, key=lambda kind: kinds[kind]), sum(kinds.values()))
