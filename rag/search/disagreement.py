"""Find where upstream's own text says otherwise than a reviewed passage: by sides taken, by figures, by settings.

Compares sentences that share most of their words. Does not find: differences in wording without a figure, a setting or
a side (supported, required, enabled); differences that need two sentences. A reviewed passage that names an upstream
file as mistaken differs from all of that file's text on the subject.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rag.index.units import plain
from rag.search.polarity import contradicts, stances
from rag.search.segments import segments
from rag.types import Difference, Passage

MOST = 2  # differences that a visitor takes in
SHARED = 0.5  # of the shorter sentence's words, from which two sentences are about the same thing
LEAST = 3  # words that they share
_WORD = re.compile(r"[A-Za-z][\w.-]{2,}")
_EMPTY = frozenset("the and for are with that this from into can has have its they then which when where".split())
_AMOUNT = re.compile(r"\b(\d+(?:[.,]\d+)?)\s*\+?[ -]?(GB|GiB|MB|TB|%|[a-z]{3,})\b")
_NUMBERED = re.compile(r"\b(port|version)\s+(\d+(?:\.\d+)*)\b", re.IGNORECASE)
_SETTING = re.compile(r"\b([A-Za-z][\w-]*_[\w-]+)\s*[=:]\s*[\"']?([\w./-]+)")
_MISTAKEN = re.compile(
    r"\b(?:wrong|outdated|mistak\w+|contradict\w+|differs?|disagree\w*|not what|still says?|claims?)\b"
)


def disagreements(reviewed: Sequence[Passage], upstream: Sequence[Passage]) -> tuple[Difference, ...]:
    """Return up to MOST sentences of `upstream` that say otherwise than the reviewed passages do."""
    known = [sentence for passage in reviewed for sentence in _sentences(passage)]
    found = (pair for passage in upstream for pair in _against(passage, known))
    return tuple(pair for pair, _ in zip(found, range(MOST), strict=False))


def _against(passage: Passage, known: Sequence[str]) -> Iterator[Difference]:
    """Yield at most one sentence of a passage that goes against the known ones."""
    for sentence in _sentences(passage):
        words = _words(sentence)
        for other in known:
            if _is_same_subject(words, _words(other)) and _differ(sentence, other):
                yield Difference(passage, sentence, other)
                return
    for other in known:
        if passage.path in other and _MISTAKEN.search(other):
            yield Difference(passage, passage.excerpt, other)
            return


def _differ(theirs: str, ours: str) -> bool:
    values, others = _values(theirs), _values(ours)
    shared = values.keys() & others.keys()
    if any(values[key].isdisjoint(others[key]) for key in shared):
        return True
    return contradicts(stances(theirs), stances(ours))


def _values(sentence: str) -> Mapping[str, set[str]]:
    """Return what a sentence gives a figure or a value: unit, kind of number or name of a setting -> values."""
    values: dict[str, set[str]] = defaultdict(set)
    for figure, unit in _AMOUNT.findall(sentence):
        values[unit.rstrip("s")].add(figure)
    for kind, figure in _NUMBERED.findall(sentence):
        values[kind.lower()].add(figure)
    for name, value in _SETTING.findall(sentence):
        values[name].add(value.lower())
    return values


def _is_same_subject(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    return shared >= LEAST and shared >= SHARED * min(len(one), len(other))


def _sentences(passage: Passage) -> list[str]:
    return [plain(segment.text) for segment in segments(passage.text) if segment.kind != "code"]


def _words(sentence: str) -> frozenset[str]:
    found: Iterable[str] = _WORD.findall(sentence.lower())
    return frozenset(word[:7] for word in found if word not in _EMPTY)
