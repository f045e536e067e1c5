"""Find sentences that affirm what the evidence denies, or the reverse, by words, without a second model.

Knows three topics that a sentence affirms or denies: that something is supported, required, enabled. What the evidence
says of one release only, a sentence may not say of another. Clauses that only report what a document says ("the README
lists RHEL 8 as supported") count for neither side. Does not find: contradictions in other predicates, in figures, or
across sentences ("It is." after a question).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SHARED = 0.5  # of the claim's other words, from which a clause of the evidence is about the same thing
_CLAUSE = re.compile(
    r"[;:\u2014]\s|,\s(?:but|yet|although|though|while|whereas|because|so|which|and)\s|\s(?:but|although|because)\s|\s-\s"
    r"|[.!?]\s"
)
_REPORTED = re.compile(
    r"\b(?:readme|documents?|documentation|docs|guides?|pages?|adr-?\d*|claims?|promis\w+|lists?|listed|says?|mention\w*"
    r"|\w+\.md)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\b(?:if|unless|whether|until|in case)\b", re.IGNORECASE)
_NEGATION = re.compile(
    r"\b(?:not|no|none|never|cannot|can't|isn't|aren't|doesn't|don't|won't|neither|nor|without)\b", re.IGNORECASE
)
_NO_THING = re.compile(r"\s+no\b", re.IGNORECASE)  # as in "needs no GPU"
_ANSWER = re.compile(r"^\W*(?:yes|no)\b\W*", re.IGNORECASE)
_AMOUNT = r"(?! ?(?:%|[GMTk]i?B|\w*(?:disk|core|node|host|machine|minute|hour|port|user|time)s?\b))"  # no release
_NAME = re.compile(  # "RHEL 8", "CentOS Stream 10", "RHEL10", "RHEL 8, 9 or 10"
    r"\b(?P<what>[A-Z][\w-]*[A-Za-z](?: [A-Z][\w-]*[A-Za-z])?)[ -]?"
    rf"(?P<which>\d+(?:\.\d+)*\b(?:(?:,? (?:or|and) |, |/)\d+(?:\.\d+)*\b{_AMOUNT})*)"
)
_VERSION = re.compile(r"\d+(?:\.\d+)*")
_WORD = re.compile(r"[^\W\d_]{3,}")
_EMPTY = frozenset(
    """the and for are was were with that this from into your you can will has have had its their they them then which
    when what where how who why also such than there these those been being but use used using may must should would
    will only very still fully now yes qubinode navigator""".split()
)

# words that affirm and words that deny, by topic
_TOPICS = tuple(
    (re.compile(rf"\b(?:{affirmed})\b", re.IGNORECASE), re.compile(rf"\b(?:{denied})\b", re.IGNORECASE))
    for affirmed, denied in (
        (
            r"(?<!to a )supported|supports?|accept(?:s|ed)?|compatible|works?|allowed|possible|"
            r"can (?:still )?(?:be )?(?:used?|run|install(?:ed)?|deploy(?:ed)?|upgraded?)",
            r"refus\w+|reject\w+|unsupported|incompatible|impossible|dropped|stops? (?:on|at|with)|exits?",
        ),
        (
            r"required|requires?|mandatory|necessary|needed|needs?|compulsory|obligatory|have to|has to|must",
            r"optional|unnecessary|works? without|runs? without|can be (?:skipped|left out|omitted)",
        ),
        (
            r"enabled|switched on|turned on|on by default|active by default",
            r"disabled|switched off|turned off|off by default|inactive by default",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Stance:
    """The stance of a sentence: something that it affirms or denies."""

    topic: int
    affirms: bool
    names: frozenset[str]
    words: frozenset[str]  # what else it is about, without what affirms or denies


def stances(*sentences: str) -> list[Stance]:
    """Return what the sentences affirm and deny, clause by clause; a name holds until the next one of its sentence."""
    return [stance for sentence in sentences for stance in _stances(sentence)]


def _stances(sentence: str) -> Iterator[Stance]:
    names: frozenset[str] = frozenset()
    for clause in _CLAUSE.split(_ANSWER.sub("", sentence)):
        names = frozenset(_names(clause)) or names
        if _REPORTED.search(clause) or _CONDITION.search(clause):
            continue
        for topic, (affirmed, denied) in enumerate(_TOPICS):
            side = _side(clause, affirmed, denied)
            if side is not None:
                rest = _NAME.sub(" ", affirmed.sub(" ", denied.sub(" ", clause)))
                yield Stance(topic, side, names, _words(_NEGATION.sub(" ", rest)))


def goes_against(sentence: str, known: Sequence[Stance]) -> bool:
    """Return True if a sentence contradicts the evidence, or says of one release what holds of others only."""
    claims = stances(sentence)
    return contradicts(claims, known) or of_another(claims, known)


def contradicts(claims: Sequence[Stance], known: Sequence[Stance]) -> bool:
    """Return True if most of what the evidence says (`known`) on one of `claims` takes the other side."""
    for claim in claims:
        if not claim.names and not claim.words:
            continue
        about = [other.affirms for other in known if other.topic == claim.topic and _is_about(claim, other)]
        if about and sum(side != claim.affirms for side in about) > len(about) / 2:
            return True
    return False


def of_another(claims: Sequence[Stance], known: Sequence[Stance]) -> bool:
    """Return True if `known` says what one of `claims` says of a release, but of other releases only."""
    for claim in claims:
        if not claim.names or not claim.words:
            continue
        same = [k for k in known if k.names and (k.topic, k.affirms) == (claim.topic, claim.affirms)]
        if any(_share_words(claim, other) for other in same) and not any(claim.names & other.names for other in same):
            return True
    return False


def _is_about(claim: Stance, other: Stance) -> bool:
    return bool(claim.names & other.names) if claim.names else _share_words(claim, other)


def _share_words(claim: Stance, other: Stance) -> bool:
    return len(claim.words & other.words) >= SHARED * len(claim.words)


def _names(clause: str) -> Iterator[str]:
    for name in _NAME.finditer(clause):
        what = re.sub(r"[ -]", "", name["what"]).lower()
        yield from (what + which for which in _VERSION.findall(name["which"]))


def _side(clause: str, affirmed: re.Pattern[str], denied: re.Pattern[str]) -> bool | None:
    """Return True if a clause affirms, False if it denies, None for neither. A negation turns it round."""
    for pattern, side in ((denied, False), (affirmed, True)):
        found = pattern.search(clause)
        if found:
            denials = len(_NEGATION.findall(clause[: found.start()])) + bool(_NO_THING.match(clause, found.end()))
            negated = denials % 2 == 1
            return side != negated
    return None


def _words(text: str) -> frozenset[str]:
    return frozenset(word[:6] for word in _WORD.findall(text.lower()) if word not in _EMPTY)
