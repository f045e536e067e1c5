"""Fit the weights of the sentence checker and write them to weights.json.

Learns from labelled sentences of real answers, from written.jsonl and from sentences made of the pages by rule.

    python -m model.training.train --cases tests/evals/sentences_own.jsonl [--out FILE]

Figures are out of fold, with folds by question; real answers are counted by model. Needs scipy (make setup-full).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from model.checking.signals import NAMES, Signals, signals
from model.checking.verdict import Kind, by_rule, plain, settled
from model.statements.words import is_foreign
from model.training.cases import PAGES, WRITTEN, Case, read_cases
from model.training.rule_made import MADE, rule_made
from rag.command_line import ended
from rag.errors import RagError

OUT = Path(__file__).parents[1] / "checking" / "weights.json"
HAND_WRITTEN = Path(__file__).with_name("written.jsonl")
FOLDS = 8
REAL_WEIGHT = 3.0  # of a sentence of a real answer
WEIGHTS = {"real": 0.0, WRITTEN: 200.0, MADE: 80.0}  # of all sentences written, and made by rule, to be turned
BAD_SHARE = 0.4  # of the rule-made sentences, by weight
_MORE = (
    "missing_figures missing_names loose turned surely unconditional other_release answer replaced"
    " replaced_words subject crossed contrast exchanged affirms"
).split()
_LESS = "near news together in_order denies".split()
BAD_SIGNS = dict.fromkeys(_MORE, 1) | dict.fromkeys(_LESS, -1)  # of a weight for what does not hold
_BOUNDS = {1: (0.0, None), -1: (None, 0.0), 0: (None, None)}
STRENGTH = 0.2  # of the fit; the smaller, the nearer to zero are the weights
DECIMALS = 4


def main(argv: Sequence[str]) -> int:
    """Fit, print the figures, write the file."""
    options = _parser().parse_args(argv)
    cases = [case for path in (HAND_WRITTEN, *options.cases) for case in read_cases(path)]
    labelled = [case for case in cases if case.form != "code" and not is_foreign(case.sentence)]
    rows = [_Row(case, *_measured(case)) for case in (*labelled, *rule_made(options.pages, options.made))]
    open_ = [row for row in rows if row.decided is None]
    x = np.array([row.measured.values for row in open_])
    origin = np.array([row.case.model if row.case.model in WEIGHTS else "real" for row in open_])
    real = origin == "real"
    folds = np.unique([row.case.question for row in open_], return_inverse=True)[1]
    bad = np.array([row.case.label != "holds" for row in open_])
    weight = _weight(origin, bad)
    p_bad = _out_of_fold(x, bad, weight, folds, BAD_SIGNS)
    bad_above = _threshold(p_bad[real], bad[real])
    marked = dict(zip(map(id, open_), p_bad >= bad_above, strict=True))
    for model in sorted({row.case.model for row in rows}):
        some = [row for row in rows if row.case.model == model]
        print(
            f"{model:20}",
            _figures([(marked.get(id(row), row.decided not in {"holds", None}), row.case) for row in some])
            + _left_out([row.case for row in some if row.decided == "against"]),
        )
    data = {"bad": _named(_fitted(x, bad, weight, BAD_SIGNS)), "bad_above": bad_above}
    options.out.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    return 0


@dataclass(frozen=True, slots=True)
class _Row:
    case: Case
    decided: Kind | None  # where no weights are asked
    measured: Signals


def _measured(case: Case) -> tuple[Kind | None, Signals]:
    """Return what a sentence measures, behind its verdict where no weights decide about it."""
    sentence, evidence = plain(case.sentence), case.given.everything()
    measured = signals(sentence, evidence, case.given.question, case.before)
    return ("holds" if settled(sentence, evidence, case.before) else by_rule(measured)), measured


def _weight(origin: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return the weight of each sentence: by WEIGHTS with BAD_SHARE for bad ones, or REAL_WEIGHT of a real answer."""
    weight = np.zeros(len(bad))
    for name, in_all in WEIGHTS.items():
        for of_bad in (True, False):
            some = (origin == name) & (bad == of_bad)
            share = in_all * (BAD_SHARE if of_bad else 1 - BAD_SHARE) / max(1, some.sum())
            weight[some] = REAL_WEIGHT if name == "real" else share
    return weight


def _fitted(x: np.ndarray, y: np.ndarray, weight: np.ndarray, signs: Mapping[str, int]) -> np.ndarray:
    """Return logistic weights (len(NAMES) + 1,), the constant last; none takes the other side than its sign allows.

    A few hundred sentences say too little to overrule what a signal means.
    """
    scale = x.std(axis=0) + 1e-6
    inputs = np.hstack([x / scale, np.ones((len(x), 1))])
    target = np.where(y, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = target * (inputs @ weights)
        held = weights[:-1] / STRENGTH
        gradient = inputs.T @ (-target * weight * expit(-margin))
        return float(weight @ np.logaddexp(0.0, -margin) + held @ weights[:-1] / 2), gradient + np.append(held, 0.0)

    bounds = [_BOUNDS[signs.get(name, 0)] for name in NAMES]
    found = minimize(loss, np.zeros(len(NAMES) + 1), jac=True, bounds=[*bounds, (None, None)], method="L-BFGS-B").x
    return np.append(found[:-1] / scale, found[-1])


def _out_of_fold(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, folds: np.ndarray, signs: Mapping[str, int]
) -> np.ndarray:
    found = np.zeros(len(y))
    for fold in range(FOLDS):
        asked = folds % FOLDS == fold
        weights = _fitted(x[~asked], y[~asked], weight[~asked], signs)
        found[asked] = expit(x[asked] @ weights[:-1] + weights[-1])
    return found


def _threshold(p: np.ndarray, bad: np.ndarray) -> float:
    """Return the probability from which as much is marked as does not hold: precision and recall are equal there."""
    return round(float(np.sort(p)[-int(bad.sum())]), 3)


def _named(weights: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), DECIMALS) for name, value in zip((*NAMES, ""), weights, strict=True)}


def _figures(rows: Sequence[tuple[bool, Case]]) -> str:
    marked = [case for found, case in rows if found]
    bad = [case for _, case in rows if case.label != "holds"]
    right = [case for case in marked if case.label != "holds"]
    against = [case for case in bad if case.label == "against"]
    return (
        f"{len(rows)} sentences, {len(bad)} bad: precision {len(right) / max(1, len(marked)):.2f}, "
        f"recall {len(right) / max(1, len(bad)):.2f}, "
        f"contradictions {sum(case in right for case in against)} of {len(against)}"
    )


def _left_out(cases: Sequence[Case]) -> str:
    return f", left out {len(cases)}, of which {sum(case.label == 'holds' for case in cases)} hold"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.training.train", description="Fit the sentence checker.")
    parser.add_argument(
        "--cases", type=Path, nargs="+", required=True, help="labelled sentences, one JSON object a line"
    )
    parser.add_argument("--pages", type=Path, default=PAGES, help="folder of pages to make sentences from")
    parser.add_argument("--made", type=int, default=1_000, help="sentences to make from them")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:], (RagError,)))
