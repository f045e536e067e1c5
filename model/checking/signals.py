"""Measure how a sentence stands to its evidence: what is missing, what is attached elsewhere, what is turned round."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import groupby

from model.statements.evidence import CONTEXT, Evidence, Piece
from model.statements.opposition import ANCHORS, compare
from model.statements.subjects import spoken_of
from model.statements.words import Clause, Word, answer_of, asked_statement, clauses, words

SAME = 0.6  # share of a clause's words from which another clause is about the same
NEARLY_WHOLE = 0.85  # share of the other words that follow a piece where one figure or name is exchanged
LEAST_EXCHANGED = 3.0  # weight of those words
ELSEWHERE = 0.6  # share of them that stands with the figure elsewhere, from which nothing is exchanged
NEAR_QUESTION = 0.3  # share of a question's words in one piece of passages that say something about it
ANSWERED = 2.0  # of a sentence that says that nothing is said where the passages answer the question
SAID = 0.6  # share of the words in one piece from which the evidence does say what a sentence denies that it says
LEAST_SILENT = 0.01  # of a sentence that says that nothing is said
ABOUT = 0.5  # share of the other words from which a piece is about what a release is named for
CLEAR = 0.2  # margin from which a sure reversal is no matter of choice between two clauses
EVEN = 0.15  # margin of a clause that is as near to its reverse as to the same
LEAST_WEIGHT = 1.5  # of a clause that is compared
NEW = 0.35  # share of words up to which a sentence only says the question again
SUMMED = 0.9  # worth of a list that a sentence sums up, against one sentence that says it
CLOSE = 0.85  # share of the best piece's words from which another may be the one that a sentence follows
LIKELY = 3  # pieces that a sentence is laid beside word by word
LONGEST_CHANGE = 4  # words that may stand for one another in their place
MOST_REPLACED = 3.0  # further words say no more
TELLING = 1.0  # weight of a word that names something; "run" is less
OPENING = 2  # sentences of a passage that say what it is about
POSSIBLE = next(iter(words("supported")))  # the key of all that says whether something works
NAMES = (  # of what is measured, in the order of the weights
    "bare", "near", "news", "echo", "together", "missing_figures", "missing_names", "loose",
    "turned", "surely", "refused", "unconditional", "other_release", "answer", "in_order", "replaced",
    "replaced_words", "subject", "crossed", "contrast", "exchanged", "affirms", "denies", "silence", "points",
    "pronoun",
)  # fmt: skip

_PRONOUN = re.compile(r"\W*(?:it|its|this|that|they|these|those|their)\b", re.IGNORECASE)
_SILENT = re.compile(  # "the documentation does not say"
    r"\b(?:documentation|documents?|docs|text|passages?|pages?|context|sources?|information)\b[^.;:]{0,40}?"
    r"\b(?:does|do|is|are|did)(?: not|n['\u2019]t) (?:\w+ )?(?:say|state|mention|specif|provid"
    r"|contain|includ|describe|list|cover|explain|address|answer|indicate|given|available|discuss|give)\w*"
    r"(?: any)?(?:thing|where)?"
    r"(?: (?:information|details?|mention))?"
    r"(?: (?:about|on|regarding|whether|that|if|of|for))?",
    re.IGNORECASE,
)
_POINTS = re.compile(  # names a place to read on, and says nothing of what is there
    r"\W*(?:(?:for|to (?:get|find|see|learn))\b[^.,;:]{0,60}\b(?:information|details?|instructions|more|guidance)\b"
    r"[^.;:]{0,60}?,? *)?(?:(?:you (?:can|should|may) |please |also )*(?:see|refer to|consult|check|read|find)\b"
    r"[^.;:]{0,40}?\b(?:documentation|documents?|docs|pages?|sections?|guides?|sources?|readme)\b"
    r"|the (?:\w+ ){0,2}(?:documentation|docs|passages?|pages?|sections?|text|sources?|guides?) (?:also |only )?"
    r"(?:provides?|contains?|gives?|offers?|includes?|has|have|describes?|explains?|covers?|lists?|outlines?|shows?)"
    r" (?:(?:an?|the|some|more|further|detailed|clear|specific|additional|general|step-by-step|following|this|all) )*"
    r"(?:information|details?|instructions?|steps?|overview|guidance|guidelines|commands?|examples?|how|this)\b)",
    re.IGNORECASE,
)
_ABOUT = re.compile(  # "about 40", "for example"
    r"\b(?:about|around|approximately|roughly|nearly|almost|some|e\.g\.|for example|for instance|such as|like)\b",
    re.IGNORECASE,
)
_OR_NOT = re.compile(r",? or not\b", re.IGNORECASE)
_UNITS = (1000.0, 1024.0, 1e6, 1024.0**2, 60.0, 24.0, 3600.0, 7.0, 30.0, 365.0, 12.0)
_LAST = re.compile(r"(?<=[.!?])\s+|\n+")
_AMOUNT = r"(?! ?(?:%|[GMTk]i?B|\w*(?:disk|core|node|host|machine|minute|hour|port|user|time)s?\b))"  # no release
_RELEASE = re.compile(  # "RHEL 8", "CentOS Stream 10", "RHEL10", "RHEL 8, 9 or 10"
    r"\b(?P<what>[A-Z][\w-]*[A-Za-z](?: [A-Z][\w-]*[A-Za-z])?)[ -]?"
    rf"(?P<which>\d+(?:\.\d+)*\b(?:(?:,? (?:or|and) |, |/)\d+(?:\.\d+)*\b{_AMOUNT})*)"
)
_VERSION = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class Signals:
    """The measures of one sentence, by NAMES, and the piece of the evidence that is nearest to it or against it."""

    values: tuple[float, ...]
    nearest: Piece | None

    def __getitem__(self, name: str) -> float:
        return self.values[NAMES.index(name)]


def signals(sentence: str, evidence: Evidence, question: str = "", before: str = "") -> Signals:
    """Return the measures of a sentence. before: the sentence before it, for what a pronoun stands for."""
    said = clauses(sentence)
    asked = [word for word in _different(said) if not _is_given(word, evidence)]
    total = sum(word.weight for word in asked)
    held = evidence.places.held(asked)
    best = max(range(len(held)), key=held.__getitem__, default=None)
    nearest = None if best is None else evidence.pieces[best]
    near = held[best] / total if best is not None and total else 0.0
    near = max(near, _summed(asked, total, evidence))
    new = [word for word in asked if word.key not in evidence.lent]
    of_new = sum(word.weight for word in new)
    # a small model likes to say the question again as its answer, with or without a yes
    lent = words(question)
    statement = asked_statement(question)
    echoed = words(statement)
    unasked = sum(word.weight for word in asked if word.key not in echoed)
    echoes = bool(total and statement) and unasked <= NEW * total
    denied = answer_of(sentence) is False or _denials(said) != _denials(clauses(statement))
    denied |= any(word.side * echoed[word.key].side < 0 for word in asked if word.key in echoed)
    absent = [word for word in asked if not _known(word, evidence)]
    close = [piece for piece, share in zip(evidence.pieces, held, strict=True) if share >= CLOSE * held[best or 0]]
    likely = sorted(range(len(held)), key=held.__getitem__, reverse=True)[:LIKELY]
    own = [word for clause in said for word in clause.words]
    aligned = list(_alignments(own, [evidence.pieces[number] for number in likely]))
    in_order, replaced, replaced_words = _followed(aligned, sum(word.weight for word in own))
    exchanged, exchanged_in = _exchanged(sentence, said, aligned, evidence)
    turned, surely, against = _turned(said, evidence, lent.keys())
    meant = words(_LAST.split(before.strip())[-1]) if before and _PRONOUN.match(sentence) else {}
    gap = _attached(said, [*meant.values(), *asked], evidence)
    answered, contradicting = _answer(sentence, question, evidence)
    refused = _refused(question, evidence) if answer_of(sentence) else None
    values = {
        "bare": float(not asked or sentence.endswith(":")),
        "near": near,
        "news": max(max(evidence.places.held(new)) / of_new, _summed(new, of_new, evidence))
        if held and of_new
        else 1.0,
        "echo": 1.0 - of_new / total if total else 0.0,
        "together": _together(asked, total, evidence),
        "missing_figures": float(sum(word.kind == "figure" for word in absent)),
        "missing_names": float(sum(word.kind in {"code", "name"} for word in absent)),
        "loose": gap,
        "turned": turned,
        "surely": surely,
        "refused": float(refused is not None),
        "unconditional": _unconditional(said, nearest),
        "other_release": _other_release(sentence, asked, evidence),
        "answer": answered,
        "in_order": in_order,
        "replaced": 0.0 if _ABOUT.search(sentence) else replaced,  # an example takes nothing's place
        "replaced_words": replaced_words,
        "subject": missing_subject(sentence, before, close, evidence),
        "crossed": _crossed(said, close),
        "contrast": _contrast(said, close),
        "exchanged": exchanged,
        "affirms": float(echoes and not denied),
        "denies": float(echoes and denied),
        "silence": _silence(sentence, evidence, question),
        "points": float(bool(_POINTS.match(sentence)) and not any(word.kind in ANCHORS for word in absent)),
        "pronoun": float(bool(_PRONOUN.match(sentence))),
    }
    nearest = refused or contradicting or against or exchanged_in or nearest
    return Signals(tuple(values[name] for name in NAMES), nearest)


def missing_subject(sentence: str, before: str, pieces: Sequence[Piece], evidence: Evidence) -> float:
    """Return the least share, of all pieces, of what a sentence speaks of that stands neither there nor above, 0..1."""
    subject = [word for word in spoken_of(sentence, before).values() if not _is_given(word, evidence)]
    total = sum(word.weight for word in subject)
    missing = [sum(word.weight for word in subject if word.key not in piece.beside) for piece in pieces]
    return min(missing, default=0.0) / total if total else 0.0


def _silence(sentence: str, evidence: Evidence, question: str) -> float:
    """Return for a sentence that says that nothing is said how surely something is, 0..1; 0 for any other sentence.

    What is meant to be left unsaid are the words that follow, or the question's where a pronoun or nothing follows.
    """
    found = _SILENT.search(sentence)
    if not found:
        return 0.0
    said = sentence[found.end() :]
    of_question = bool(_PRONOUN.match(said)) or not words(said)
    asked = list(words(question if of_question else said).values())
    total = sum(word.weight for word in asked)
    held = evidence.places.held(asked)
    stated = [
        share
        for share, piece in zip(held, evidence.pieces, strict=True)
        # a passage that denies a thing may well be told as one that does not speak of it
        if piece.states and piece.kind != "heading" and (of_question or not any(one.denials for one in piece.said))
    ]
    share = max(stated, default=0.0) / total if total else 0.0
    if of_question and share >= NEAR_QUESTION:  # these passages were found for the question
        return ANSWERED if evidence.answers else LEAST_SILENT
    return max(LEAST_SILENT, share)


@dataclass(frozen=True, slots=True)
class _Alignment:
    """The words of a sentence laid beside those of a piece, in order."""

    piece: Piece
    same: float  # weight of the words that stand in both
    replaced: tuple[tuple[Sequence[Word], Sequence[Word]], ...]  # what stands for what


def _alignments(own: Sequence[Word], pieces: Sequence[Piece]) -> Iterator[_Alignment]:
    for piece in pieces:
        theirs = [word for clause in piece.said for word in clause.words]
        matcher = SequenceMatcher(None, [word.key for word in own], [word.key for word in theirs], autojunk=False)
        changes = matcher.get_opcodes()
        same = sum(word.weight for kind, start, end, *_ in changes if kind == "equal" for word in own[start:end])
        replaced = tuple(
            (own[start:end], theirs[other:last]) for kind, start, end, other, last in changes if kind == "replace"
        )
        yield _Alignment(piece, same, replaced)


def _followed(found: Sequence[_Alignment], total: float) -> tuple[float, float, float]:
    """Return how a sentence follows the words of the piece that it follows best.

    The share of its words that stand there in the same order; the weight of figures and names, and of other words, in
    whose place another stands there.
    """
    best = (0.0, 0.0, 0.0)
    for one in found if total else ():
        new = [
            word
            for own, theirs in one.replaced
            if max(len(own), len(theirs)) <= LONGEST_CHANGE
            for word in own
            if word.key not in one.piece.keys
        ]
        anchors = sum(word.weight for word in new if word.kind in ANCHORS)
        plain = sum(word.weight for word in new if word.kind == "word")
        best = max(best, (one.same / total, min(anchors, MOST_REPLACED), min(plain, MOST_REPLACED)))
    share, anchors, plain = best
    return share, anchors * share, plain * share


def _exchanged(
    sentence: str, said: Sequence[Clause], found: Sequence[_Alignment], evidence: Evidence
) -> tuple[float, Piece | None]:
    """Return 1 and the piece where all but one figure or name of a sentence follows it, and that stands nowhere so."""
    if _ABOUT.search(sentence) or any(clause.conditional for clause in said):
        return 0.0, None
    reported = any(clause.reported for clause in said)
    for one in found:
        piece = one.piece
        if not piece.states or (not reported and any(clause.reported or clause.hedged for clause in piece.said)):
            continue
        pairs = [(new, old) for new, old in one.replaced if _one_for_one(new, old, piece)]
        if len(pairs) != 1 or one.same < LEAST_EXCHANGED:
            continue
        new, old = pairs[0][0][0], pairs[0][1][0]
        rest = [word for clause in said for word in clause.words if word.key != new.key]
        total = sum(word.weight for word in rest)
        if one.same < NEARLY_WHOLE * total or _converted(new.key, old.key):
            continue
        if new.kind == "code" and not _known(new, evidence):
            continue  # a value of the reader's own
        held = evidence.windows.held(rest)
        if not any(held[number] >= ELSEWHERE * total for number, _ in evidence.windows.of(new)):
            return 1.0, piece
    return 0.0, None


def _one_for_one(new: Sequence[Word], old: Sequence[Word], piece: Piece) -> bool:
    """Return True for one figure or name in the place of another of its kind."""
    return (
        len(new) == len(old) == 1
        and new[0].kind == old[0].kind
        and new[0].kind in ANCHORS
        and new[0].key not in piece.beside
    )


def _converted(one: str, other: str) -> bool:
    """Return True for two figures that may be the same in another unit."""
    try:
        low, high = sorted((float(one), float(other)))
    except ValueError:
        return False
    return low > 0 and any(abs(high / low - factor) < 0.05 * factor for factor in _UNITS)


def _denials(said: Sequence[Clause]) -> int:
    return sum(clause.denials for clause in said) % 2


def _different(said: Sequence[Clause]) -> list[Word]:
    return list({word.key: word for clause in said for word in clause.words}.values())


def holds_exactly(sentence: str, evidence: Evidence) -> bool:
    """Return True if the evidence holds every figure and identifier of a sentence."""
    found = words(sentence).values()
    return all(_known(word, evidence) for word in found if word.kind in {"figure", "code"})


def _is_given(word: Word, evidence: Evidence) -> bool:
    """Return True for a figure that the question lends, or that one of the evidence rounds to."""
    if word.kind != "figure" or word.key in evidence.keys:
        return False
    return word.key in evidence.lent or evidence.has_figure(word.key)


def _known(word: Word, evidence: Evidence) -> bool:
    if word.key in evidence.keys or word.key in evidence.lent:
        return True
    if word.kind == "figure":
        return evidence.has_figure(word.key)
    return word.kind != "word" and len(word.key) > 2 and word.key in evidence.low


def _together(asked: Sequence[Word], total: float, evidence: Evidence) -> float:
    """Return the best share of the words that stands together: in neighbours, a list, a table, a block of code."""
    return max((_share(asked, total, keys) for keys in evidence.groups), default=0.0)


def _summed(asked: Sequence[Word], total: float, evidence: Evidence) -> float:
    """Return the best share of the words that a list or table holds, as what it is worth for a sentence."""
    return SUMMED * max((_share(asked, total, keys) for keys in evidence.lists), default=0.0)


def _share(asked: Sequence[Word], total: float, keys: frozenset[str]) -> float:
    return sum(word.weight for word in asked if word.key in keys) / total if total else 1.0


def _turned(said: Sequence[Clause], evidence: Evidence, given: Set[str]) -> tuple[float, float, Piece | None]:
    """Return by how much a clause is nearer to one that says its reverse than to one that says the same, 0..1.

    Also 1 where that is sure, and the piece that says the reverse. given: the keys of what was said before.
    """
    worst, surely, found = 0.0, 0.0, None
    for clause in said:
        if clause.conditional or clause.reported or clause.weight < LEAST_WEIGHT:
            continue
        for sides in _sides(clause, evidence, given).values():
            if sides.odd >= SAME and sides.odd - sides.even + EVEN > worst:
                worst, found = sides.odd - sides.even + EVEN, sides.against
            if sides.sure and sides.sure - sides.even >= CLEAR:
                surely = 1.0
    return min(1.0, worst), surely, found


@dataclass(frozen=True, slots=True)
class _Sides:
    """The overlaps, 0..1, with the nearest clauses that say the reverse, the same, and surely the reverse."""

    odd: float
    even: float
    sure: float
    against: Piece | None


def _sides(clause: Clause, evidence: Evidence, given: Set[str] = frozenset()) -> dict[str, _Sides]:
    """Return how near the nearest clauses are that say the reverse and the same, by the word that it may turn on.

    What says the same of one word says nothing about another.
    """
    near = {id(other): (other, piece) for key in clause.by_key for other, piece in evidence.statements.get(key, ())}
    found = [(compare(clause, other, piece.beside, given), other, piece) for other, piece in near.values()]
    sides = {}
    for key in clause.bearing if clause.denials else clause.by_key:
        odd = even = sure = 0.0
        against = None
        for one, other, piece in found:
            if not one.odd:
                even = max(even, one.overlap if other.elliptic or key in other.keys else 0.0)
            elif key in clause.bearing & other.keys or key in other.bearing:
                sure = max(sure, one.overlap if one.sure and not piece.conditional else 0.0)
                if one.overlap > odd:
                    odd, against = one.overlap, piece
        sides[key] = _Sides(odd, even, sure, against)
    return sides


def _attached(said: Sequence[Clause], asked: Sequence[Word], evidence: Evidence) -> float:
    """Return how loosely the figures and names hang on the words beside them."""
    worst = 0.0
    subject = asked[0] if asked and asked[0].kind != "word" else None
    for part in _parts(said):
        # figures of an enumeration say nothing of one another
        beside = {word.key: word for word in [*part, *filter(None, [subject])] if word.kind != "figure"}
        held = evidence.spot_places.held(beside.values())
        for anchor in part:
            if anchor.kind in ANCHORS and anchor.key not in evidence.told and _known(anchor, evidence):
                worst = max(worst, _loose(anchor, held, beside, evidence))
    return worst


def _parts(said: Sequence[Clause]) -> Iterator[list[Word]]:
    """Yield the words that stand between two commas or conjunctions; "9, 10 and 12" belong to the words beside them."""
    for clause in said:
        rest: list[Word] = []
        for _, group in groupby(clause.words, key=lambda word: word.part):
            part = list(group)
            if rest and _is_bare(part) != _is_bare(rest):
                rest += part
                continue
            if rest:
                yield rest
            rest = part
        if rest:
            yield rest


def _is_bare(part: Sequence[Word]) -> bool:
    return all(word.kind in ANCHORS for word in part)


def _loose(anchor: Word, held: Sequence[float], beside: Mapping[str, Word], evidence: Evidence) -> float:
    """Return the share of the words beside a figure or name that stand together somewhere, but not where it stands."""
    own = anchor.weight if anchor.key in beside else 0.0
    total = sum(word.weight for word in beside.values()) - own
    if total <= 0:
        return 0.0
    worth = dict(evidence.spot_places.of(anchor))
    rest = [value - worth.get(number, 0.0) * own for number, value in enumerate(held)]
    # a figure is not the headings' or the neighbours', a name may be
    least = 1.0 if anchor.kind == "figure" else CONTEXT
    here = [number for number, value in worth.items() if value >= least]
    if here and all(evidence.spots[number].apart & beside.keys() for number in here):
        return 1.0  # of another column
    return (max(rest) - max(rest[number] for number in here)) / total if here else 0.0


def _unconditional(said: Sequence[Clause], nearest: Piece | None) -> float:
    """Return 1 where the nearest clause stands beside a condition that the sentence does not name."""
    own = {key for clause in said for key in clause.by_key}
    if nearest is None or not nearest.said or "default" in own or any(clause.conditional for clause in said):
        return 0.0
    shares = [sum(word.weight for key, word in clause.by_key.items() if key in own) for clause in nearest.said]
    at = max(range(len(shares)), key=shares.__getitem__)
    return float(any(
        clause.conditional and clause.weight and share < 0.5 * clause.weight
        for clause, share in list(zip(nearest.said, shares, strict=True))[max(0, at - 1) : at + 2]
    ))  # fmt: skip


def _crossed(said: Sequence[Clause], pieces: Sequence[Piece]) -> float:
    """Return the share of the words beside a figure or name that a piece gives to another one of its kind.

    The least of all pieces: "A on 1, B on 2" says nothing of A on 2, but another piece may.
    """
    parts = list(_parts(said))
    every = {word.key for part in parts for word in part}
    owns = [every if at == 0 else {word.key for word in part} for at, part in enumerate(parts)]  # first the subject
    return max(
        (
            min((_crossing(part, own, piece) for piece in pieces), default=0.0)
            for part, own in zip(parts, owns, strict=True)
        ),
        default=0.0,
    )


def _crossing(part: Sequence[Word], own: Set[str], piece: Piece) -> float:
    total = sum(word.weight for word in part)
    found = 0.0
    theirs = [{word.key: word.kind for word in other} for other in _parts(piece.said)]
    for anchor in part:
        here = [other for other in theirs if anchor.key in other]
        if anchor.kind not in ANCHORS or not here:
            continue
        crossed = [
            word for word in part
            if word is not anchor and not any(word.key in other for other in here)
            and (there := [other for other in theirs if word.key in other])
            and all(any(kind == anchor.kind and key not in own for key, kind in other.items()) for other in there)
        ]  # fmt: skip
        found = max(found, sum(word.weight for word in crossed) / total)
    return found


def _contrast(said: Sequence[Clause], pieces: Sequence[Piece]) -> float:
    """Return the least weight, of all pieces, of the words that a piece only denies and the sentence affirms."""
    affirmed = {word.key: word for clause in said for word in clause.words if not word.denial}
    denials = sum(clause.denials for clause in said)
    if any(word.side < 0 for clause in said for word in clause.words):
        return 0.0
    found = []
    for piece in pieces:
        denied = {word.key for clause in piece.said for word in clause.words if word.denial}
        denied -= {word.key for clause in piece.said for word in clause.words if not word.denial}
        if denials >= sum(clause.denials for clause in piece.said):
            denied = set()  # the same is denied in other words
        found.append(sum(word.weight for key, word in affirmed.items() if key in denied))
    return min(found, default=0.0)


def _other_release(sentence: str, asked: Sequence[Word], evidence: Evidence) -> float:
    """Return 1 where the evidence says what a sentence says of a release, but of other releases only."""
    named = _releases(sentence)
    if not named:
        return 0.0
    rest = [word for word in asked if not _is_release(word, named)]
    total = sum(word.weight for word in rest)
    found: dict[str, set[str]] = {}
    for piece, held in zip(evidence.pieces, evidence.places.held(rest), strict=True):
        if total and held >= ABOUT * total:
            for what, which in _releases(piece.text).items():
                found.setdefault(what, set()).update(which)
    return float(any(what in found and not which & found[what] for what, which in named.items()))


def _is_release(word: Word, named: Mapping[str, set[str]]) -> bool:
    return any(what.startswith(word.key) or word.key in which for what, which in named.items())


@lru_cache(maxsize=20_000)
def _releases(text: str) -> Mapping[str, set[str]]:
    """Return the releases that a text names, by what they are releases of."""
    found: dict[str, set[str]] = {}
    for name in _RELEASE.finditer(text):
        what = re.sub(r"[ -]", "", name["what"]).lower()
        found.setdefault(what, set()).update(_VERSION.findall(name["which"]))
    return found


def _refused(question: str, evidence: Evidence) -> Piece | None:
    """Return the piece that refuses what a question asks leave for: "can I run it on X", "X does not work".

    The passage that leads has to open so, of what the question names and of no other release; and nothing that holds
    more of the question's words may allow it ("X is fine as a guest").
    """
    asked = [clause for clause in clauses(_OR_NOT.sub("", asked_statement(question))) if POSSIBLE in clause.by_key]
    if not asked or any(clause.denials or clause.bearing != {POSSIBLE} for clause in asked):
        return None  # "can i skip it" asks leave for what is turned itself
    wanted = {key: word for key, word in words(question).items() if word.weight >= TELLING}
    figures = {word.key for word in wanted.values() if word.kind == "figure"}
    stating = [piece for piece in evidence.pieces if piece.kind in {"sentence", "item"}]
    opening = [piece for piece in stating if piece.source == 1][:OPENING]
    refusing = {piece: _named(piece, -1, wanted, figures) for piece in opening}
    most = max(refusing, key=refusing.__getitem__, default=None)
    allowed = max((_named(piece, 1, wanted, figures) for piece in stating), default=0.0)
    return most if most and refusing[most] >= max(1.0, allowed) else None


def _allows(clause: Clause) -> int:
    """Return 1 for a clause that says that something works or is accepted, -1 for one that denies it, 0 for others."""
    word = clause.by_key.get(POSSIBLE)
    if word is None or clause.conditional or clause.hedged or clause.reported:
        return 0
    return -word.side if word.denial else word.side


def _named(piece: Piece, allows: int, wanted: Mapping[str, Word], figures: Set[str]) -> float:
    """Return the weight of a question's words in the clauses that allow or deny, those of another release left out."""
    found = 0.0
    for clause in piece.said:
        releases = {word.key.split(".")[0] for word in clause.words if word.kind == "figure"}
        others = figures and releases and not releases & {figure.split(".")[0] for figure in figures}
        if _allows(clause) == allows and not others:
            named = clause.by_key.keys() | (piece.neighbour if allows > 0 else set())  # "as guests they work"
            found = max(found, sum(word.weight for key, word in wanted.items() if key in named and key != POSSIBLE))
    return found


def _answer(sentence: str, question: str, evidence: Evidence) -> tuple[float, Piece | None]:
    """Return by how much the evidence answers the question the other way than the sentence's yes or no, 0..1."""
    says = answer_of(sentence)
    asked = asked_statement(question)
    if says is None or not asked:
        return 0.0, None
    worst, found = 0.0, None
    for clause in clauses(asked)[:1]:
        known = replace(clause, words=tuple(word for word in clause.words if word.key in evidence.keys))
        if not known.words:
            continue
        sides = _sides(known, evidence)
        telling = [sides[key] for key in known.bearing or sides]
        odd, even = max(telling, key=lambda one: one.odd), max(one.even for one in telling)
        margin = (odd.odd - even) if says else (even - odd.odd)
        if max(odd.odd, even) >= 0.5 and margin > worst:
            worst, found = margin, odd.against if says else None
    return min(1.0, worst), found
