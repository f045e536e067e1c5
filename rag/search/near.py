"""Find what a question turns on and no leading passage speaks of: "no page speaks of Harbor, the nearest are ...".

Every word of a question that the leading passages hold in none of its forms gets the logit of being what the question
turns on: by how rare it is here and in general English, and by what kind of word it is. The question is as near as its
words together.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from rapidfuzz.distance import OSA

from rag.embedding.embedder import carried
from rag.errors import ModelMissing
from rag.index.lexical import WORD, terms
from rag.index.store import Encoder, Index
from rag.search.query import Glossary, Query

WORDS_FILE = Path(__file__).parent / "words.npz"
MOST_WORDS = 8  # of a question that are looked at, the rarest; the encoder reads each of them once
NO_WORD = -4.0  # logit of a question whose every word is held
NAMED_BELOW = 1.5  # logits by which a further word may trail the first and still be named with it
MOST_FAR = 0.2  # edits / length of a correction that is taken for certain
MOST_FAR_NAME = 0.1  # and of an identifier, since others differ from it by a few letters
MOST_KINDS = 10_000  # words whose kind is remembered, ~1 MB
LEAST_HALF, APART = 3, 4  # letters of a word's half, and words from the first half to the end of the second
FIRST_WORDS = 1_900  # entries of the encoder's vocabulary before its first words: marks, letters, syllables
WORD_SIGNALS = (
    "unknown",  # no passage of the index holds it
    "rare",  # in general English, 0..1.1
    "shown",  # a passage further down holds it
    "synonym",  # the leading passages hold what the glossary says for it
    "corrected",  # edits / length from what the search reads it as; 0.0 for a word that it reads as it stands
    "identifier",
    "capital",
    "kind",  # of word, by its vector: names and features, not what people say around them
)
QUESTION_SIGNALS = (
    "answerable",  # logit of the probability that the corpus answers
    "whole",
    "chunk",
)
_LATIN = re.compile("[a-z0-9]")
# What a log puts around its messages: when, on which host, by which process, from which line of code.
_LOGGED = re.compile(
    r"(?:\b[A-Z][a-z]{2} +\d{1,2} |\b\d{4}-\d\d-\d\d(?:T|,? )|\b)\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d| UTC)?"
    r"(?: \S+(?= [\w.@-]+\[\d+\]:))?|\b\d{4}-\d\d-\d\d\b|(?<![\w.@-])[\w.@-]+\[\d+\]:|\{[\w./-]+:\d+\}"
)
_IDENTIFIER = re.compile(r"[^\W_][_./:\-][^\W_]|[a-z][A-Z]")


@dataclass(frozen=True, slots=True)
class AskedWord:
    """A word of a question."""

    typed: str
    read: str  # lower case, spelling corrected
    far: float  # edits / length between the two
    start: int  # where it stands in the question as typed
    end: int


@dataclass(frozen=True, slots=True)
class Unheld:
    """A word that no leading passage holds, with its WORD_SIGNALS."""

    asked: AskedWord
    signals: np.ndarray  # float32 (len(WORD_SIGNALS),)


@dataclass(frozen=True, slots=True)
class Leading:
    """The result of a search as far as it matters here."""

    query: Query
    cited: Sequence[int]  # numbers of the units that the extract cites
    shown: Sequence[int]  # numbers of the units that are shown
    signals: Mapping[str, float]  # QUESTION_SIGNALS


@dataclass(frozen=True, slots=True)
class NearEvidence:
    """What decides whether a question is near."""

    words: list[Unheld]
    question: np.ndarray  # float32 (len(QUESTION_SIGNALS),)


@dataclass(frozen=True, slots=True)
class Nearness:
    """The fitted model: a soft maximum over the words of a question, and its QUESTION_SIGNALS."""

    words: np.ndarray  # float32 (len(WORD_SIGNALS),)
    word_bias: float
    question: np.ndarray  # float32 (len(QUESTION_SIGNALS),)
    bias: float
    threshold: float  # logit from which a question is near
    kind: np.ndarray  # (dimension,) of the encoder: its product with a word's vector tells the word's kind

    def logits(self, evidence: NearEvidence) -> np.ndarray:
        """Return the logit of each unheld word."""
        rows = np.array([word.signals for word in evidence.words]).reshape(-1, len(WORD_SIGNALS))
        logits: np.ndarray = rows @ self.words + self.word_bias
        return logits

    def logit(self, evidence: NearEvidence) -> float:
        """Return the logit that a question turns on something that is in no leading passage."""
        words = np.append(self.logits(evidence), NO_WORD)
        return float(np.logaddexp.reduce(words) + evidence.question @ self.question) + self.bias

    def missing(self, text: str, evidence: NearEvidence) -> tuple[str, ...]:
        """Return what is missing in the visitor's words, neighbours together; () for a question that is answered."""
        if not evidence.words or self.logit(evidence) < self.threshold:
            return ()
        logits = self.logits(evidence)
        least = logits.max() - NAMED_BELOW
        words = [word.asked for word, logit in zip(evidence.words, logits, strict=True) if logit >= least]
        return tuple(dict.fromkeys(_phrases(text, sorted(words, key=lambda word: word.start))))


def load_nearness(model_digest: str) -> Nearness | None:
    """Return the model that ships with the package; None without one, and for another encoder than it was fitted to."""
    data = json.loads(Path(__file__).with_name("weights.json").read_text("utf-8")).get("near")
    kind = load_word_kinds(model_digest)
    if data is None or kind is None:
        return None
    words, question = (
        np.array([data[part][name] for name in names], dtype=np.float32)
        for part, names in (("words", WORD_SIGNALS), ("question", QUESTION_SIGNALS))
    )
    return Nearness(words, data["word_bias"], question, data["bias"], data["threshold"], kind)


def load_word_kinds(model_digest: str, path: Path = WORDS_FILE) -> np.ndarray | None:
    """Return the vector whose product with a word's tells its kind; None for another encoder or without the file."""
    if not path.is_file():
        return None
    arrays = np.load(path, allow_pickle=False)
    return arrays["kind"].astype(np.float32) if str(arrays["model"]) == model_digest else None


def save_word_kinds(kind: np.ndarray, model_digest: str, path: Path = WORDS_FILE) -> None:
    """Write the vector of word kinds."""
    np.savez_compressed(path, kind=kind.astype(np.float16), model=np.array(model_digest))


def asked_words(query: Query) -> list[AskedWord]:
    """Return the words of a question that are no stop words; those of other scripts are no words of the pages.

    Of a log that a visitor pasted only the messages ask for something.
    """
    meant = dict(query.corrections)
    found = []
    for match in WORD.finditer(_LOGGED.sub(lambda around: " " * len(around[0]), query.text)):
        word = match[0].lower()
        read = meant.get(word, word)
        if terms(read) and _LATIN.search(read):
            far = float(OSA.normalized_distance(word, read))
            found.append(AskedWord(match[0], read, far, match.start(), match.end()))
    return found


def _is_doubtful(word: AskedWord) -> bool:
    """Return True for a word that may well not be the one that the search reads it as."""
    if not word.far:
        return False
    if re.findall(r"\d+", word.read) != re.findall(r"\d+", word.typed):
        return True  # another number is no misspelt one
    swapped = sorted(word.typed.lower()) == sorted(word.read)
    return not swapped and word.far >= (MOST_FAR_NAME if _IDENTIFIER.search(word.typed) else MOST_FAR)


class Holders:
    """The passages that hold a word, in any of its forms."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._term = lru_cache(maxsize=2_000)(self._of_term)

    def of(self, word: str) -> np.ndarray:
        """Return for each unit if it holds the word, or all of its parts; bool of shape (units,).

        The parts of a name such as clone_vm count only where some unit holds it whole: else it names something else.
        """
        found = terms(word)
        parts = [term for term in found if term != word] or found
        whole = self._term(word)
        if len(parts) == 1 or ("_" in word and not whole.any()):
            return self._term(parts[0]) if len(parts) == 1 else whole
        holders: np.ndarray = whole | np.logical_and.reduce([self._term(part) for part in parts])
        return holders

    def _of_term(self, term: str) -> np.ndarray:
        holders = np.zeros(len(self._index.units), dtype=bool)
        holders[self._index.lexical.holders(term)] = True
        return holders


class Gatherer:
    """Gathers the NearEvidence of searches over one index. Safe to share between threads."""

    def __init__(self, index: Index, encoder: Encoder, glossary: Glossary, kind: np.ndarray | None) -> None:
        """Take the index with its encoder; `kind` is Nearness.kind, None without one."""
        self._index, self._glossary = index, glossary
        self._holders = Holders(index)
        self._unseen = math.log1p(len(index.units) + 0.5)  # idf of a term that no unit holds
        self._encoder, self._kind = encoder, kind
        self._kinds: dict[str, float] = {}  # of words that were asked before

    def evidence(self, found: Leading) -> NearEvidence:
        """Return the evidence of a search that has found something."""
        question = np.array([found.signals[name] for name in QUESTION_SIGNALS], dtype=np.float32)
        every = asked_words(found.query)
        held = self._held(every, found.cited)
        unheld = [word for word, is_held in zip(every, held, strict=True) if not is_held]
        unheld = sorted(unheld, key=lambda word: -rarity(word.typed) - self._weight(word) / self._unseen)[:MOST_WORDS]
        synonyms, kinds = self._with_synonym(unheld, found), self._kinds_of([word.typed.lower() for word in unheld])
        signals = [self._signals(word, found, word in synonyms, kind) for word, kind in zip(unheld, kinds, strict=True)]
        return NearEvidence([Unheld(*row) for row in zip(unheld, signals, strict=True)], question)

    def _kinds_of(self, words: Sequence[str]) -> list[float]:
        """Return the kind of each word; the new ones are embedded in one call of the encoder."""
        if self._kind is None:
            return [0.0] * len(words)
        known = self._kinds
        if new := [word for word in dict.fromkeys(words) if word not in known]:
            known.update(zip(new, (self._encoder.encode(new) @ self._kind).tolist(), strict=True))
        if len(known) > MOST_KINDS:
            self._kinds = {}  # a search under way keeps the old one
        return [known[word] for word in words]

    def _signals(self, word: AskedWord, found: Leading, synonym: bool, kind: float) -> np.ndarray:
        doubtful = _is_doubtful(word)
        holders = self._holders.of(word.typed.lower() if doubtful else word.read)
        signals = (
            not holders.any(),
            rarity(word.typed),
            holders[list(found.shown)].any(),
            synonym,
            word.far,
            bool(_IDENTIFIER.search(word.typed)),
            _is_name(word, found.query.text),
            kind,
        )
        return np.array(signals, dtype=np.float32)

    def _weight(self, word: AskedWord) -> float:
        return max(self._index.lexical.idf.get(term, self._unseen) for term in terms(word.read))

    def _held(self, every: Sequence[AskedWord], cited: Sequence[int]) -> list[bool]:
        """Return for each word if a passage holds it: as read, written together with a neighbour, or in two words."""
        rows, held = list(cited), []
        for word in every:
            typed = word.typed.lower()
            forms = {typed} if _is_doubtful(word) else {typed, word.read}
            whole = any(self._holders.of(form)[rows].any() for form in forms if terms(form))
            held.append(whole or any(_in_two(typed, self._index.units[at].text) for at in rows))
        for at, (word, following) in enumerate(pairwise(every)):
            joined = word.read + following.read
            if joined.isalpha() and self._holders.of(joined)[rows].any():
                held[at : at + 2] = True, True
        return held

    def _with_synonym(self, words: Sequence[AskedWord], found: Leading) -> set[AskedWord]:
        """Return the words for which the leading passages hold what the glossary says."""
        lowered, rows, having = found.query.text.lower(), list(found.cited), set[AskedWord]()
        for said, meant in self._glossary.entries if words else ():
            match = said.search(lowered)
            inside = [word for word in words if match and match.start() <= word.start < match.end()]
            if inside and any(self._holders.of(name)[rows].any() for name in meant if terms(name)):
                having.update(inside)
        return having


def rarity(word: str) -> float:
    """Return how rare a word is in general English, 0..1 by its place in a vocabulary, 1.1 for one without a place.

    An identifier is as rare as its rarest part, and a word as its most frequent form.
    """
    parts = re.findall(r"[^\W\d_]+", word.lower())
    return max((min(map(_rarity, _forms(part))) for part in parts), default=1.1)


def _forms(word: str) -> list[str]:
    bare = [word.removesuffix(ending) for ending in ("s", "es", "ed", "d", "ing") if word.endswith(ending)]
    return [word, *(form for form in bare if len(form) > 2), *(f"{form}e" for form in bare if len(form) > 2)]


def _rarity(word: str) -> float:
    place = _vocabulary().get(word)
    if place is None:
        return 1.1
    return math.log(max(1, place - FIRST_WORDS)) / math.log(30_000)


@cache
def _vocabulary() -> dict[str, int]:
    """Return word -> place in the vocabulary of the encoder that ships, which is in the order of frequency."""
    try:
        lines = (carried() / "vocab.txt").read_text("utf-8").splitlines()
    except (ModelMissing, OSError):
        return {}  # every word counts as rare
    return {word: place for place, word in enumerate(lines)}


def _in_two(word: str, text: str) -> bool:
    """Return True when a text holds a word's two halves close together: "passthrough" in "pass a GPU through"."""
    found = _words(text)
    for at, half in enumerate(found):
        rest = word[len(half) :] if len(half) >= LEAST_HALF and word.startswith(half) else ""
        if len(rest) >= LEAST_HALF and rest in found[at + 1 : at + APART]:
            return True
    return False


@lru_cache(maxsize=5_000)
def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _is_name(word: AskedWord, text: str) -> bool:
    """Return True for a word with a capital that no sentence begins with."""
    before = text[: word.start].rstrip()
    return word.typed != word.typed.lower() and bool(before) and before[-1] not in ".?!:"


def _phrases(text: str, words: Sequence[AskedWord]) -> list[str]:
    """Return the words as they stand in `text`, those side by side as one phrase."""
    found: list[tuple[int, int]] = []
    for word in words:
        if found and not re.search(r"[^\s\-]", text[found[-1][1] : word.start]):
            found[-1] = (found[-1][0], word.end)
        else:
            found.append((word.start, word.end))
    return [text[start:end] for start, end in found]
