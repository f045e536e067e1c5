"""Abstaining: from the scores of a search to the probability that the corpus answers the question."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from rag.fusion import Candidates
from rag.index import Index
from rag.lexical import terms
from rag.query import Query

SIGNALS = ("dense", "asked", "coverage", "lexical", "known", "page")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic regression over SIGNALS and the probability below which a search abstains."""

    weights: Mapping[str, float]
    bias: float
    threshold: float  # 0..1

    def probability(self, signals: Mapping[str, float]) -> float:
        """Return the probability, 0..1, that the corpus answers."""
        logit = self.bias + sum(self.weights[name] * signals[name] for name in SIGNALS)
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))


def load_calibration() -> Calibration:
    """Return the calibration that ships with the package."""
    data = json.loads(files("rag").joinpath("weights.json").read_text("utf-8"))["answerable"]
    return Calibration(data["weights"], float(data["bias"]), float(data["threshold"]))


def signals(index: Index, query: Query, found: Candidates, order: np.ndarray) -> dict[str, float]:
    """Return what tells an answerable question from another; `order` sorts the candidates, best first."""
    top = order[:5]
    if not len(top):
        return dict.fromkeys(SIGNALS, 0.0)
    features = found.features
    idf = index.lexical.idf
    unseen = math.log1p(len(index.units) + 0.5) if index.units else 1.0
    weight = {term: idf.get(term, unseen) for term in query.terms}
    total = sum(weight.values()) or 1.0
    unit = index.units[found.units[top[0]]]
    held = set(terms(f"{unit.title} {' '.join(unit.headings)} {unit.text} {' '.join(unit.questions)}"))
    return {
        "dense": float(features[top, 0].max()),
        "asked": float(features[top, 2].max()),
        "coverage": sum(value for term, value in weight.items() if term in held) / total,
        "lexical": float(features[top, 3].max()),
        "known": sum(value for term, value in weight.items() if term in idf) / total,
        "page": float(features[top[0], 7]),
    }
