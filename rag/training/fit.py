"""Fit the weights of fusion and rerank, and the calibration: `python -m rag train --upstream TAR --judged FILE`.

Fits on the questions written for training (rag/training) and on the judged questions of our own pages. The printed
figures cut both into ten folds by question. Never reads development or test questions.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.svm import SVC

from rag.embedding.embedder import Embedder
from rag.index.build import build
from rag.index.store import load
from rag.reading.rows import read_rows
from rag.search.abstain import SIGNALS, Calibration, QuestionKinds, save_question_kinds, signals
from rag.search.fusion import FUSION_FEATURES
from rag.search.near import save_word_kinds
from rag.search.rerank import RERANK_FEATURES, rerank
from rag.search.retriever import Retriever, Weights
from rag.training.near import fit_near
from rag.types import Unit

HERE = Path(__file__).parent
PAGES = HERE.parent / "corpus"
FUSION_L2 = 0.0005
KIND_C, KIND_GAMMA = 3.0, 2.0
FOLDS = 10
MOST_REFUSED = 0.04  # share of answerable questions, out of fold; a margin below the 5 % that may be refused


@dataclass(frozen=True, slots=True)
class Example:
    """The candidates of one training question, marked as right passages and as passages of a right page."""

    question: str
    features: np.ndarray  # (candidates, FUSION_FEATURES or RERANK_FEATURES)
    right: np.ndarray  # (candidates,) bool: the passage
    page: np.ndarray  # (candidates,) bool: another passage of a right page


@dataclass(frozen=True, slots=True)
class Asked:
    """The evidence of one question for the calibration."""

    question: str
    answerable: bool
    vector: np.ndarray
    signals: dict[str, float]  # with kind 0, filled in per fold


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of both corpora."""

    upstream: list[dict[str, Any]]  # answerable from the upstream documentation, judged by lines
    own: list[dict[str, Any]]  # answerable from our own pages, judged by heading
    visitors: list[str]  # answerable from our own pages, for the calibration only
    unanswerable: list[str]  # by neither


def fit(upstream: str, judged: Sequence[Path], cache: Path, out: Path) -> None:
    """Fit on both corpora, print the figures out of fold, and write weights.json, kinds.npz and words.npz into `out`.

    `upstream` is the archive or folder of the upstream documentation, `judged` files of judged questions on our own
    pages (JSON lines). `cache` keeps the two indexes between runs.
    """
    questions = _questions(judged)  # before the indexes, which take minutes
    embedder = Embedder()
    retrievers = _retriever(upstream, cache / "upstream", embedder), _retriever(PAGES, cache / "own", embedder)
    fitted = _fit_ranking(retrievers, questions)
    upstream_, own = (Retriever(retriever.index, embedder, fitted) for retriever in retrievers)
    keys = embedder.encode([question for unit in own.index.units for question in unit.questions])
    calibration, kinds = calibrate(_calibration_rows(upstream_, own, questions), keys)
    save_question_kinds(kinds, embedder.digest, out / "kinds.npz")
    weights = {
        "fusion": _named(FUSION_FEATURES, fitted.fusion),
        "rerank": _named(RERANK_FEATURES, fitted.rerank),
        "answerable": calibration,
    }
    answering = Retriever(own.index, embedder, fitted, calibration=Calibration(**calibration, kinds=kinds))
    near, word_kinds = fit_near(answering, _answered(own, questions), embedder)
    save_word_kinds(word_kinds, embedder.digest, out / "words.npz")
    (out / "weights.json").write_text(json.dumps(weights | {"near": near}, indent=1) + "\n", "utf-8")


def _questions(judged: Sequence[Path]) -> Questions:
    """Return the questions of both corpora, of the judged ones those in English: nothing here reads the others."""
    rows = [row for path in judged for row in read_rows(path, "question", "kind") if "language" not in row]
    unanswerable = (HERE / "unanswerable.txt").read_text("utf-8").splitlines()
    return Questions(
        upstream=read_rows(HERE / "upstream.jsonl"),
        own=[row for row in rows if row["kind"] != "unanswerable"],
        visitors=(HERE / "answerable.txt").read_text("utf-8").splitlines(),
        unanswerable=unanswerable + [row["question"] for row in rows if row["kind"] == "unanswerable"],
    )


def _fit_ranking(retrievers: tuple[Retriever, Retriever], questions: Questions) -> Weights:
    """Return the weights: fusion fitted on all candidates, then rerank on the best by the fitted fusion."""
    upstream, own = retrievers
    asks = [(upstream, row["question"], _by_lines(row)) for row in questions.upstream]
    asks += [(own, row["question"], _by_heading(row)) for row in questions.own]
    fusion = fit_weights([_example(*ask) for ask in asks])
    return Weights(fusion, fit_weights([_example(*ask, fusion) for ask in asks]))


def _calibration_rows(upstream: Retriever, own: Retriever, questions: Questions) -> list[Asked]:
    """Return the answerable questions of each corpus, and the unanswerable ones asked of both."""
    asked = [_asked(upstream, row["question"], True) for row in questions.upstream]
    asked += [_asked(own, row["question"], True) for row in questions.own]
    asked += [_asked(own, question, True) for question in questions.visitors]
    return asked + [_asked(one, question, False) for question in questions.unanswerable for one in (upstream, own)]


def _answered(own: Retriever, questions: Questions) -> list[str]:
    """Return the questions that our own pages answer, of the judged ones those whose first passage is right."""
    leads = [(row, own.index.units[own.rank(row["question"]).units([0])[0]]) for row in questions.own]
    return [*questions.visitors, *(row["question"] for row, unit in leads if _by_heading(row)(unit)[0])]


def fit_weights(examples: Sequence[Example]) -> np.ndarray:
    """Return the weights that give the right passage, and half as much its page, the most probability (softmax)."""
    rows = [example for example in examples if example.page.any()]
    most, width = max(len(row.page) for row in rows), rows[0].features.shape[1]
    x = np.zeros((len(rows), most, width))
    masks = np.zeros((3, len(rows), most), dtype=bool)  # candidates, right passages, right pages
    for at, row in enumerate(rows):
        count = len(row.page)
        x[at, :count] = row.features
        masks[:, at, :count] = np.ones(count), row.right, row.page

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = x @ weights
        (all_lse, all_p), (right_lse, right_p), (page_lse, page_p) = (_softmax(scores, mask) for mask in masks)
        has = masks[1].any(axis=1)
        value = ((all_lse - right_lse) * has).sum() + 0.5 * (all_lse - page_lse).sum()
        slope = has[:, None] * (all_p - right_p) + 0.5 * (all_p - page_p)
        gradient = np.einsum("nc,nck->k", slope, x)
        return value / len(rows) + FUSION_L2 * weights @ weights, gradient / len(rows) + 2 * FUSION_L2 * weights

    fitted = minimize(loss, np.ones(width), jac=True, method="L-BFGS-B", options={"maxiter": 2000, "maxls": 50})
    result: np.ndarray = fitted.x
    return result


def calibrate(asked: Sequence[Asked], keys: np.ndarray) -> tuple[dict[str, Any], QuestionKinds]:
    """Return both fitted models and print their error rates; the other folds judge each question."""
    vectors = np.stack([item.vector for item in asked])
    truth = np.array([item.answerable for item in asked])
    groups = np.unique([item.question.lower() for item in asked], return_inverse=True)[1]
    kinds = np.zeros(len(asked))
    for train, test in GroupKFold(FOLDS).split(vectors, groups=groups):
        model = _fit_kind(vectors[train], truth[train], groups[train], keys)
        kinds[test] = model.decision_function(vectors[test])
    table = np.array([[item.signals[name] for name in SIGNALS] for item in asked])
    table[:, SIGNALS.index("kind")] = kinds
    out_of_fold = np.zeros(len(asked))
    for train, test in GroupKFold(FOLDS).split(table, groups=groups):
        out_of_fold[test] = _fit_signals(table[train], truth[train]).predict_proba(table[test])[:, 1]
    threshold = float(np.quantile(out_of_fold[truth], MOST_REFUSED))
    answered = (out_of_fold[~truth] >= threshold).mean()
    print(
        f"threshold {threshold:.3f}: {answered:.3f} of the unanswerable answered, {MOST_REFUSED} refused (out of fold)"
    )
    last, kind = _fit_signals(table, truth), _fit_kind(vectors, truth, groups, keys)
    fitted = {
        "weights": {name: round(float(value), 4) for name, value in zip(SIGNALS, last.coef_[0], strict=True)},
        "bias": round(float(last.intercept_[0]), 4),
        "threshold": round(threshold, 3),
    }
    return fitted, QuestionKinds(kind.support_vectors_, kind.dual_coef_[0], float(kind.intercept_[0]), KIND_GAMMA)


def _fit_kind(vectors: np.ndarray, truth: np.ndarray, groups: np.ndarray, keys: np.ndarray) -> SVC:
    """Return the model fitted on each question once and on the questions that our pages list."""
    once = np.unique(groups, return_index=True)[1]
    model = SVC(C=KIND_C, gamma=KIND_GAMMA, class_weight="balanced")
    return model.fit(np.vstack([vectors[once], keys]), np.concatenate([truth[once], np.ones(len(keys), dtype=bool)]))


def _fit_signals(table: np.ndarray, truth: np.ndarray) -> LogisticRegression:
    return LogisticRegression(C=10.0, max_iter=5000, class_weight="balanced").fit(table, truth)


def _softmax(scores: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (log-sum-exp, probabilities) over the masked entries of each row; an empty row gives zeros."""
    masked = np.where(mask, scores, -np.inf)
    top = np.where(mask.any(axis=1), masked.max(axis=1), 0.0)
    powers = np.exp(masked - top[:, None])
    total = powers.sum(axis=1)
    safe = np.where(total > 0, total, 1.0)
    return top + np.log(safe), powers / safe[:, None]


def _example(retriever: Retriever, question: str, judge: Any, fusion: np.ndarray | None = None) -> Example:
    """Return all candidates with FUSION_FEATURES; given the weights `fusion`, the best with RERANK_FEATURES."""
    query, vector, found = retriever.find(question)
    if fusion is not None:
        found = rerank(retriever.index, query, vector, found, fusion).found
    verdicts = [judge(retriever.index.units[at]) for at in found.units]
    right, page = (np.array(column, dtype=bool) for column in zip(*verdicts, strict=True))
    return Example(question, found.features, right, page)


def _asked(retriever: Retriever, question: str, answerable: bool) -> Asked:
    ranking = retriever.rank(question)
    evidence = signals(retriever.index, ranking.query, ranking.found, ranking.order, 0.0)
    return Asked(question, answerable, ranking.vector, evidence)


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(names, values, strict=True)}


def _by_lines(row: dict[str, Any]) -> Any:
    first, last = row["lines"]

    def judge(unit: Unit) -> tuple[bool, bool]:
        page = unit.path == row["file"]
        return page and unit.lines[0] <= last and unit.lines[1] >= first, page

    return judge


def _by_heading(row: dict[str, Any]) -> Any:
    places = {(row["page"], row["heading"]), *((page, heading) for page, heading in row["also"])}
    pages = {page for page, _ in places}

    def judge(unit: Unit) -> tuple[bool, bool]:
        under = {heading for chunk in unit.chunks for heading in chunk.headings}
        return any(unit.path == page and heading in under for page, heading in places), unit.path in pages

    return judge


def _retriever(source: Any, folder: Path, embedder: Embedder) -> Retriever:
    folder.parent.mkdir(parents=True, exist_ok=True)
    build(source, folder, embedder)
    return Retriever(load(folder, embedder), embedder)
