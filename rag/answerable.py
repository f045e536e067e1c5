"""Abstaining: from the scores of a search to the probability that the corpus answers the question."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

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


def signals(index: Index, query: Query, found: Candidates, order: Sequence[int]) -> dict[str, float]:
    """Return what tells an answerable question from another; `order` sorts the candidates, best first."""
    top = list(order[:5])
    if not top:
        return dict.fromkeys(SIGNALS, 0.0)
    idf = index.lexical.idf
    unseen = math.log1p(len(index.units) + 0.5) if index.units else 1.0
    weight = {term: idf.get(term, unseen) for term in query.terms}
    total = sum(weight.values()) or 1.0
    unit = index.units[found.units[top[0]]]
    held = set(terms(f"{unit.title} {' '.join(unit.headings)} {unit.text} {' '.join(unit.questions)}"))
    return {
        "dense": float(found.column("chunk")[top].max()),
        "asked": float(found.column("question")[top].max()),
        "coverage": sum(value for term, value in weight.items() if term in held) / total,
        "lexical": float(found.column("body")[top].max()),
        "known": sum(value for term, value in weight.items() if term in idf) / total,
        "page": float(found.column("page_chunk")[top[0]]),
    }
