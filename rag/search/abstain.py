"""Compute the probability that the corpus answers a question from the evidence of a search."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag.index.lexical import term_sets
from rag.index.store import Index
from rag.search.fusion import Candidates
from rag.search.query import Query

QUESTION_KINDS_FILE = Path(__file__).parent / "kinds.npz"
TOP = 5  # passages whose evidence counts
MOST_LOGIT = 30.0
SIGNALS = (
    "chunk",  # best cosine of a chunk
    "whole",  # and of a whole unit
    "question",  # best cosine of a question the corpus is known to answer
    "page_question",
    "body",  # best BM25 of the text, as a share of what the query's terms are worth
    "page_words",
    "held",  # share of the query's terms, by weight, that the first passage holds
    "known",  # and that the corpus holds anywhere
    "terms",  # number of terms, logarithmic
    "keyed",  # 1.0 when the corpus lists questions at all
    "kind",  # of question: prices, live figures and other people's products are never answered
)


@dataclass(frozen=True, slots=True)
class QuestionKinds:
    """The support vector machine (Gaussian kernel) that judges the kind of a question by its vector."""

    vectors: np.ndarray  # (m, dimension) support vectors of length 1
    weights: np.ndarray  # (m,) positive for questions that documentation answers
    bias: float
    gamma: float

    def logit(self, vector: np.ndarray) -> float:
        """Return the margin, about -3..3, by which a question is of a kind that documentation answers."""
        kernel = np.exp(2 * self.gamma * (self.vectors @ vector - 1))  # |a - b|^2 = 2 - 2 a.b for length 1
        return float(kernel @ self.weights) + self.bias


@dataclass(frozen=True, slots=True)
class Calibration:
    """The logistic regression over SIGNALS, and the threshold below which a search abstains."""

    weights: Mapping[str, float]
    bias: float
    threshold: float  # 0..1; higher refuses more answerable questions, lower answers more unanswerable ones
    kinds: QuestionKinds | None  # fits one embedding model only; with another the signal counts as 0

    def kind(self, vector: np.ndarray) -> float:
        """Return the signal "kind" of a question with this vector."""
        return self.kinds.logit(vector) if self.kinds else 0.0

    def probability(self, signals: Mapping[str, float]) -> float:
        """Return the probability, 0..1, that the corpus answers."""
        logit_ = self.bias + sum(self.weights[name] * signals[name] for name in SIGNALS)
        return 1.0 / (1.0 + math.exp(-max(-MOST_LOGIT, min(MOST_LOGIT, logit_))))


def logit(probability: float) -> float:
    """Return the logit of a probability, -MOST_LOGIT..MOST_LOGIT."""
    if 0.0 < probability < 1.0:
        return max(-MOST_LOGIT, min(MOST_LOGIT, math.log(probability / (1.0 - probability))))
    return MOST_LOGIT if probability else -MOST_LOGIT


def load_calibration(model_digest: str) -> Calibration:
    """Return the calibration that ships with the package, for the embedding model of this digest."""
    data = json.loads(Path(__file__).with_name("weights.json").read_text("utf-8"))["answerable"]
    return Calibration(data["weights"], data["bias"], data["threshold"], load_question_kinds(model_digest))


def load_question_kinds(model_digest: str, path: Path = QUESTION_KINDS_FILE) -> QuestionKinds | None:
    """Return the support vectors; None for another embedding model and without the file."""
    if not path.is_file():
        return None
    arrays = np.load(path, allow_pickle=False)
    if str(arrays["model"]) != model_digest:
        return None
    vectors = arrays["vectors"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return QuestionKinds(vectors, arrays["weights"], float(arrays["bias"]), float(arrays["gamma"]))


def save_question_kinds(kinds: QuestionKinds, model_digest: str, path: Path = QUESTION_KINDS_FILE) -> None:
    """Write the support vectors with eight bits per number."""
    rounded = np.round(kinds.vectors / np.abs(kinds.vectors).max(axis=1, keepdims=True) * 127).astype(np.int8)
    np.savez_compressed(
        path,
        vectors=rounded,
        weights=kinds.weights.astype(np.float32),
        bias=np.array(kinds.bias),
        gamma=np.array(kinds.gamma),
        model=np.array(model_digest),
    )


def signals(index: Index, query: Query, found: Candidates, order: Sequence[int], kind: float) -> dict[str, float]:
    """Return the SIGNALS of a search; `order` holds the positions of the candidates, best first."""
    top = list(order[:TOP])
    if not top:
        return dict.fromkeys(SIGNALS, 0.0) | {"kind": kind}
    idf = index.lexical.idf
    unseen = math.log1p(len(index.units) + 0.5)  # idf of a term that no unit holds
    worth = {term: idf.get(term, unseen) for term in query.terms}
    total = sum(worth.values()) or 1.0
    unit = index.units[found.units[top[0]]]
    held = frozenset().union(*term_sets([unit.text, " ".join((unit.title, *unit.headings))]))
    names = ("chunk", "whole", "question", "page_question", "body", "page_words")
    return found.best(names, top) | {
        "held": sum(value for term, value in worth.items() if term in held) / total,
        "known": sum(value for term, value in worth.items() if term in idf) / total,
        "terms": math.log1p(len(query.terms)),
        "keyed": float(index.manifest.questions > 0),
        "kind": kind,
    }
