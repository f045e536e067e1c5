"""Read of what a sentence speaks: the words before its first verb, or the pronoun that stands for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from model.statements.words import Word, is_verb, without_lead_in, words

LONGEST = 10  # tokens before the verb; more are no subject that this reading understands

_TOKEN = re.compile(r"`[^`\n]+`|[A-Za-z](?:[\w.'\u2019-]*\w)?|\d[\d.,:]*|[,;:(]")
_AUXILIARY = re.compile(
    r"(?:is|are|was|were|be|been|can|cannot|could|must|may|might|will|would|shall|should|has|have|had|does|do|did"
    r"|\w+n['\u2019]t)$",
    re.IGNORECASE,
)
_DETERMINER = re.compile(r"(?:an?|the|its|their|your|our|my|any|each|every|some|no)$", re.IGNORECASE)
_POINTS_BACK = re.compile(r"(?:it|its|this|that|these|those|they|their|such)$", re.IGNORECASE)
_READER = re.compile(r"(?:you|we|i|one|there|documentation)$", re.IGNORECASE)
_SIDE = re.compile(  # "To turn it off, ", "On RHEL 9, "
    r"^(?:(?:to|if|when|for|in|on|with|by|after|before|once|as|at|from|while|since|because|without|unless|until|only|per"
    r"|under|during|according)\b[^,]{0,160},\s*)+",
    re.IGNORECASE,
)
_LAST = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Subject:
    """The words that tell of what a sentence speaks; none where it addresses the reader. back: it is a pronoun."""

    words: Mapping[str, Word] = field(default_factory=dict)
    back: bool = False


@lru_cache(maxsize=5_000)
def subject_of(sentence: str) -> Subject:
    """Return the subject of a sentence; names and code in it tell enough without the words around them."""
    found: list[str] = []
    tokens = _TOKEN.findall(_SIDE.sub("", without_lead_in(sentence).strip()))
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if _AUXILIARY.match(token) or _is_predicate(token, found, following):
            break
        found.append(token)
    else:
        return Subject()  # a heading or an order
    told = [token for token in found if not _DETERMINER.match(token)]
    if not told or len(found) > LONGEST or any(map(_READER.match, told)):
        return Subject()
    if _POINTS_BACK.match(told[0]):
        return Subject(back=True)
    held = words(" ".join(told))
    named = {key: word for key, word in held.items() if word.kind != "word"}
    return Subject(named or held)


def spoken_of(sentence: str, before: str) -> Mapping[str, Word]:
    """Return the words of what a sentence speaks, those of the sentence before it where a pronoun stands there."""
    found = subject_of(sentence)
    return subject_of(_LAST.split(before.strip())[-1]).words if found.back else found.words


def _is_predicate(token: str, before: list[str], following: str) -> bool:
    """Return True for a verb in a form that follows a subject, or that opens an order."""
    if not token.islower() or not is_verb(token):
        return False
    if not before:
        return not token.endswith("s")
    return (
        token.endswith(("s", "d", "t")) and not _DETERMINER.match(before[-1]) and not _AUXILIARY.match(following or " ")
    )
