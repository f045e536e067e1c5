"""Whether a run is worse than an earlier one, by ratios beyond a tolerance."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOWER_IS_BETTER = ("first_token_sum_s", "warm_lead_first_token_s", "longest_pause_s", "stop_until_idle_s", "rss_mb",
                   "restart_read_tokens", "build_s", "load_s", "search_ms", "search_p95_ms")  # fmt: skip
HIGHER_IS_BETTER = ("decode_tokens_per_s", "prefill_tokens_per_s")


def main(argv: Sequence[str]) -> int:
    """Print a line a figure; 1 when one got worse by more than the tolerance, 2 when the files do not fit."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks compare")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.2)
    options = parser.parse_args(argv)
    try:
        old, new = json.loads(options.old.read_text()), json.loads(options.new.read_text())
        if old["model"] != new["model"]:
            raise ValueError(f"{old['model']} and {new['model']} are different models")
        ratios = worsening(old, new)
    except (OSError, ValueError, KeyError) as error:
        print(f"cannot compare: {error}")
        return 2
    for name, ratio in ratios.items():
        print(f"{name:28} {old[name]:>10} -> {new[name]:>10}  {'WORSE' if ratio > 1 + options.tolerance else 'ok'}")
    return int(any(ratio > 1 + options.tolerance for ratio in ratios.values()))


def worsening(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, float]:
    """For each figure that both runs have how much worse it became: 1.0 as before, 1.5 half as bad again."""
    lower = {name: new[name] / old[name] for name in LOWER_IS_BETTER if old.get(name) and name in new}
    higher = {name: old[name] / new[name] for name in HIGHER_IS_BETTER if old.get(name) and new.get(name)}
    if not lower | higher:
        raise ValueError("the files share no figure")
    return lower | higher
