"""Decides by search whether a message stands alone or for the question that its talk makes of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from model.prompting.conversation import Conversation, Topic
from onboarding.routing.exemplars import NOT_LOOKED_UP
from onboarding.routing.language.text import fold
from onboarding.routing.reading import LEANING, Reader, Reading
from onboarding.routing.router import Router
from onboarding.routing.talk.moves import question_after, vocabulary
from rag.search.tiers import Searching
from rag.types import Passage, SearchResult

# Logits by which the passage that leads for the question in its talk may trail the one that leads for the message
# alone, and the message still leans: by far where its form says so, and else it must win. Chosen on
# tests/evals/talks_own.jsonl.
SURE_MAY_TRAIL = 8.0
UNSURE_MUST_WIN = 1.0
UNSURE_MAY_TRAIL = 1.0  # one that names a single thing
SURELY_ANSWERED, STRONG_LEAD = 0.95, 20.0  # probability and relevance from which the pages surely answer
LEAD_IN_TALK = 12.0  # the relevance for a message that leans on its talk
CLEAR_LEAD = 24.0  # relevance from which a message that only may lean stands alone
CLEAR = 0.85  # likelihood from which a message that only may lean is taken to say all by itself
_LAST_SENTENCE = re.compile(r"([^.!?\n]{8,160})\?\W*$")
_OFFER = re.compile(
    r"^\W*(?:do you want (?:me )?to|would you like (?:me )?to|should i|shall i|want me to|can i|may i)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A message as it stands in its talk."""

    reading: Reading  # with its joint reading where it leans, without where it stands alone
    topic: Topic  # of the talk once this is answered
    stands_for: str = ""  # the question that is searched instead of the message, in English words; "" for the message
    found: SearchResult | None = None  # what is found where somebody had to search to know


def stand(
    text: str, conversation: Conversation, reader: Reader, router: Router, searcher: Searching | None, k: int = 5
) -> Standing:
    """Return `text` as it stands in its conversation, with up to `k` passages where a search decided about it.

    Both the message alone and the question in its talk are searched, and the better passage wins: by far where the form
    of the message says that it leans, and else it must be one that holds the message's own words. Without a searcher
    the form decides.
    """
    before = conversation.topic or reader.topic(conversation.questions)
    reading = reader.read(text, before=before, asked=_asked(conversation))
    found, stands_for = None, ""
    if reading.joint and not reading.share and (searcher is None or _is_clear(reading, router)):
        reading = _alone(reading)
    if reading.joint:
        stands_for = reading.joint.text
    if reading.joint and searcher:
        leans, is_better, found = _searched(reading, reading.joint, searcher, k)
        reading, stands_for = replace(reading, share=LEANING) if leans else _alone(reading), stands_for * is_better
    return Standing(reading, _topic(reading, before, reader), stands_for, found)


def searched(standing: Standing, searcher: Searching, k: int = 5) -> Standing:
    """Return a message with what is found for it, up to `k` passages."""
    if standing.found:
        return standing
    reading, joint = standing.reading, standing.reading.joint
    if joint and standing.stands_for:
        return replace(standing, found=searcher.search(joint.text, k, joint.embedded, reading.leaning))
    return replace(standing, found=_alone_found(reading, searcher, k))


def is_answered(standing: Standing) -> bool:
    """Return whether the pages surely answer a message that was searched; one that leans on them need lead less."""
    found, least = standing.found, LEAD_IN_TALK if standing.stands_for else STRONG_LEAD
    return found is not None and found.answerable >= SURELY_ANSWERED and _lead(found) >= least


def _searched(reading: Reading, joint: Reading, searcher: Searching, k: int) -> tuple[bool, bool, SearchResult]:
    """Return whether a message leans, whether the question in its talk finds better, and what is found."""
    move, names = reading.move, reading.move.names
    alone = None if reading.share else _alone_found(reading, searcher, k)
    turns = bool(alone and _turns_to_another(alone, reading, joint))
    if alone and _lead(alone) >= CLEAR_LEAD and not turns:
        return False, False, alone
    together = searcher.search(joint.text, k, joint.embedded, reading.leaning)
    if heading := _step_heading(joint.text, together):
        return True, True, searcher.search(heading, k, None, reading.leaning)
    if reading.share and (not names or (move.points and reading.is_english and together.passages)):
        return True, True, together  # it has too little of its own to stand on
    alone = alone or _alone_found(reading, searcher, k)
    if reading.share:
        wins = _lead(together) >= _lead(alone) - SURE_MAY_TRAIL
        is_news = move.kind == "tells" and len(names) > 1  # "my vm has no ip" begins anew, "it is small" does not
        return wins or not is_news, wins, together if wins else alone
    holds = bool(together.passages) and _holds(together.passages[0], names)
    margin = UNSURE_MUST_WIN if len(names) > 1 else -UNSURE_MAY_TRAIL
    margin = -SURE_MAY_TRAIL if turns else margin
    wins = holds and _lead(together) >= _lead(alone) + margin
    return wins, wins, together if wins else alone


def _turns_to_another(alone: SearchResult, reading: Reading, joint: Reading) -> bool:
    """Return whether a message finds, alone, a part that it does not name, in a talk that names another one."""
    part = vocabulary().part
    named = part.search(joint.gloss)
    led = part.search(fold(alone.passages[0].title)) if alone.passages and named else None
    return bool(named and led and led[0] != named[0] and not part.search(reading.gloss))


def _alone_found(reading: Reading, searcher: Searching, k: int) -> SearchResult:
    return searcher.search(reading.text if reading.is_english else reading.gloss, k, reading.embedded)


def _step_heading(text: str, found: SearchResult) -> str:
    """Return the heading of the step "step 2 ...", whose words find more than its number; "" where none has it."""
    step = re.match(r"step \d+(?= |$)", text)
    headings = (heading for passage in found.passages for heading in passage.headings[-1:])
    return next((one for one in headings if step and re.match(rf"{step[0]}\b", fold(one))), "")


def _lead(found: SearchResult) -> float:
    """Return the relevance of the passage that leads, minus infinity where none does."""
    return found.passages[0].score if found.passages else -math.inf


def _holds(passage: Passage, names: tuple[str, ...]) -> bool:
    text = fold(" ".join((passage.title, *passage.headings, passage.text)))
    return any(name in text for name in names)


def _is_clear(reading: Reading, router: Router) -> bool:
    likely = router.probabilities(reading)
    best = max(likely, key=lambda route: likely[route], default="")
    return best in NOT_LOOKED_UP | {"diagnostics"} and likely[best] >= CLEAR


def _alone(reading: Reading) -> Reading:
    return replace(reading, joint=None, share=0.0, leaning=None)


def _topic(reading: Reading, before: Topic, reader: Reader) -> Topic:
    """Return the topic of the talk after a message; thanks leave it as it was."""
    move = reading.move
    if move.kind == "thanks" and before.question:
        return before
    if reading.joint is None:
        return Topic(reader.in_english(reading), reading.language)
    question = question_after(move, before, reading.joint.text)
    return replace(before, question=question, steps=before.steps if move.kind == "step" else ())


def _asked(conversation: Conversation) -> str:
    """Return what the last answer offers at its end, "" for one that asks nothing."""
    last = _LAST_SENTENCE.search(conversation.turns[-1].answer) if conversation.turns else None
    return _OFFER.sub("", last[1]).strip() if last else ""
