"""The sentence checker measured on labelled sentences.

    python -m tests.evals grounding [--cases FILE.jsonl ...] [--json] [--misses]

A row has `sentence`, `form` ("text", or "code" for a line of a shell block), `before`, `question`, `passages` (ids of
sentences_passages.jsonl beside the file), `label` (holds, not_found, against), `kind`, `harmful` and `model`.
A sentence that does not hold counts as found whatever it is taken for; "as against" counts those that are left out.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.checking.attribution import citations, uncited
from model.checking.verdict import SentenceChecker, Verdict
from model.statements.evidence import Given
from model.training.cases import Case, read_cases
from tests.evals.figures import mean, parser, show

OWN = Path(__file__).with_name("sentences_own.jsonl")


@dataclass(frozen=True, slots=True)
class Judged:
    """One labelled sentence with its verdict."""

    case: Case
    verdict: Verdict
    ms: float

    @property
    def bad(self) -> bool:
        return self.case.label != "holds"

    @property
    def marked(self) -> bool:
        return self.verdict.kind != "holds"


def main(argv: Sequence[str]) -> int:
    """Judge every sentence and print the figures."""
    given = parser("grounding", __doc__, misses="the sentences that are taken for what they are not")
    given.add_argument(
        "--cases", type=Path, nargs="+", default=[OWN], help="labelled sentences, one JSON object a line"
    )
    options = given.parse_args(argv)
    judged = judge([case for path in options.cases for case in read_cases(path)])
    show(measure(judged), options)
    if options.misses:
        for one in judged:
            if one.bad != one.marked:
                print(f"{one.case.label:9} -> {one.verdict.kind:9} {one.case.kind:12} {one.case.sentence}")
                print(f"{'':23} [{one.verdict.source}] {one.verdict.evidence[:200]}")
    return 0


def judge(cases: Sequence[Case]) -> list[Judged]:
    """Return the verdicts; one checker serves all sentences of an answer, as in a turn."""
    checkers: dict[Given, SentenceChecker] = {}
    found = []
    for case in cases:
        if case.given not in checkers:
            checkers[case.given] = SentenceChecker(case.given)
            checkers[case.given].judge("Its evidence is read once, before the answer begins.")
        checker = checkers[case.given]
        start = time.thread_time()
        verdict = checker.judge_command(case.sentence) if case.form == "code" else _verdict_on(checker, case)
        found.append(Judged(case, verdict, (time.thread_time() - start) * 1000))
    return found


def _verdict_on(checker: SentenceChecker, case: Case) -> Verdict:
    """Return the verdict as a turn asks for it: by the passages cited, or by all where those do not bear it out."""
    verdict = checker.judge(case.sentence, case.before, case.after)
    if verdict.kind == "holds" or not citations(case.sentence):
        return verdict
    return checker.judge(uncited(case.sentence), case.before, case.after)


def measure(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return precision and recall of what does not hold, what was found of it by kind, and the time a sentence takes."""
    bad, marked = [one for one in judged if one.bad], [one for one in judged if one.marked]
    against = [one for one in judged if one.case.label == "against"]
    left_out = [one for one in judged if one.verdict.kind == "against"]
    return {
        "sentences": len(judged),
        "bad": len(bad),
        "precision": mean([one.bad for one in marked]),
        "recall": mean([one.marked for one in bad]),
        "contradictions_found": _of([one.marked for one in against]),
        "contradictions_as_against": _of([one.verdict.kind == "against" for one in against]),
        "harmful_found": _of([one.marked for one in bad if one.case.harmful]),
        "harmful_as_against": _of([one.verdict.kind == "against" for one in bad if one.case.harmful]),
        "false_alarms": len(marked) - sum(one.bad for one in marked),
        "left_out": len(left_out),
        "left_out_that_hold": sum(not one.bad for one in left_out),
        "by_kind": _by(bad, lambda one: one.case.kind),
        "by_model": {
            model: {
                "precision": mean([one.bad for one in some if one.marked]),
                "recall": mean([one.marked for one in some if one.bad]),
            }
            for model in sorted({one.case.model for one in judged})
            for some in [[one for one in judged if one.case.model == model]]
        },
        "by_form": _by(bad, lambda one: one.case.form),
        "ms_mean": round(statistics.mean(one.ms for one in judged), 2),
        "ms_p95": round(sorted(one.ms for one in judged)[int(0.95 * (len(judged) - 1))], 2),
    }


def _by(bad: Sequence[Judged], name: Callable[[Judged], str]) -> dict[str, str]:
    found: dict[str, list[bool]] = defaultdict(list)
    for one in bad:
        found[name(one) or "-"].append(one.marked)
    return {kind: _of(hits) for kind, hits in sorted(found.items())}


def _of(hits: Sequence[bool]) -> str:
    return f"{sum(hits)} of {len(hits)}"
