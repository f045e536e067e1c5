"""Prepare units for embedding: their texts, near-duplicates folded, what pages list for their sections assigned."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from rag.types import Chunk, Difference, Document, Unit

SHINGLE = 5  # words
DUPLICATE = 0.9  # Jaccard similarity of shingles from which two units count as one
SHORT = 120  # characters; shorter texts are alike by chance ("Run the playbook:")
_MARKS = re.compile(r"^\s*(`{3,}|~{3,})\S*\s*$|^\s*\|[\s:|\-]+\|\s*$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


def chunk_text(unit: Unit, chunk: Chunk) -> str:
    """Return the text to embed for a chunk: title and headings as context, then its text without marks."""
    return _in_context(unit.title, chunk.headings, chunk.text)


def unit_text(unit: Unit) -> str:
    """Return the text to embed for a whole unit; the model reads its first ~250 tokens."""
    return _in_context(unit.title, unit.headings, unit.text)


def _in_context(title: str, headings: tuple[str, ...], text: str) -> str:
    return f"{' > '.join(dict.fromkeys((title, *headings)))}\n{plain(text)}"


def plain(text: str) -> str:
    """Return Markdown without fences, table rules, emphasis and link targets."""
    text = _LINK.sub(r"\1", _MARKS.sub("", text))
    return re.sub(r"\n{2,}", "\n", re.sub(r"\*\*|__|`|^#+ ", "", text, flags=re.MULTILINE)).strip()


def fold_duplicates(units: list[Unit]) -> list[Unit]:
    """Return `units` without near-duplicates; the first of each group keeps the paths of the others in `also`."""
    holders: dict[str, list[int]] = defaultdict(list)  # shingle -> kept units that hold it
    kept: list[Unit] = []
    sets: list[frozenset[str]] = []
    for unit in units:
        own = _shingles(unit.text) if len(unit.text) >= SHORT else frozenset()
        twin = _twin(own, sets, holders)
        if twin is None:
            for shingle in own:
                holders[shingle].append(len(kept))
            kept.append(unit)
            sets.append(own)
        elif unit.path != kept[twin].path:
            kept[twin] = replace(kept[twin], also=tuple(dict.fromkeys((*kept[twin].also, unit.path))))
    return kept


def _twin(own: frozenset[str], sets: list[frozenset[str]], holders: dict[str, list[int]]) -> int | None:
    shared: dict[int, int] = defaultdict(int)
    for shingle in own:
        for at in holders.get(shingle, ()):
            shared[at] += 1
    best = max(shared, key=shared.__getitem__, default=None)
    if best is None:
        return None
    return best if shared[best] / len(own | sets[best]) >= DUPLICATE else None


def _shingles(text: str) -> frozenset[str]:
    tokens = re.findall(r"\w+", text.lower())
    return frozenset(" ".join(tokens[at : at + SHINGLE]) for at in range(max(1, len(tokens) - SHINGLE + 1)))


def assign(units: list[Unit], documents: Iterable[Document]) -> list[Unit]:
    """Return `units` with what the front matter of their pages lists for a heading.

    A question goes to the first unit under its heading, one of the page as a whole to the page's first unit, one of a
    heading that is not there to none. A difference goes to every unit under its heading.
    """
    asked: dict[int, list[str]] = defaultdict(list)
    differs: dict[int, list[Difference]] = defaultdict(list)
    pages: dict[str, list[int]] = defaultdict(list)
    for at, unit in enumerate(units):
        pages[unit.path].append(at)
    for document in documents:
        own = pages[document.path]
        for heading, questions in document.questions.items():
            for at in _under(units, own, heading)[:1]:
                asked[at].extend(questions)
        for heading, claims in document.differs.items():
            for at in _under(units, own, heading):
                differs[at].extend(claims)
    return [
        replace(unit, questions=tuple(asked[at]), differs=tuple(differs[at])) if at in asked or at in differs else unit
        for at, unit in enumerate(units)
    ]


def _under(units: list[Unit], own: list[int], heading: str) -> list[int]:
    """Return the numbers of a page's units under a heading; all of them under ""."""
    return [at for at in own if not heading or any(heading in chunk.headings for chunk in units[at].chunks)]
