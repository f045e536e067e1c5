"""Routes a message: which of ten kinds of request it is, with a calibrated confidence, without a language model."""

import math
from dataclasses import dataclass, replace

from onboarding.routing.classifier import Classifier
from onboarding.routing.hostile import (
    is_after_secrets,
    is_against_others,
    is_asking,
    is_asking_about_it,
    is_hostile,
)
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
UNSAFE_FROM_ASKING = 0.9  # of a message that asks about a mark of attack, or about the topic of its talk
UNSAFE_FROM_IN_TALK = 0.6  # of a message that leans: both it and what it stands for are read from few words
SURELY_UNSAFE = 0.8  # below this the pages may answer a message that bears no mark and speaks of no wrong
OFF_TOPIC_FROM = 0.4  # declining a question that the pages answer costs more than searching for one that they do not
HOSTILE_CONFIDENCE = 0.99  # of a message that bears a mark of attack


@dataclass(frozen=True, slots=True)
class Route:
    """One of ROUTES and how likely it is right, 0..1."""

    name: str
    confidence: float
    is_doubtful: bool = False  # it refuses, and nothing but the classifier's likelihood says so


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
        """Return the route of a message.

        A message that leans on another is refused for what both say together, never for its own words alone, unless
        these bear a mark of attack. A question about such a mark is weighed like any other message.
        """
        likely = self.probabilities(reading)
        is_marked = is_hostile(reading)
        if is_marked and not (likely and is_asking(reading)):
            return Route("unsafe", max(HOSTILE_CONFIDENCE, likely.get("unsafe", 0.0)))
        if not likely:
            return Route(FALLBACK, 0.0)
        unsafe, least = self._in_talk(reading, likely["unsafe"])
        if is_marked:  # no talk makes a mark harmless
            # the string that is asked about looks unsafe to the classifier too
            unsafe, least = self._alone(reading), UNSAFE_FROM_ASKING
        elif is_after_secrets(reading):
            unsafe, least = max(unsafe, self._alone(reading)), UNSAFE_FROM_NEAR_SECRETS
        if unsafe >= least:
            told = is_marked or is_after_secrets(reading) or is_against_others(reading)
            return Route("unsafe", unsafe, is_doubtful=unsafe < SURELY_UNSAFE and not told)
        off_topic = likely.get("off_topic", 0.0)
        if reading.share and reading.before:  # it is halfway as much on the topic as what it leans on
            is_answered = reading.leaning and reading.leaning.page  # from the pages
            earlier = 0.0 if is_answered else self.probabilities(reading.before).get("off_topic", 0.0)
            off_topic = (off_topic + earlier) / 2
        declined = {"unsafe"} if off_topic >= OFF_TOPIC_FROM else {"unsafe", "off_topic"}
        name = max(likely.keys() - declined, key=lambda route: likely[route])
        return Route(name, likely[name])

    def _in_talk(self, reading: Reading, unsafe: float) -> tuple[float, float]:
        """Return how likely a message is unsafe as it stands in its talk, and from which likelihood it is refused.

        Two or three words look like anything, and so does a question put together from them: a message that leans is
        unsafe where both it, or what it leans on, and the question that it stands for are. One that names nothing
        itself ("print them") is no likelier than what it leans on; a wrong to others counts by its own words.
        """
        if not (reading.share and reading.joint and reading.before):
            return unsafe, UNSAFE_FROM
        own, joint, before = self._alone(reading), self._alone(reading.joint), self._alone(reading.before)
        if is_against_others(reading):
            return max(own, joint), UNSAFE_FROM
        if not reading.move.names:
            return min(unsafe, joint, before), UNSAFE_FROM
        if is_asking_about_it(reading):
            return min(own, joint), UNSAFE_FROM_ASKING
        return math.sqrt(max(own, before) * joint), UNSAFE_FROM_IN_TALK

    def _alone(self, reading: Reading) -> float:
        return self.probabilities(replace(reading, joint=None, share=0.0)).get("unsafe", 0.0)

    def probabilities(self, reading: Reading) -> dict[str, float]:
        """Return how likely each route is; they add up to one, and there are none without a classifier."""
        return self._classifier.probabilities(reading) if self._classifier else {}
