"""Prepare a question for search: correct its spelling and expand it by the glossary."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from rapidfuzz import process
from rapidfuzz.distance import OSA

from rag.index.lexical import LexicalIndex, terms, words

MAX_CHARS = 2_000  # longer than any question; bounds the work of one search
SPELLING_CUTOFF = 0.75  # 1 - edits / length; a swap of two neighbours is one edit
MIN_SPELLED = 4  # shorter words have too many neighbours


@dataclass(frozen=True, slots=True)
class Query:
    """The question in the forms that the stages of a search use."""

    text: str  # as typed, cut to MAX_CHARS
    spelled: str  # with unknown words corrected; the encoder embeds this
    terms: tuple[str, ...]  # index terms of `spelled`
    expansions: tuple[str, ...]  # further index terms, from the glossary
    corrections: tuple[tuple[str, str], ...] = ()  # (typed, read as)


@dataclass(frozen=True, slots=True)
class Glossary:
    """The words that stand for other words: (pattern of a word, the other words), in a fixed order."""

    entries: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]
    names: frozenset[str]

    def further(self, text: str) -> list[str]:
        """Return the names that `text` also stands for."""
        lowered = text.lower()
        return [name for said, meant in self.entries if said.search(lowered) for name in meant]


def load_glossary() -> Glossary:
    """Return the glossary that ships with the package."""
    data = yaml.safe_load(Path(__file__).with_name("glossary.yaml").read_text("utf-8"))
    same = [[str(name).lower() for name in group] for group in data["same"]]
    means = {str(said).lower(): meant for said, meant in data["means"].items()}
    entries = [(_any_of(group), tuple(group)) for group in same]
    entries += [(_any_of([said]), tuple(meant)) for said, meant in means.items()]
    return Glossary(tuple(entries), frozenset({name for group in same for name in group} | means.keys()))


def _any_of(names: list[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)")


def prepare(text: str, lexical: LexicalIndex, glossary: Glossary, is_word: Callable[[str], bool]) -> Query:
    """Return the query for `text`. `is_word` returns True for ordinary words, which stay uncorrected."""
    text = text[:MAX_CHARS]
    corrections = _corrections(text, lexical.vocabulary, lexical.idf, glossary, is_word)
    spelled = text
    for typed, meant in corrections:
        spelled = re.sub(rf"(?<!\w){re.escape(typed)}(?!\w)", meant, spelled, flags=re.IGNORECASE)
    own = tuple(dict.fromkeys(terms(spelled)))
    return Query(text, spelled, own, _expansions(spelled, own, glossary), corrections)


def _corrections(
    text: str,
    vocabulary: Mapping[str, int],
    idf: Mapping[str, float],
    glossary: Glossary,
    is_word: Callable[[str], bool],
) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for word in dict.fromkeys(words(text)):
        known = word in vocabulary or word in glossary.names or all(term in idf for term in terms(word))
        if known or len(word) < MIN_SPELLED or is_word(word):
            continue
        near = [name for name in vocabulary if abs(len(name) - len(word)) <= 2 and not name.isdigit()]
        alike = process.extract(
            word, near, scorer=OSA.normalized_similarity, score_cutoff=SPELLING_CUTOFF, limit=5, processor=None
        )
        if alike:
            best = max(alike, key=lambda hit: (hit[1], vocabulary[hit[0]]))
            found.append((word, best[0]))
    return tuple(found)


def _expansions(text: str, own: tuple[str, ...], glossary: Glossary) -> tuple[str, ...]:
    added = dict.fromkeys(term for name in glossary.further(text) for term in terms(name))
    return tuple(term for term in added if term not in own)
