"""Fit what tells a near question from an answered one; `rag.training.fit` calls it with the other fits.

near.txt holds questions that the pages come near to, with what no page speaks of in braces, and answered ones without.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from rag.index.lexical import WORD
from rag.index.store import Encoder
from rag.search.near import NO_WORD, QUESTION_SIGNALS, WORD_SIGNALS, AskedWord, NearEvidence, Nearness, Unheld
from rag.search.retriever import Retriever

QUESTIONS = Path(__file__).with_name("near.txt")
FOLDS = 10
L2 = 0.005
KIND_C = 0.3
MOST_NEAR = 0.045  # share of answered questions, out of fold; those of near.txt are harder than a visitor's
KIND = WORD_SIGNALS.index("kind")
MARK = re.compile(r"\{(.*?)\}")
NOTHING = Unheld(AskedWord("", "", 0.0, 0, 0), np.zeros(len(WORD_SIGNALS), dtype=np.float32))


@dataclass(frozen=True, slots=True)
class NearExample:
    """The evidence of a question with passages, and what is missing in them."""

    evidence: NearEvidence
    missing: frozenset[str]  # words, lower case; empty for a question that is answered

    @property
    def is_near(self) -> bool:
        """True when something is missing."""
        return bool(self.missing)


def fit_near(retriever: Retriever, answered: Sequence[str], encoder: Encoder) -> tuple[dict[str, Any], np.ndarray]:
    """Return what `weights.json` keeps under "near" and the vector of word kinds; print the error rates out of fold.

    `answered`: questions that the retriever's pages answer, beside those of near.txt.
    """
    lines = [*QUESTIONS.read_text("utf-8").splitlines(), *answered]
    examples = [example for line in lines if (example := _example(retriever, line))]
    return fit(examples, encoder)


def _example(retriever: Retriever, line: str) -> NearExample | None:
    missing = frozenset(match[0].lower() for marked in MARK.findall(line) for match in WORD.finditer(marked))
    look = retriever.look(re.sub(r"[{}]", "", line))
    return NearExample(retriever.evidence(look), missing) if look.result.passages else None


def fit(examples: Sequence[NearExample], encoder: Encoder) -> tuple[dict[str, Any], np.ndarray]:
    """Return the fitted model as `fit_near` does; the other folds judge each question."""
    typed = sorted({word.asked.typed.lower() for one in examples for word in one.evidence.words})
    vectors = dict(zip(typed, encoder.encode(typed), strict=True))
    truth = np.array([one.is_near for one in examples])
    logits = np.zeros(len(examples))
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(examples):
        kind = _fit_kind([examples[at] for at in train], vectors)
        model = _fit_model([examples[at] for at in train], vectors, kind)
        for at in test:
            logits[at] = model.logit(_with_kind(examples[at].evidence, vectors, kind))
    threshold = float(np.quantile(logits[~truth], 1 - MOST_NEAR))
    caught = (logits[truth] >= threshold).mean()
    print(
        f"near from {threshold:.2f}: {caught:.3f} of {truth.sum()} near ones, "
        f"{MOST_NEAR} of {(~truth).sum()} answered ones (out of fold)"
    )
    kind = _fit_kind(examples, vectors)
    model = _fit_model(examples, vectors, kind)
    fitted = {
        "words": _named(WORD_SIGNALS, model.words),
        "word_bias": round(model.word_bias, 4),
        "question": _named(QUESTION_SIGNALS, model.question),
        "bias": round(model.bias, 4),
        "threshold": round(threshold, 3),
    }
    return fitted, kind


def _fit_kind(examples: Sequence[NearExample], vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the direction in which the missing words lie, seen from the other unheld words; each word counts once."""
    words = [(word.asked.typed.lower(), one.missing) for one in examples for word in one.evidence.words]
    missing = {word for word, names in words if word in names}
    others = {word for word, names in words if word not in names} - missing
    table = np.stack([vectors[word] for word in (*sorted(missing), *sorted(others))])
    truth = np.arange(len(table)) < len(missing)
    fitted = LogisticRegression(C=KIND_C, max_iter=2000, class_weight="balanced").fit(table, truth)
    direction: np.ndarray = fitted.coef_[0].astype(np.float32)
    return direction


def _with_kind(evidence: NearEvidence, vectors: Mapping[str, np.ndarray], kind: np.ndarray) -> NearEvidence:
    """Return the evidence with the signal "kind"; it is gathered without, since each fold fits its own."""
    words = []
    for word in evidence.words:
        signals = word.signals.copy()
        signals[KIND] = vectors[word.asked.typed.lower()] @ kind
        words.append(replace(word, signals=signals))
    return replace(evidence, words=words)


def _fit_model(examples: Sequence[NearExample], vectors: Mapping[str, np.ndarray], kind: np.ndarray) -> Nearness:
    """Return the model whose soft maximum over the words tells near from answered best; both sides weigh the same."""
    evidence = [_with_kind(one.evidence, vectors, kind) for one in examples]
    truth = np.array([one.is_near for one in examples], dtype=float)
    weight = np.where(truth, 0.5 / truth.sum(), 0.5 / (1 - truth).sum())
    words = np.array([word.signals for one in evidence for word in (*one.words, NOTHING)], dtype=float)
    ends = np.cumsum([len(one.words) + 1 for one in evidence])  # the last of each question stands for no word
    starts, nothing = np.r_[0, ends[:-1]], ends - 1
    owner = np.repeat(np.arange(len(evidence)), np.diff(np.r_[0, ends]))
    question = np.array([one.question for one in evidence], dtype=float)
    split = len(WORD_SIGNALS)

    def loss(fitted: np.ndarray) -> tuple[float, np.ndarray]:
        scores = words @ fitted[:split] + fitted[-2]
        scores[nothing] = NO_WORD
        top = np.maximum.reduceat(scores, starts)
        powers = np.exp(scores - top[owner])
        total = np.add.reduceat(powers, starts)
        logits = top + np.log(total) + question @ fitted[split:-2] + fitted[-1]
        value = (weight * (np.logaddexp(0, logits) - truth * logits)).sum() + L2 / 2 * fitted[:-2] @ fitted[:-2]
        slope = weight * (1 / (1 + np.exp(-logits)) - truth)
        share = powers / total[owner] * slope[owner]
        share[nothing] = 0.0
        gradient = np.r_[words.T @ share, question.T @ slope] + L2 * fitted[:-2]
        return float(value), np.r_[gradient, share.sum(), slope.sum()]

    start = np.zeros(split + len(QUESTION_SIGNALS) + 2)
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    return Nearness(fitted[:split], float(fitted[-2]), fitted[split:-2], float(fitted[-1]), 0.0, kind)


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}
