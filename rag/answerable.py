"""Abstaining: from the evidence of a search to the probability that the corpus answers the question."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from rag.fusion import Candidates
from rag.index import Index
from rag.lexical import terms
from rag.query import Query

TOP = 5  # passages whose evidence counts
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
    "kind",  # logit of the kind of question: prices, live figures and other people's products are never answered
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Two logistic regressions and the probability below which a search abstains.

    The first tells the kind of question from its vector, of shape (dimension,), and fits one embedding model only;
    with another model it counts as 0. The second weighs all signals.
    """

    weights: Mapping[str, float]
    bias: float
    threshold: float  # 0..1
    kind_weights: np.ndarray
    kind_bias: float
    model_digest: str

    def kind(self, vector: np.ndarray) -> float:
        """Return the logit that a question with this vector is of a kind that documentation answers."""
        if vector.shape != self.kind_weights.shape:
            return 0.0
        return float(vector @ self.kind_weights) + self.kind_bias

    def probability(self, signals: Mapping[str, float]) -> float:
        """Return the probability, 0..1, that the corpus answers."""
        logit = self.bias + sum(self.weights[name] * signals[name] for name in SIGNALS)
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))


def load_calibration(model_digest: str) -> Calibration:
    """Return the calibration that ships with the package, for an index built with the model of this digest."""
    data = json.loads(files("rag").joinpath("weights.json").read_text("utf-8"))["answerable"]
    fits = data["model_digest"] == model_digest
    kind = np.array(data["kind_weights"] if fits else [], dtype=np.float32)
    return Calibration(data["weights"], data["bias"], data["threshold"], kind, data["kind_bias"], data["model_digest"])


def signals(index: Index, query: Query, found: Candidates, order: Sequence[int], kind: float) -> dict[str, float]:
    """Return what tells an answerable question from another; `order` sorts the candidates, best first."""
    top = list(order[:TOP])
    if not top:
        return dict.fromkeys(SIGNALS, 0.0) | {"kind": kind}
    idf = index.lexical.idf
    unseen = math.log1p(len(index.units) + 0.5)  # what a term held by no unit is worth
    worth = {term: idf.get(term, unseen) for term in query.terms}
    total = sum(worth.values()) or 1.0
    unit = index.units[found.units[top[0]]]
    held = set(terms(" ".join((unit.title, *unit.headings, unit.text))))
    names = ("chunk", "whole", "question", "page_question", "body", "page_words")
    best = {name: float(found.column(name)[top].max()) for name in names}
    return best | {
        "held": sum(value for term, value in worth.items() if term in held) / total,
        "known": sum(value for term, value in worth.items() if term in idf) / total,
        "terms": math.log1p(len(query.terms)),
        "keyed": float(index.manifest.questions > 0),
        "kind": kind,
    }
