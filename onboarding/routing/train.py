"""Trains the three classifiers from the exemplars.

    python -m onboarding.routing.train [--check] [--model NAME] [--out FOLDER]

Writes router.npz, tools.npz and about.npz with their manifests, by default where the classifiers of the default
encoder ship.
Before that it reports accuracy under cross-validation in which no line of the exemplars is split between learning and
judging; its scores also set the temperature, so that the confidences mean what they say. `--check` reports and writes
nothing. About five minutes.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

try:
    from scipy.optimize import minimize_scalar
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
except ImportError as error:
    sentence = "training needs scikit-learn, which is not installed; run: make setup-full"
    raise (SystemExit if __name__ == "__main__" else ImportError)(sentence) from error

from onboarding.routing.classifier import ARTEFACT, Classifier, save
from onboarding.routing.exemplars import EXEMPLARS, Exemplar, load_exemplars, misspelt, opened
from onboarding.routing.features import Features, slots
from onboarding.routing.language.lexicon import load_lexicon
from onboarding.routing.reading import Reader
from rag.command_line import ended
from rag.embedding.embedder import DEFAULT_MODEL, Embedder
from rag.errors import RagError
from rag.index.store import Encoder

STRENGTH = 12.0  # inverse regularisation, the best of 3, 6, 12, 24 under cross-validation
COPY_WEIGHT = 0.4  # a copy of an exemplar, misspelt or behind a greeting, counts this much
FOLDS = 5
LABELS = {"router": "route", "tools": "tool", "about": "about"}  # classifier -> what it tells of an exemplar
BATCH = 256


@dataclass(frozen=True, slots=True)
class Data:
    """Everything the classifiers learn from, one row an exemplar."""

    rows: csr_matrix  # (exemplars, slots(dimension))
    exemplars: list[Exemplar]
    labels: np.ndarray  # (exemplars,) names
    weights: np.ndarray  # (exemplars,)
    judged: np.ndarray  # (exemplars,) false for copies


def main(argv: Sequence[str] | None = None) -> int:
    """Train, report, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="report only, write nothing")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="embedding model: a name or a folder")
    parser.add_argument("--out", type=Path, default=ARTEFACT, help="folder for the classifiers")
    arguments = parser.parse_args(argv)
    if arguments.model != DEFAULT_MODEL and arguments.out == ARTEFACT and not arguments.check:
        parser.error("another model needs --out: the shipped classifiers belong to the default one")
    train(Embedder(arguments.model), None if arguments.check else arguments.out)
    return 0


def train(encoder: Encoder, out: Path | None, exemplars: Path = EXEMPLARS) -> None:
    """Fit the classifiers on the exemplars as `encoder` embeds them, print their figures, and write them to `out`."""
    examples, rows = _read(Reader(encoder, load_lexicon()), exemplars)
    for name in LABELS:
        data = _data(examples, rows, name)
        probabilities = _cross_validate(data)
        temperature = _temperature(probabilities, data)
        _report(name, data, probabilities)
        if out:
            path = save(_fit(data, np.arange(len(data.labels)), temperature), name, encoder, out)
            sys.stdout.write(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, temperature {temperature:.2f}\n")


def matrix(features: Sequence[Features], dimension: int) -> csr_matrix:
    """Return the features as rows of a sparse matrix of shape (len(features), slots(dimension))."""
    ends = np.cumsum([0, *(len(one.columns) for one in features)])
    values = np.concatenate([one.values for one in features])
    columns = np.concatenate([one.columns for one in features])
    return csr_matrix((values, columns, ends), shape=(len(features), slots(dimension)), dtype=np.float32)


def _read(reader: Reader, folder: Path) -> tuple[list[tuple[Exemplar, bool]], csr_matrix]:
    """Return the exemplars, then the copies of some, misspelt or behind a greeting, and the features of all."""
    originals = load_exemplars(folder)
    slips = [replace(one, text=misspelt(one.text)) for one in originals if misspelt(one.text) != one.text]
    exemplars = [(one, False) for one in originals] + [(one, True) for one in (*slips, *opened(originals))]
    texts = [exemplar.text for exemplar, _ in exemplars]
    features: list[Features] = []
    for at in range(0, len(texts), BATCH):
        features += [reading.features for reading in reader.read_many(texts[at : at + BATCH])]
    return exemplars, matrix(features, reader.encoder.dimension)


def _data(exemplars: list[tuple[Exemplar, bool]], rows: csr_matrix, name: str) -> Data:
    labels = np.array([getattr(one, LABELS[name]) for one, _ in exemplars])
    weights = np.array([one.weight * (COPY_WEIGHT if is_copy else 1.0) for one, is_copy in exemplars])
    judged = np.array([not is_copy for _, is_copy in exemplars])
    return Data(rows, [one for one, _ in exemplars], labels, weights, judged)


def _fit(data: Data, chosen: np.ndarray, temperature: float = 1.0) -> Classifier:
    """Train on the chosen rows; rare labels weigh as much as frequent ones up to a square root."""
    counts = Counter(data.labels[chosen].tolist())
    mean = float(np.mean(list(counts.values())))
    balance = {label: (mean / count) ** 0.5 for label, count in counts.items()}
    model = LogisticRegression(C=STRENGTH, max_iter=400, class_weight=balance)
    model.fit(data.rows[chosen], data.labels[chosen], sample_weight=data.weights[chosen])
    weights = np.ascontiguousarray(model.coef_.T, dtype=np.float32)
    return Classifier(tuple(model.classes_.tolist()), weights, model.intercept_.astype(np.float32), temperature)


def _cross_validate(data: Data) -> np.ndarray:
    """Return log-probabilities of shape (exemplars, labels), each row judged by a model that never saw its line."""
    groups = np.array([one.group for one in data.exemplars])
    labels = np.unique(data.labels)
    result = np.zeros((len(data.labels), len(labels)))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=7)
    for learn, judge in folds.split(data.rows, data.labels, groups):
        model = _fit(data, learn)
        scores = data.rows[judge] @ model.weights + model.bias
        result[judge] = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return result


def _temperature(scores: np.ndarray, data: Data) -> float:
    """Return the temperature under which the judged rows are least surprising (Guo et al. 2017)."""
    true = np.searchsorted(np.unique(data.labels), data.labels)

    def surprise(temperature: float) -> float:
        scaled = scores / temperature
        scaled -= np.logaddexp.reduce(scaled, axis=1, keepdims=True)
        return float(-np.mean(scaled[np.arange(len(true)), true][data.judged]))

    return float(minimize_scalar(surprise, bounds=(0.3, 3.0), method="bounded").x)


def _report(name: str, data: Data, scores: np.ndarray) -> None:
    """Print accuracy overall, by language and by label, and the commonest mistakes."""
    labels = np.unique(data.labels)
    guesses = labels[scores.argmax(axis=1)]
    right = guesses == data.labels
    by_language: dict[str, list[bool]] = defaultdict(list)
    by_label: dict[str, list[bool]] = defaultdict(list)
    for one, label, hit, judged in zip(data.exemplars, data.labels, right, data.judged, strict=True):
        if judged:
            by_language[one.language].append(bool(hit))
            by_label[label].append(bool(hit))
    lines = [f"{name}: {int(data.judged.sum())} exemplars, accuracy {right[data.judged].mean():.3f}"]
    lines += ["  " + " ".join(f"{key} {np.mean(hits):.2f}" for key, hits in sorted(by_language.items()))]
    lines += ["  " + " ".join(f"{key} {np.mean(hits):.2f}" for key, hits in sorted(by_label.items()))]
    wrong = Counter(zip(data.labels[data.judged & ~right], guesses[data.judged & ~right], strict=True))
    lines += [f"  {count:3d} {true} taken for {guess}" for (true, guess), count in wrong.most_common(8)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:], (RagError,)))
