"""Score the fields of units with BM25 (bm25s); identifiers count whole, split and joined."""

import json
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import bm25s
import numpy as np
import snowballstemmer

from rag.types import Unit

FIELDS = ("body", "heading", "file", "asked")
K1, B = 1.2, {"body": 0.6, "heading": 0.3, "file": 0.2, "asked": 0.2}  # length says little about short fields
WORD = re.compile(r"[^\W_]+(?:[._\-/:]+[^\W_]+)*")
_PART = re.compile(r"[^\W\d_]+|\d+")
_NUMBERED = re.compile(r"\b([a-z]{2,12})[ \-]?(\d{1,3})\b")
_STOP = frozenset(Path(__file__).with_name("stopwords.txt").read_text("utf-8").split())

_stemmer = snowballstemmer.stemmer("english")
_stemmer_lock = threading.Lock()  # the stemmer keeps the word it works on as state


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    with _stemmer_lock:
        return str(_stemmer.stemWord(word))


def words(text: str) -> list[str]:
    """Return the lower-case words of `text` as written, identifiers whole: "kvm_diagnostics", "java-21-openjdk"."""
    return [match[0].lower() for match in WORD.finditer(text)]


def terms(text: str) -> list[str]:
    """Return index terms: stemmed words, the parts of identifiers, and word + number joined ("rhel 8" -> "rhel8")."""
    found: list[str] = []
    for word in words(text):
        parts = _PART.findall(word)
        if len(parts) > 1:
            found.append(word)
        found.extend(_stem(part) for part in parts if part not in _STOP)
    found.extend(name + number for name, number in _NUMBERED.findall(text.lower()) if name not in _STOP)
    return found


def term_sets(texts: Iterable[str]) -> list[frozenset[str]]:
    """Return the set of index terms of each text."""
    return [_term_set(text) for text in texts]


@lru_cache(maxsize=70_000)  # every segment and every unit of a corpus like ours, several times over
def _term_set(text: str) -> frozenset[str]:
    return frozenset(terms(text))


@dataclass(frozen=True, slots=True)
class LexicalIndex:
    """The BM25 indexes of all fields over the same units; read-only, so safe to share between threads."""

    fields: Mapping[str, bm25s.BM25]
    vocabulary: Mapping[str, int]  # word as written on the pages -> number of units that hold it
    idf: Mapping[str, float]  # term -> inverse document frequency over all fields
    size: int

    def scores(self, query: Sequence[str]) -> dict[str, np.ndarray]:
        """Return by field the BM25 score of every unit, float32 of shape (units,); zeros when no term is known."""
        return {name: self._field_scores(query, index) for name, index in self.fields.items()}

    def holders(self, term: str) -> np.ndarray:
        """Return the numbers of the units that hold `term` in any field."""
        found = []
        for index in self.fields.values():
            if (number := index.vocab_dict.get(term)) is not None:
                start, end = index.scores["indptr"][number : number + 2]
                found.append(index.scores["indices"][start:end])
        return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int32)

    def _field_scores(self, query: Sequence[str], index: bm25s.BM25) -> np.ndarray:
        known = [term for term in query if term in index.vocab_dict]
        if not known:
            return np.zeros(self.size, dtype=np.float32)
        return np.asarray(index.get_scores(known), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write one folder per field and the vocabulary."""
        for name, index in self.fields.items():
            index.save(folder / name, show_progress=False)
        data = {"size": self.size, "vocabulary": self.vocabulary, "idf": self.idf}
        (folder / "vocabulary.json").write_text(json.dumps(data, ensure_ascii=False), "utf-8")


def build_lexical(units: Sequence[Unit]) -> LexicalIndex:
    """Index the four fields of `units`."""
    texts = {name: [_field(unit, name) for unit in units] for name in FIELDS}
    tokens = {name: [terms(text) for text in column] for name, column in texts.items()}
    joint = [set().union(*(tokens[name][at] for name in FIELDS)) for at in range(len(units))]
    counts = _document_counts(joint)
    idf = {term: float(np.log1p((len(units) - n + 0.5) / (n + 0.5))) for term, n in counts.items()}
    spelled = [name for name in FIELDS if name != "asked"]  # listed questions may be misspelt on purpose
    written = [set(words(" ".join(texts[name][at] for name in spelled))) for at in range(len(units))]
    fields = {name: _bm25(tokens[name], B[name]) for name in FIELDS}
    return LexicalIndex(fields, _document_counts(written), idf, len(units))


def load_lexical(folder: Path) -> LexicalIndex:
    """Load the files that LexicalIndex.save writes."""
    data = json.loads((folder / "vocabulary.json").read_text("utf-8"))
    fields = {name: bm25s.BM25.load(folder / name, show_progress=False) for name in FIELDS}
    return LexicalIndex(fields, data["vocabulary"], data["idf"], data["size"])


def _field(unit: Unit, name: str) -> str:
    if name == "body":
        return unit.text
    if name == "heading":
        return " ".join(unit.headings)
    if name == "file":
        return f"{unit.title} {unit.path}"
    return " ".join(unit.questions)


def _bm25(tokens: list[list[str]], b: float) -> bm25s.BM25:
    vocabulary = {term: number for number, term in enumerate(dict.fromkeys(t for row in tokens for t in row))}
    if not vocabulary:  # no unit has this field: one empty term each keeps the mean length above zero
        vocabulary, tokens = {"": 0}, [[""]] * len(tokens)
    index = bm25s.BM25(method="lucene", k1=K1, b=b)
    ids = [[vocabulary[term] for term in row] for row in tokens]
    index.index((ids, vocabulary), create_empty_token=True, show_progress=False)
    return index


def _document_counts(rows: Iterable[set[str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        for term in row:
            counts[term] = counts.get(term, 0) + 1
    return counts
