"""Read a sentence as clauses of words that can be compared: stems, figures, names and code, and what is denied.

One lexicon, `lexicon.yaml`, says which words stand for one another, which are opposites and which deny.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import snowballstemmer
import yaml

Kind = Literal["word", "figure", "name", "code"]

WEIGHTS: Mapping[Kind, float] = {"word": 1.0, "figure": 1.5, "name": 1.3, "code": 1.5}  # in a share of words
WEAK = 0.4  # of a word that says little by itself
FOREIGN = 0.15  # share of a sentence's words from which it may be in another language than English
SHORT_SCOPE = 2  # words that "without" denies
STEM_LETTERS = 6  # endings that the stemmer leaves do not matter

_FILE = r"[\w.-]+\.(?:ya?ml|sh|py|md|json|env|conf|cfg|txt|gguf|log|toml|xml|git|com|org|io|net)\b"
_TOKEN = re.compile(
    r"`(?P<span>[^`\n]+)`"
    rf"|(?P<code>(?<![\w/.-])(?:--?[A-Za-z][\w-]*|[~.]?/?(?:[\w.*-]+/)+[\w.*-]*|/[\w.*-]+|{_FILE}|\w+(?:_\w+)*=[\w./-]*\w|\w+(?:_\w+)+))"
    r"|(?P<figure>\d+(?:[.,:]\d+)*)"
    r"|(?P<word>[^\W\d_]+(?:['\u2019-][^\W\d_]+)*)"
    r"|(?P<stop>[.,;:!?()\u2014|])"
)
_IN_SPAN = re.compile(r"[^\s=\"'`(),;:|]+")
_PLAIN = re.compile(r"[^\W_]+|[^\s\w`*|.,;:!?()\"']+")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_COUNTED = {word: str(value) for value, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve".split()
)}  # fmt: skip
_CLAUSE = re.compile(
    r"[;\u2014]\s|:\s(?=\w)|,\s(?:but|yet|although|though|while|whereas|because|so|which|and|since|or)\s|,\s(?=not\s)"
    r"|\s(?:but|although|because|since|whereas)\s|\s-\s|[.!?]\s"
)
_CONDITION = re.compile(r"\s(?=(?:if|unless|until|when|whether|except|provided)\s)", re.IGNORECASE)
_CONDITIONAL = re.compile(r"^(?:if|unless|until|when|whether|except|provided)\s", re.IGNORECASE)
_ELLIPTIC = re.compile(
    r"^\W*(?:(?:and|but|so|or|yet|then|while|though|although)\W+)*(?:it|its|they|them|this|that|these|those|which|who|neither"
    r"|none|both|each|either|nothing|nobody)\b",
    re.IGNORECASE,
)
_HEDGED = re.compile(r"\bunless\b", re.IGNORECASE)
_REPORTED = re.compile(
    r"\b(?:readme|documents?|documentation|docs|guides?|adr-?\d*|claims?|promis\w+|lists|listed|says?|mention\w*"
    r"|\w+\.md)\b",
    re.IGNORECASE,
)
_REPORT = re.compile(  # "the documentation states that", said of what follows
    r"(?:\baccording to|\bas (?:stated|mentioned|described|noted|specified|shown) (?:in|by))"
    r" (?:the |this |these )?(?:\w+ )?"
    r"(?:documentations?|documents?|docs|texts?|passages?|pages?|contexts?|sources?)[^,.]{0,40},?\s*"
    r"|\b(?:the |this )?(?:\w+ )?(?:documentation|documents?|docs|text|passage|page|context|source)\s+(?:also )?"
    r"(?:state|say|mention|indicate|specif|note|explain|show|confirm|describe)\w*\s+that\s+",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"^\W*(?:(?:so|in short|in summary|note that|however|therefore|thus|additionally|also|please note that)\b,?\s+)+",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"^[\W_]*(?:(yes)\b|(no)\b(?=\s*(?:[,.;:!\u2014-]|$)))[\s,.;:!*_\u2014-]*", re.IGNORECASE)
_ASKED = re.compile(
    r"^(?:(?:and|so|but|ok|hi|hello|please)\W+)*(?P<verb>is|are|was|were|does|do|did|can|could|will|would|should|must"
    r"|has|have|may|am)\b",
    re.IGNORECASE,
)
_QUESTIONS = re.compile(  # "which port is it on and does it need a password"
    r"(?<=[.?!])\s+|\n|,\s+|\s(?:and|or|but)\s(?=(?:is|are|was|does|do|did|can|could|will|would|should|must|has|have|may)\s)",
    re.IGNORECASE,
)
_FEASIBLE = re.compile(r"\b(?:run|runs|work|works|install|use|deploy|ok|fine|possible)\b", re.IGNORECASE)
CITATION = re.compile(r"\s*\[(\d+)\]")  # with the white space before it
_SPAN = re.compile(r"`[^`\n]*`|\"[^\"\n]*\"")
_LETTERS = re.compile(r"[^\W\d_]+")
_ENGLISH = frozenset(
    "the of is are to and with for that this it by be not you your can from as an or if at its has".split()
)
_FOREIGN = frozenset(  # of the European languages; other scripts are seen by their letters
    "el la los las del que en un una es por para con se su lo al como le les des est une du dans pour pas sur avec"
    " der die das und ist nicht ein eine mit von zu den auf il di che per non sono del het een van niet dit voor os um"
    " uma do da em".split()
)
_PART = re.compile(r"[^\W\d_]{2,}")
_QUOTED = re.compile(r"[\"\u201c][^\"\u201c\u201d\n]{3,120}[\"\u201d]")  # a message is no statement
_DENIAL = re.compile(r"\b(?:not|no|never|none|cannot|without)\b|n['\u2019]t\b", re.IGNORECASE)
_NEGATED = re.compile(r"^un(?=[a-z]{4})")
_NO_PREFIX = re.compile(r"^un(?:der|til|it|ion|iq|ix|less|do|able|pack|zip|mount|install|load|lock|set|known)")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is compared. key: what it is compared by. side: 1 or -1 for one of two opposites, else 0."""

    key: str
    kind: Kind
    side: int = 0
    denial: int = 0  # number of the denial of its clause that it stands behind, from 1; 0 for none
    weight: float = 1.0
    part: int = 0  # of its clause, cut at commas, brackets, "and" and "or"


@dataclass(frozen=True)  # no slots: what is derived is kept
class Clause:
    """A part of a sentence that says one thing."""

    words: tuple[Word, ...]
    denials: int = 0  # all, those that no word stands behind included
    conditional: bool = False  # "if ...": not said to be so
    reported: bool = False  # only what a document says
    hedged: bool = False  # holds "unless" something else does
    elliptic: bool = False  # names of what it speaks by a pronoun only

    @cached_property
    def by_key(self) -> dict[str, Word]:
        """The words by their keys, each as it stands first."""
        found: dict[str, Word] = {}
        for word in self.words:
            found.setdefault(word.key, word)
        return found

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of its words, and of the parts of its names in code."""
        own = frozenset(self.by_key)
        return own.union(*(_part_keys(key) for key in own if not key.isalpha() and not key.startswith("~")))

    @cached_property
    def sides(self) -> dict[str, frozenset[bool]]:
        """The sides that the words of a key take, True for the denying one."""
        found: dict[str, frozenset[bool]] = {}
        for word in self.words:
            found[word.key] = found.get(word.key, frozenset()) | {word.side < 0}
        return found

    @cached_property
    def bearing(self) -> frozenset[str]:
        """The keys on which it hangs whether it affirms or denies: opposites, and what is denied."""
        return frozenset(word.key for word in self.words if word.side or word.denial)

    @cached_property
    def scopes(self) -> list[frozenset[str]]:
        """The keys behind each denial."""
        return [
            frozenset(word.key for word in self.words if word.denial == number) for number in range(1, self.denials + 1)
        ]

    @cached_property
    def weight(self) -> float:
        """The weight of all different words."""
        return sum(word.weight for word in self.by_key.values())


@lru_cache(maxsize=20_000)  # every sentence of a turn's passages, for a while
def clauses(text: str) -> tuple[Clause, ...]:
    """Return the clauses of a sentence, without its citations and without a leading yes or no."""
    plain = _QUOTED.sub(_without_denials, _REPORT.sub("", CITATION.sub("", _ANSWER.sub("", text, count=1))))
    hedged = bool(_HEDGED.search(plain))
    found = (_clause(part, hedged) for part in _split(_LEXICON.phrased(plain)))
    return tuple(clause for clause in found if clause.words)


def words(text: str) -> dict[str, Word]:
    """Return the different words of a text by their keys, each as it stands first."""
    found: dict[str, Word] = {}
    for clause in clauses(text):
        for key, word in clause.by_key.items():
            found.setdefault(key, word)
    return found


def is_foreign(sentence: str) -> bool:
    """Return True for a sentence in another language than English, as far as its little words and letters tell."""
    found = _LETTERS.findall(_SPAN.sub(" ", sentence.lower()))
    foreign = sum(word in _FOREIGN or not word.isascii() for word in found)
    return foreign > FOREIGN * len(found) and foreign > sum(word in _ENGLISH for word in found)


def answer_of(sentence: str) -> bool | None:
    """Return True for a sentence that opens with yes, False for no, None for neither."""
    found = _ANSWER.match(sentence)
    return None if found is None else bool(found[1])


def without_lead_in(sentence: str) -> str:
    """Return a sentence without "in short," and without "the documentation states that"."""
    said = _LEAD_IN.sub("", _ANSWER.sub("", sentence, count=1))
    found = _REPORT.match(said)
    return _LEAD_IN.sub("", said[found.end() :] if found else said)


def asked_statement(question: str) -> str:
    """Return the statement that a yes/no question asks about, "" for a question of another kind.

    The statement keeps the question's words; their order does not matter where sentences are compared by words.
    """
    for part in _QUESTIONS.split(question):
        if found := _ASKED.match(part.strip()):
            asked = part.strip()[found.start("verb") :].rstrip("? ")
            return f"{asked} supported" if _FEASIBLE.search(asked) else asked
    return ""


def is_verb(word: str) -> bool:
    """Return True for a verb that sentences about software often have, in any form."""
    return _LEXICON.stem(word) in _LEXICON.verbs


def plain_words(text: str) -> str:
    """Return the letters, figures and signs of a text as they follow one another, in lower case."""
    return " ".join(_PLAIN.findall(text.lower()))


def plain_figure(figure: str) -> str:
    """Return a figure without the commas that group thousands."""
    return figure.replace(",", "") if _GROUPED.fullmatch(figure) else figure


@lru_cache(maxsize=20_000)
def _part_keys(name: str) -> frozenset[str]:
    return frozenset(words(" ".join(_PART.findall(name))))


def _without_denials(quoted: re.Match[str]) -> str:
    return _DENIAL.sub(" ", quoted[0])


def _split(text: str) -> Iterator[str]:
    for part in _CLAUSE.split(text):
        for piece in _CONDITION.split(part):
            if _CONDITIONAL.match(piece):
                yield from piece.split(", ", 1)  # what follows the comma is said again without the condition
            else:
                yield piece


def _clause(text: str, hedged: bool) -> Clause:
    found: list[Word] = []
    denials, conditional, part = 0, False, 0
    denied, left = 0, 0
    first = True
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        before = len(found)
        if kind == "stop":
            denied = 0
            part += token[0] != "("  # what stands in brackets is said of the words before them
            continue
        raw = token[0]
        if kind == "word":
            low = raw.lower().replace("\u2019", "'")
            if low in _LEXICON.denials:
                denials += low != "nor"
                denied = max(1, denials)
                left = SHORT_SCOPE if low == "without" else len(text)
            elif low in _LEXICON.conditions:
                conditional = True
            elif low in {"and", "or", "with"}:
                part += 1
            else:
                found.extend(_LEXICON.word(raw, first, denied))
        elif kind == "figure":
            found.append(Word(plain_figure(raw), "figure", 0, denied, WEIGHTS["figure"]))
        else:
            found.extend(_coded(token["span"] or raw, denied))
        found[before:] = [replace(word, part=part) for word in found[before:]]
        left -= len(found) - before
        if left <= 0:
            denied = 0
        first = False
    return Clause(tuple(found), denials, conditional, bool(_REPORTED.search(text)), hedged, bool(_ELLIPTIC.match(text)))


def _coded(text: str, denied: int) -> Iterator[Word]:
    """Yield the words of a code span: each variable, option, path or value by itself."""
    for raw in _IN_SPAN.findall(text):
        name = raw.strip("./<>[]{}'\"*") if not raw.startswith("-") else raw.strip(".")
        if not name:
            continue
        if re.fullmatch(r"\d+(?:[.,:]\d+)*", name):
            yield Word(plain_figure(name), "figure", 0, denied, WEIGHTS["figure"])
            continue
        last = name.rsplit("/", maxsplit=1)[-1]
        key = (last if "." in last else name).lower()
        if name.isalpha():
            concept, side = _LEXICON.key(name)
            key = key if side else concept  # a value is no opposite of another: it is the other or it is not
        yield Word(key, "code", 0, denied, WEIGHTS["code"])


class _Lexicon:
    """The word list, read once."""

    def __init__(self, path: Path) -> None:
        data = yaml.safe_load(path.read_text("utf-8"))
        self._stemmer = snowballstemmer.stemmer("english")
        self._phrases = [
            (
                re.compile(
                    rf"(?<![\w`])(?:{pattern})(?![\w`])" if word != "not" else rf"(?:\b(?:{pattern})\b|n['\u2019]t\b)",
                    re.IGNORECASE,
                ),
                f" {word} ",
            )
            for word, pattern in data["phrases"].items()
        ]
        self.denials = frozenset(data["denials"].split())
        self.conditions = frozenset(data["conditions"].split())
        self._empty = frozenset(data["empty"].split())
        self.verbs = frozenset(self.stem(word) for word in data["verbs"].split())
        self._weak = frozenset(self.stem(word) for word in data["weak"].split())
        self._same: dict[str, str] = {}
        for line in data["same"]:
            first, *others = map(self.stem, line.split())
            self._same |= dict.fromkeys(others, first)
        self._side: dict[str, tuple[str, int]] = {}
        for line in data["opposite"]:
            for side, group in zip((1, -1), line.split("/"), strict=True):
                concept = "~" + self._concept(line.split()[0])
                self._side |= {self._concept(word): (concept, side) for word in group.split()}

    def stem(self, word: str) -> str:
        """Return the stem of a word in lower case, cut short."""
        return str(self._stemmer.stemWord(word.lower()))[:STEM_LETTERS]

    def _concept(self, word: str) -> str:
        stem = self.stem(word)
        return self._same.get(stem, stem)

    def phrased(self, text: str) -> str:
        """Return a text with each phrase as the one word that it means."""
        for pattern, word in self._phrases:
            text = pattern.sub(word, text)
        return text

    @lru_cache(maxsize=50_000)  # noqa: B019 - one lexicon lives as long as the process
    def key(self, word: str) -> tuple[str, int]:
        """Return what a word is compared by, and its side."""
        concept = self._concept(word)
        if concept in self._side:
            return self._side[concept]
        low = word.lower()
        if _NEGATED.match(low) and not _NO_PREFIX.match(low):
            key, side = self.key(low[2:])
            return key, -(side or 1)
        return concept, 0

    def word(self, raw: str, first: bool, denied: int) -> Iterator[Word]:
        low = raw.lower().replace("\u2019", "'").removesuffix("'s")
        if low in self._empty or (len(low) < 2):
            return
        if low in _COUNTED:
            if low != "one":
                yield Word(_COUNTED[low], "figure", 0, denied, WEIGHTS["word"])
            return
        bare = low.replace("-", "") if len(low) < 14 else low
        key, side = self.key(bare)
        named = any(letter.isupper() for letter in raw[1:]) or (raw[0].isupper() and not first)
        kind: Kind = "name" if named and not side else "word"
        weight = WEAK if self.stem(bare) in self._weak else WEIGHTS[kind]
        yield Word(key, kind, side, denied, weight)


_LEXICON = _Lexicon(Path(__file__).with_name("lexicon.yaml"))
