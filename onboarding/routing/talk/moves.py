"""Rewrites a follow-up into the question that it stands for, by rules over its English words.

English is read as typed and any other language as glossed, so one set of rules holds for twelve languages. What the
rules are not sure of, a search decides; see `onboarding.assistant.standing`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

from model.prompting.conversation import Topic
from onboarding.routing.language.text import words

FILE = Path(__file__).with_name("words.toml")
AFTER = "what next after"
MAX_WORDS = 14  # a longer message says itself what it is about
MAX_TOPIC = 5  # words of the earlier question that a follow-up takes over
MAX_CHARS = 600  # of the question that a talk is about
MAX_REMARK = 4  # words that a remark adds to the question it is about
MAX_PHRASE = 6  # words of a bare name or condition, such as "and with 8 GB of memory"
SHORT = 3  # words of a message that points and says nothing else: "is that so"
MANY_NAMES = 3  # a question that names so many things stands alone unless it points at something
Kind = Literal["alone", "thanks", "asks on", "points", "tells", "swaps", "means", "step", "still", "yes"]

_ACKNOWLEDGED = re.compile(
    r"^(?:(?:(?:hi|hello|hey|bye|goodbye|oh|ah|wow|ok|okay|k|yes|yeah|yep|no|great|cool|nice|perfect|good|fine|super|awesome|thanks|thank you|thx|ty|"
    r"cheers|hm+|uh|oops|got it|i see|understood|alright|right|sure|works|worked|it works?(?: now)?|it worked|did that|done|"
    r"that (?:worked|works|did it|did the trick|helped|helps|was it)|works now|checked|all good|makes sense|so much|"
    r"very much|a lot|the|has)(?![\w'-]))[ ,.!:;-]*)+"
)
_YES = re.compile(r"^(?:yes|yeah|yep|sure|please do|go ahead|ok(?:ay)?)(?:[ ,.!]+(?:please|do|sure|ok|the))*[ ,.!]*$")
_MEANT = re.compile(
    r"^(?:(?:no|nope|sorry|wait|oops|ah|oh|not that)[ ,.!]+)*"
    r"(?:no i mean|(?:what )?(?:i )?(?:actually |really )?(?:meant|mean)|make that|rather|not \S+(?: \S+)? but)[ ,:]+"
    r"|^(?:no|nope|sorry|wait|oops)[ ,.!]+(?:it's |for |on |with )?(?=\S+(?: \S+){0,3}$)"
)
_OPENING = re.compile(
    r"^(?:(?:ok|okay|well|hm+|yes|yeah|great|cool|good)[ ,.!]+)*"
    r"(?:(?:and|but|so|or|also|then|now)(?: what about| how about| then| what if)?|what about|how about|what if|what is with|"
    r"(?:the )?same (?:thing )?(?:for|with|on)|likewise for)(?![\w-])[ ,]*|^(?=(?:with|without|only|just|for|on|as|in|at|from|via|through|inside) (?!which|what|whose)\S)"
)
_COURTESY = re.compile(r"^(?:please|pls)[ ,]+|[ ,.!]+(?:sorry|please|pls|thanks|thx)(?=\W*$)")
_IDIOMS = re.compile(r" (?:all the time|at the moment|of course)\b")
_UNDONE = re.compile(  # "turn it off again" goes back to what was, "run it again" repeats
    r"\b(off|down|out|away|(?:delete|remove|uninstall|disable|undo|revert|stop|leave) (?:\w+ ){0,3}?\w+) again\b"
)
_ALONE = re.compile(r"\b(?:on (?:its|their) own|(?:all )?by (?:itself|themselves))\b")
_DESTROY = re.compile(r"\b(?:nuke|zap|trash|obliterate)\b")
_AWAY = re.compile(r"\b(?:blow|throw|toss|chuck) ((?:\w+ ){1,3})(?:away|out)\b")
_WRONG = re.compile(r"\b(?:go|goes|going|gone|went) wrong\b")
_REVERSIBLE = re.compile(r"\b(?:upgrad|updat)")
_BACK_UP = re.compile(r"\bback(?:ing|ed)? ?up\b")
_TWICE = re.compile(r"\b(end|step|side|peer|point) (to|by) \1\b")
_TRAILING = re.compile(r"^(.*\w.*?) and what about\W*$")  # where a language puts it behind
_BY_ASKING = re.compile(
    r"^(?:(?:please|can|could|would|will|you|i|want to|to|like) )+(?=(?:show|tell|explain|give|see|list)\b)"
)
_STILL = re.compile(
    r"\b(?:still (?:nothing|no luck|the same|broken|down|stuck|not work|(?:not|no|doesn't|won't|can't|fails?|failing)\b(?: \w+ing?)?)|"
    r"(?:doesn't|didn't|does not|did not|won't) (?:work|help)|no luck|same (?:error|problem|thing|result)|not working|"
    r"nothing (?:happens|changed|works)|no change|to no avail)\b|\bnope$"
)
_AMOUNT = re.compile(r"\bhow (?:much|many) \w+")
_NUMBERED = re.compile(r"(?<![\w.:/-])\d+(?:\.\d+)*(?![\w.:/-])")
_ORDINALS = dict(zip("first second third fourth fifth sixth seventh eighth".split(), range(1, 9), strict=True))
_ORDINALS |= dict(zip("one two three four five six seven eight".split(), range(1, 9), strict=True))
_NUMBER = rf"\d{{1,2}}(?:st|nd|rd|th)?|last|{'|'.join(_ORDINALS)}"
_STEP = re.compile(
    rf"\b(?:(?P<before>{_NUMBER}) (?:step|point|item|command|part|option)|(?:step|point|item|number|option) (?P<after>{_NUMBER}))\b"
)
_SIZE = re.compile(r"\b\d+(?:[.,]\d+)? ?(?:[gmt]i?b|go|[gm]|cores?|v?cpus?|vms?|nodes?|hosts?|users?)\b")
_WITHIN = re.compile(r"(?:in|inside|within|via|through|behind) ")  # "in openshift" takes the place of no other name
_AFTER_PLACE = re.compile(r"\b(?:in|inside|within|via|through|behind|on|with|to|from|for) (?:the )?$")
_VERSION = r"(?:[ -]?(?:linux|stream|enterprise|server))*(?:[ -]?\d+(?:\.\d+)*)?"
_SYSTEM = re.compile(r"\b(rhel|rocky(?: linux)?|alma(?:linux)?|centos stream|centos|fedora|ubuntu|debian) \d")
_BARE_VERSION = re.compile(
    r"\b(from|to|than|on|with|and|about|for) (\d{1,2}(?:\.\d+)?)(?=[ ?.!]*$| (?:then|instead|too)\b)"
)
_SHOWING = frozenset("show tell explain describe elaborate give see".split())
_OF_CLAUSE = frozenset(("i", "it", "is", "has"))
_CLAUSE = frozenset(
    "how what what's which where where's when who can could is are was do does did will would should has have may i i'm "
    "why isn't aren't don't doesn't didn't can't couldn't won't wouldn't shouldn't it".split()
)
_SPEAKER = frozenset(("i", "we", "my", "our"))
_REPORTING = frozenset(
    "got getting says said gave gives shows failed fails ran tried did restarted stopped works worked".split()
)
_NOTED = frozenset("ok okay wow great cool nice good hm right lot".split())
_SOME = frozenset("any some all none each both either most half".split())
_TOO = frozenset("then too also instead".split())
_NEXT = frozenset("now next then after afterwards".split())
_BEING = (["is"], ["are"], ["was"])  # "is that safe" points, "that plugin" says what it is about
_AUXILIARIES = frozenset("do does did don't doesn't can can't could will won't would should may might".split())
_QUESTION = _CLAUSE - {"i", "i'm", "it"} | frozenset("if whats wheres hows whos whose which's".split())


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The classes of English words."""

    pointing: frozenset[str]
    determiners: frozenset[str]
    common: frozenset[str]
    actions: frozenset[str]
    nouns: frozenset[str]
    vague: frozenset[str]
    general: frozenset[str]
    placeholders: frozenset[str]
    modifiers: frozenset[str]
    terms: frozenset[str]
    kinds: Mapping[str, re.Pattern[str]]  # names that take each other's place, versions included

    @property
    def part(self) -> re.Pattern[str]:
        """The names of the parts of the platform."""
        return self.kinds["part"]

    def is_name(self, word: str) -> bool:
        """Return whether a word is a name that is the same in every language, or is built like one."""
        return (
            word in self.terms
            or bool(re.search(r"[\d_./-]", word))
            or any(kind.fullmatch(word) for kind in self.kinds.values())
        )

    def topics(self, found: Sequence[str]) -> list[str]:
        """Return the words that name a topic, with the nouns behind them: "the pre-flight check"."""
        names = self.names(found)
        behind = [word for last, word in pairwise(found) if word in self.nouns and last in names]
        return [word for word in dict.fromkeys(found) if word in names or word in behind]

    def names(self, found: Sequence[str]) -> list[str]:
        """Return the words that name a topic, each once."""
        idle = self.pointing | self.common | self.actions | self.modifiers
        return list(dict.fromkeys(word for word in found if word not in idle and word.removesuffix("'s") not in idle))


@dataclass(frozen=True, slots=True)
class Move:
    """What a message does in its talk, and the question that it may stand for."""

    kind: Kind
    text: str = ""  # that question in English words; "" for a message that leans on nothing
    is_sure: bool = False  # its form alone says that it leans
    is_new: bool = True  # it asks for something else than was answered
    names: tuple[str, ...] = ()  # its own words that name a topic
    points: bool = False  # a word of it points at what was said

    @property
    def asks(self) -> bool:
        """True where it is a question of its own, and no mere remark on the one before."""
        return self.kind not in ("thanks", "tells", "still", "asks on")


ALONE = Move("alone")


def question_after(move: Move, before: Topic, question: str) -> str:
    """Return the question that a talk is about after a message: `question`, or the one before with a remark on it."""
    if move.kind == "thanks":
        return before.question
    if move.kind == "tells" and question.startswith("my "):  # of a thing of the visitor's own
        return question[:MAX_CHARS]
    if move.kind == "tells" and (swapped := _exchanged(" ".join(move.names), before.question, vocabulary())):
        return swapped[:MAX_CHARS]
    names = [name for name in words(_SIZE.sub("", " ".join(move.names))) if not name.isdigit()]
    return (question if move.asks else _joined(before.question, " ".join(names[:MAX_REMARK])))[:MAX_CHARS]


@cache
def vocabulary() -> Vocabulary:
    """Return the classes of words.toml."""
    data = tomllib.loads(FILE.read_text("utf-8"))
    kinds = {
        kind: _any_of(text.split(), _VERSION if kind == "system" else "") for kind, text in data.pop("kinds").items()
    }
    return Vocabulary(**{name: frozenset(text.split()) for name, text in data.items()}, kinds=kinds)


def _any_of(names: Sequence[str], more: str) -> re.Pattern[str]:
    longest = sorted((re.escape(name.replace("_", " ")) for name in names), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(longest)}){more}(?![\w-])")


def move_of(said: str, before: Topic, asked: str = "") -> Move:
    """Return the move of a folded message in English words.

    before: the topic of the talk so far. asked: what the last answer asked the visitor, in English words.
    """
    said = _plain(_COURTESY.sub("", _TRAILING.sub(r"and what about \1", said)))
    if _stripped(said).endswith(" fails") and _REVERSIBLE.search(before.question):
        said += " roll back"
    if asked and _YES.match(said):
        return Move("yes", asked, is_sure=True)
    rest = _stripped(_ACKNOWLEDGED.sub("", said, count=1))
    if not words(rest) or (said.startswith("thanks ") and not vocabulary().names(words(rest))):
        return Move("thanks")
    if not before.question:
        return ALONE
    meant = _MEANT.match(said)
    if meant and words(said[meant.end() :]):
        return _of_rest("means", said[meant.end() :], before, is_opened=True)
    asks = "?" if said.rstrip().endswith("?") else ""
    is_opened = words(rest)[-1] in _TOO
    while opening := _OPENING.match(rest):
        is_opened, asks = True, "?" if opening[0].rstrip(" ,").endswith(" if") else asks
        if not opening.end() or not words(rest[opening.end() :]):
            break
        rest = rest[opening.end() :]
    return _of_rest("points", rest + asks, before, is_opened=is_opened)


@dataclass(frozen=True, slots=True)
class _Said:
    """A message without thanks and opening, taken apart."""

    kind: Kind
    rest: str
    found: list[str]  # its words
    names: tuple[str, ...]
    acts: list[str]
    points: list[int]  # places of the words that point
    asks: bool  # it ends with a question mark
    is_opened: bool


def _versioned(rest: str, earlier: str) -> str:
    """Return a message whose bare number is a version of the system that the earlier question names, with that name."""
    system = _SYSTEM.search(earlier)
    return _BARE_VERSION.sub(rf"\1 {system[1]} \2", rest) if system else rest


def _of_rest(kind: Kind, rest: str, before: Topic, *, is_opened: bool) -> Move:
    """Return the move of a message without thanks and opening; the first rule that fits tells it."""
    known, asks, typed = vocabulary(), rest.endswith("?"), rest
    rest = _versioned(rest, before.question)
    is_opened = is_opened or rest != typed
    rest = _stripped(_BY_ASKING.sub("", _told(rest, known)))
    found = words(rest)
    if len(found) > MAX_WORDS:
        return ALONE
    if step := _step(rest, before, known):
        return step
    if still := _STILL.search(rest):
        return _still(rest[still.end() :], before, known)
    acts, names = [word for word in found if word in known.actions], tuple(known.names(found))
    said = _Said(kind, rest, found, names, acts, _pointing(found, known), asks, is_opened)
    return (
        _of_the_page(said)
        or _asks_on(said, before)
        or _swaps(said, before, known)
        or _tells(said, before, known)
        or _points(said, before, known)
    )


def _of_the_page(said: _Said) -> Move | None:
    """Leave a message to the assistant or on this page alone."""
    found = said.found
    of_page = found[-1:] == ["this"] and found[:2] in (["what", "is"], ["what's", "this"])
    return ALONE if of_page or found == ["help"] or {"you", "your", "yourself"} & set(found) else None


def _asks_on(said: _Said, before: Topic) -> Move | None:
    """Read a message without a topic or an action of its own with the whole question before it."""
    if said.names or (said.acts and not set(said.acts) <= _SHOWING):
        return None
    if said.points and not (said.asks or said.is_opened or said.acts or _QUESTION & set(said.found[:1])):
        return Move("tells", before.question, is_sure=True)  # "that is a lot"
    if said.points and len(said.found) > SHORT:
        return None
    if not said.points and _NEXT & set(said.found[-2:]):  # "what now"
        return Move("points", f"{AFTER} {before.question.removeprefix(AFTER).strip()}", is_sure=True)
    return Move("asks on", _joined(before.question, " ".join(said.found)), is_sure=True, is_new=False)


def _swaps(said: _Said, before: Topic, known: Vocabulary) -> Move | None:
    """Put a bare name or condition into the question before it."""
    first = said.found[0]
    is_clause = said.acts or first in _CLAUSE or _OF_CLAUSE & set(said.found) or (said.points and first in _SOME)
    is_report = not said.asks and first not in known.terms and re.fullmatch(r"\w{3,}ed", first)  # "rebooted, nope"
    if is_clause or is_report or len(said.found) > MAX_PHRASE:
        return None
    if not said.asks and _NOTED & set(said.found):  # "28, ok wow"
        return Move("tells", _joined(before.question, said.rest), is_sure=True, names=said.names)
    kind: Kind = "means" if said.kind == "means" else "swaps"
    is_sure = said.is_opened or (said.asks and "or" in said.found)  # "live or switched off?"
    return Move(kind, _swapped(said.rest, before.question, known), is_sure, names=said.names)


def _tells(said: _Said, before: Topic, known: Vocabulary) -> Move | None:
    """Read a remark, whose last part neither asks nor orders, with the topic it is about."""
    last = words(re.split(r"[.!;]\s+|, ", said.rest)[-1])
    asking = last[:1] if (known.pointing | _SPEAKER) & set(last[:1]) else last[:2]  # "it is up", "and is it up"
    if said.kind != "points" or said.asks or _QUESTION & set(asking) or (known.actions - _REPORTING) & set(last[:1]):
        return None
    text = _pointed(said.found, said.points, _topic(before, said.found, known))
    return Move("tells", text, is_sure=True, names=said.names)


def _points(said: _Said, before: Topic, known: Vocabulary) -> Move:
    """Put the topic of the talk where a question or an order points at it, or behind it."""
    named = known.names(words(_SIZE.sub("", said.rest)))
    telling = [name for name in named if not name.isdigit() and name not in known.placeholders]
    if not said.points and not said.is_opened and len(telling) >= MANY_NAMES:
        return ALONE
    text = _pointed(said.found, said.points, _topic(before, said.found, known))
    if said.found[0] in known.actions - _SHOWING and (before.page or "how" in words(before.question)):
        text = f"how do i {text}"  # "and list them" goes on with "how do i create a vm"
    is_bare = len(said.found) == 2 and said.found[0] in ("which", "what") and not said.acts  # "which port"
    is_sure = said.points or said.kind == "means" or len(telling) <= said.is_opened or is_bare
    is_new = not (said.points and known.vague & set(said.found))
    return Move(said.kind, text, bool(is_sure), is_new, said.names, bool(said.points))


def _plain(said: str) -> str:
    """Return a message without idioms that point at nothing, and with the words that belong together as one."""
    said = _UNDONE.sub(r"\1", _DESTROY.sub("delete", _AWAY.sub(r"delete \1", said)))
    said = _WRONG.sub("fails", _ALONE.sub("automatically", _IDIOMS.sub("", said)))
    return _TWICE.sub(r"\1-\2-\1", _BACK_UP.sub("backup", said))


def _stripped(said: str) -> str:
    return said.strip(" ,.!?;:\u3001\u3002")


def _told(rest: str, known: Vocabulary) -> str:
    """Return a message without leading sentences that say nothing: "i do. how do i get one", "ran it. is it up"."""
    parts = re.split(r"[.!?;]\s+", rest)
    asks = bool(_QUESTION & set(words(parts[-1])[:1]))
    while len(parts) > 1 and not known.names(words(parts[0])) and (asks or not known.actions & set(words(parts[0]))):
        parts.pop(0)
    return ". ".join(parts)


def _topic(before: Topic, found: Sequence[str], known: Vocabulary) -> list[str]:
    """Return the words of the earlier question that name its topic and that a message lacks.

    Its verbs join them where its names are too general to tell, or where the message asks how the action goes.
    """
    question = _plain(before.question)
    if known.part.search(question):  # "it" after "how much memory does FreeIPA take" is FreeIPA
        question = _AMOUNT.sub("", question)
    earlier = words(_SIZE.sub("", question))  # a size holds for its own question
    names = known.topics(earlier) or known.names(words(before.title))
    telling = [name for name in names if name not in known.general]
    if not telling or known.vague & set(found):
        names = [word for word in earlier if word in names or (word in known.actions and word not in _SHOWING)] or names
    other = {name for name, version in pairwise(earlier) if version.isdigit() and version not in found}  # of "rhel 10"
    return [name for name in dict.fromkeys(names) if name not in found or name in other][:MAX_TOPIC]


def _pointing(found: Sequence[str], known: Vocabulary) -> list[int]:
    """Return the places of the words that point at what was said."""
    return [
        at
        for at, word in enumerate(found)
        if (word in known.pointing or (word == "there" and at == len(found) - 1 and at))
        and not _is_article(found, at, known)
    ]


def _is_article(found: Sequence[str], at: int, known: Vocabulary) -> bool:
    """Return whether a word that may point is the article of a name: "that plugin", not "does that survive a reboot"."""
    earlier, following = found[at - 1 : at], found[at + 1 : at + 3]
    if found[at] not in known.determiners or not known.names(following[:1]) or earlier in _BEING:
        return False
    is_verb = not known.is_name(following[0]) and (len(following) == 1 or following[1] in known.common)
    return not (is_verb and _AUXILIARIES & set(earlier))


def _pointed(found: Sequence[str], points: Sequence[int], topic: Sequence[str]) -> str:
    """Return the message with the topic in the place of the first word that points at it, or behind it."""
    if not points:
        return _joined(" ".join(found), " ".join(topic))
    said = [" ".join(topic) if at == points[0] else word for at, word in enumerate(found) if at not in points[1:]]
    return " ".join(filter(None, said))


def _swapped(rest: str, earlier: str, known: Vocabulary) -> str:
    """Return the earlier question with a name of its kind replaced by the new one, or with the new one added."""
    return _exchanged(rest, earlier, known) or _joined(earlier, rest)


def _exchanged(rest: str, earlier: str, known: Vocabulary) -> str:
    """Return the earlier question with a name of its kind replaced by the new one, "" where none has its kind."""
    for pattern in (_SIZE, *known.kinds.values(), _NUMBERED):
        here, there = pattern.search(rest), pattern.search(earlier)
        is_within = _WITHIN.match(rest) and not _AFTER_PLACE.search(earlier[: there.start()] if there else "")
        if here and there and not is_within and here[0].rstrip("s") != there[0].rstrip("s"):
            return " ".join(f"{earlier[: there.start()]} {here[0]} {earlier[there.end() :]}".split())
    return ""


def _step(rest: str, before: Topic, known: Vocabulary) -> Move | None:
    """Return the step that a message names by its number: of the last list, else of the last question's topic."""
    match = _STEP.search(rest)
    said = (match["before"] or match["after"]) if match else ""
    number = len(before.steps) if said == "last" else _number(said)
    if not match or not number:
        return None
    named = known.names(words(rest[: match.start()] + rest[match.end() :]))
    if number <= len(before.steps):
        return Move("step", " ".join([*named, before.steps[number - 1]]), is_sure=True, names=tuple(named))
    topic = [*named, *_topic(before, [*named, "step", "steps"], known)]
    return Move("step", " ".join([f"step {number}", *topic]), is_sure=True, names=tuple(named))


def _number(said: str) -> int:
    digits = re.match(r"\d+", said, re.ASCII)
    return int(digits[0]) if digits else _ORDINALS.get(said, 0)


def _still(rest: str, before: Topic, known: Vocabulary) -> Move:
    """Return the move of a message that reports that something still fails; `rest` is what it adds after saying so."""
    names = tuple(known.names(words(rest)))
    return Move("still", _joined(before.question, " ".join(names)), is_sure=True, is_new=False)


def _joined(left: str, right: str) -> str:
    return f"{left.rstrip(' ?!.')} {right}".strip()
