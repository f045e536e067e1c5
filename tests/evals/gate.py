"""Whether an evaluation's figures reach the committed thresholds.

    python -m tests.evals.gate NAME RESULT.json [THRESHOLDS.toml]

The file has a table per evaluation; `figure = 0.9` is a floor, `figure_max = 0.1` a ceiling. A dot goes one level down
in the result. A figure that the result lacks fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rag.command_line import ended

CEILING = "_max"


def breaches(result: Mapping[str, Any], thresholds: Mapping[str, float]) -> list[str]:
    """A sentence for each threshold that is not reached; [] when all are."""
    return [text for name, limit in thresholds.items() if (text := _breach(result, name, limit))]


def _breach(result: Mapping[str, Any], name: str, limit: float) -> str:
    figure = name.removesuffix(CEILING)
    value: Any = result
    for part in figure.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{figure} is not in the result"
    if name.endswith(CEILING):
        return f"{figure} is {value}, over {limit}" if value > limit else ""
    return f"{figure} is {value}, under {limit}" if value < limit else ""


def main(argv: Sequence[str]) -> int:
    """Print the verdict; 0 pass, 1 below a threshold, 2 nothing to judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("result", type=Path)
    parser.add_argument("thresholds", type=Path, nargs="?", default=Path(".github/thresholds.toml"))
    options = parser.parse_args(argv)
    name = options.name
    try:
        thresholds = tomllib.loads(options.thresholds.read_text("utf-8"))[name]
        found = breaches(json.loads(options.result.read_text("utf-8")), thresholds)
    except (OSError, ValueError, KeyError) as error:
        print(f"cannot judge {name}: {error}", file=sys.stderr)
        return 2
    print(*found, f"{name}: {len(thresholds)} thresholds, {len(found)} not reached", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
