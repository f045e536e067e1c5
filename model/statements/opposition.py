"""Compare two clauses: how much they share, whether one affirms what the other denies, and how sure that is.

A reversal is sure where the clauses share nearly all words, every figure and name included, and what is denied or
stands on the other side is itself among them. Conditions, quotes and "unless" make nothing sure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from model.statements.words import Clause, Word, clauses

DIRECT = 0.35  # share of a clause's words that the other must hold itself
BESIDE = 0.5  # worth of a word that stands only beside the other clause
OF_SUBJECT = 0.9  # the same where the other clause names its subject by a pronoun only
NEARLY_ALL = 0.75  # share of the words from which a reversal is sure
LEAST_SURE = 1.5  # weight of the words that are shared
COVERED = 0.4  # share of the other's words from which it says little else
SEEMING = 0.6  # share of the words from which the reverse seems to be said
SUBJECT = 0.5  # share of the words before what is turned that both hold
ANCHORS = frozenset({"code", "name", "figure"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """The share of a clause's words in another, 0..1, and whether it says the reverse, and surely so."""

    overlap: float
    odd: bool
    sure: bool = False


NOTHING = Comparison(0.0, odd=False)


def compare(clause: Clause, other: Clause, beside: Set[str], given: Set[str] = frozenset()) -> Comparison:
    """Return how a clause stands to another. beside: keys around the other one; given: keys said before the first."""
    shared = clause.by_key.keys() & other.keys
    direct = sum(clause.by_key[key].weight for key in shared)
    around = OF_SUBJECT if other.elliptic else BESIDE
    if not shared or (direct < DIRECT * clause.weight and not other.elliptic):
        return NOTHING  # only its headings speak of the same
    # a denial counts where it denies something that both speak of, or only a pronoun
    pronoun = any(not scope for scope in other.scopes)
    flips = [scope for scope in other.scopes if not scope or scope & shared]
    flips += [scope for scope in clause.scopes if not scope or scope & shared or (pronoun and scope <= beside)]
    turned = [key for key in shared if not clause.sides[key] & other.sides.get(key, clause.sides[key])]
    held = direct + sum(
        around * word.weight for key, word in clause.by_key.items() if key not in shared and key in beside
    )
    odd = (len(flips) + len(turned)) % 2 == 1
    overlap = held / clause.weight
    sure = odd and overlap >= NEARLY_ALL and held >= LEAST_SURE and _is_sure(clause, other, beside, given)
    return Comparison(overlap, odd, sure)


def _is_sure(clause: Clause, other: Clause, beside: Set[str], given: Set[str]) -> bool:
    """Return True where nothing but the reversal separates two clauses that share most of their words."""
    if any(one.conditional or one.reported or one.hedged for one in (clause, other)):
        return False
    theirs = other.keys | beside
    own = clause.keys | given
    if any(word.kind in ANCHORS and word.key not in theirs for word in clause.words):
        return False  # of another release, port or name
    shared = clause.by_key.keys() & other.keys
    # what either denies, and what it takes a side on, must be spoken of by both
    if not all(_spoken_of(scope, clause, shared | (beside if other.elliptic else set())) for scope in clause.scopes):
        return False
    if not all(not scope or _first(other, scope) in own for scope in other.scopes):
        return False
    if any(word.side and word.key not in theirs for word in clause.words):
        return False
    covered = sum(word.weight for key, word in other.by_key.items() if key in own)
    if shared == clause.by_key.keys() and covered >= COVERED * other.weight:
        return True  # whoever does it, "RHEL 10 is refused" is against "the script accepts RHEL 10"
    before = _before_turn(other, shared)
    total = sum(word.weight for word in before)
    return not total or sum(word.weight for word in before if word.key in own) >= SUBJECT * total


def _spoken_of(scope: frozenset[str], clause: Clause, shared: Set[str]) -> bool:
    weights = {key: clause.by_key[key].weight for key in scope}
    return sum(weight for key, weight in weights.items() if key in shared) >= NEARLY_ALL * sum(weights.values())


def _first(clause: Clause, scope: frozenset[str]) -> str:
    return next(word.key for word in clause.words if word.key in scope and word.denial)


def _before_turn(clause: Clause, shared: Set[str]) -> list[Word]:
    """Return the words before the first that is denied or takes a side: of what the clause speaks."""
    found = []
    for word in clause.words:
        if (word.side or word.denial) and word.key in shared:
            break
        found.append(word)
    return found


def refutation(sentence: str, other: str) -> Literal["against", "not_found"] | None:
    """Return "against" where the other sentence surely says the reverse, "not_found" where it seems to."""
    own = [clause for clause in clauses(sentence) if not clause.conditional]
    theirs = clauses(other)
    if any(clause.conditional or clause.hedged or clause.reported for clause in theirs):
        return None
    found = list(_compared(own, theirs))
    if any(not one.odd and one.overlap >= NEARLY_ALL for one in found):
        return None
    if any(one.sure for one in found):
        return "against"
    return "not_found" if any(one.odd and one.overlap >= SEEMING for one in found) else None


def _compared(own: Sequence[Clause], theirs: Sequence[Clause]) -> Iterator[Comparison]:
    """Yield how the clauses of two sentences beside each other stand, those that name other things left aside."""
    said = frozenset[str]().union(*(clause.keys for clause in own))
    for clause in theirs:
        around = said if clause.elliptic else frozenset[str]()
        if clause.elliptic and not _anchors(clause) <= said:
            continue
        for one in own:
            if _anchors(one) <= clause.keys | around:
                yield compare(one, clause, around)
                yield compare(clause, one, frozenset())


def _anchors(clause: Clause) -> set[str]:
    return {word.key for word in clause.words if word.kind in ANCHORS}
