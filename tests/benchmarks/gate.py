"""Whether a change made a benchmark slower, against several runs of main on the same machine.

    python -m tests.benchmarks.gate --old A1.json ... A5.json --new B1.json ... B5.json

A figure fails when its median got worse by more than a fifth and lies outside everything that the old runs gave. Both
are asked for: the ratio alone fails on noise, the spread alone on changes too small to matter. Runs of several
benchmarks may be mixed; they are told apart by their `model`. One that main does not have yet is shown, not judged.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rag.command_line import ended
from tests.benchmarks.compare import HIGHER_IS_BETTER, LOWER_IS_BETTER

RUNS = 5  # fewer give no spread to speak of
TOLERANCE = 0.2

Run = Mapping[str, Any]


class RunsUnfit(ValueError):
    """The runs cannot be compared; the message says why."""


class Verdict(NamedTuple):
    """One figure before and after, as medians; `worsening` is 1.0 for no change and 1.5 for half as bad again."""

    name: str
    old: float
    new: float
    worsening: float
    in_spread: bool  # whether the new median lies within what the old runs gave

    @property
    def fails(self) -> bool:
        """Worse by more than the tolerance, and not explained by noise."""
        return self.worsening > 1 + TOLERANCE and not self.in_spread


def judge_all(old: Sequence[Run], new: Sequence[Run]) -> dict[str, list[Verdict]]:
    """Benchmark -> its verdicts; none for a benchmark that main does not have yet. Raises RunsUnfit."""
    names = sorted({str(run.get("model")) for run in new})
    if lost := sorted({str(run.get("model")) for run in old} - set(names)):
        raise RunsUnfit(f"the new runs lack {', '.join(lost)}; a benchmark that is gone cannot pass")
    found = {name: (_of(name, old), _of(name, new)) for name in names}
    return {name: judge(before, after) if before else [] for name, (before, after) in found.items()}


def _of(name: str, runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if str(run.get("model")) == name]


def judge(old: Sequence[Run], new: Sequence[Run]) -> list[Verdict]:
    """A verdict for each figure that every old run of one benchmark has. Raises RunsUnfit."""
    if len(old) < RUNS or len(new) < RUNS:
        raise RunsUnfit(f"{len(old)} old and {len(new)} new runs; {RUNS} of each are needed")
    models = {str(run.get("model")) for run in [*old, *new]}
    if len(models) > 1:
        raise RunsUnfit(f"the runs are of different models: {', '.join(sorted(models))}")
    names = [name for name in (*LOWER_IS_BETTER, *HIGHER_IS_BETTER) if all(run.get(name) for run in old)]
    if not names:
        raise RunsUnfit("the old runs share no figure; run the benchmark again")
    if lost := [name for name in names if not all(run.get(name) for run in new)]:
        raise RunsUnfit(f"the new runs lack {', '.join(lost)}; a figure that is gone cannot pass")
    return [_verdict(name, [float(run[name]) for run in old], [float(run[name]) for run in new]) for name in names]


def _verdict(name: str, old: Sequence[float], new: Sequence[float]) -> Verdict:
    before, after = statistics.median(old), statistics.median(new)
    worsening = before / after if name in HIGHER_IS_BETTER else after / before
    return Verdict(name, before, after, worsening, min(old) <= after <= max(old))


def main(argv: Sequence[str]) -> int:
    """Print a line a figure; 0 pass, 1 slower, 2 the runs cannot be compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, nargs="+", required=True)
    parser.add_argument("--new", type=Path, nargs="+", required=True)
    options = parser.parse_args(argv)
    try:
        old, new = _read(options.old), _read(options.new)
        verdicts = judge_all(old, new)
    except (OSError, ValueError) as error:
        print(f"cannot compare: {error}", file=sys.stderr)
        return 2
    for name, rows in verdicts.items():
        print(name if rows else f"{name}: main does not have it yet, nothing to compare with")
        print(*map(_line, rows), sep="\n")
    return int(any(v.fails for rows in verdicts.values() for v in rows))


def _line(v: Verdict) -> str:
    state = "SLOWER" if v.fails else "noise" if v.worsening > 1 + TOLERANCE else "ok"
    return f"  {v.name:26} {v.old:>10.3f} -> {v.new:>10.3f}  x{v.worsening:.2f}  {state}"


def _read(paths: Sequence[Path]) -> list[Run]:
    runs = [json.loads(path.read_text("utf-8")) for path in paths]
    if not all(isinstance(run, dict) for run in runs):
        raise RunsUnfit("a run is no JSON object; write it with --json")
    return runs


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
