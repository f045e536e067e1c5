"""Whether a commit passed everything on main, from GitHub's list of its check runs.

main_green.py CHECKS.json         0 when every run ended well and the required ones are there
main_green.py --prerelease TAG    the flag for `gh release create`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from command_line import ended
from tags import TagRefused, parse

REQUIRED = ("linters and types", "tests, ", "tests in a browser", "push what was checked")  # beginnings of names
_FINE = {"success", "skipped", "neutral"}


def problems(checks: Mapping[str, Any]) -> list[str]:
    """A sentence for each run that is not green, and each required one that is missing; [] when main is green."""
    runs = checks.get("check_runs") or []
    names = [run["name"].rpartition(" / ")[2] for run in runs if run["conclusion"] == "success"]
    bad = [f"{run['name']} is {run['conclusion'] or run['status']}" for run in runs if run["conclusion"] not in _FINE]
    ours = [text for text in bad if not text.startswith("tag, version, changelog")]  # this very job is still running
    missing = [f"no run of {one!r} succeeded" for one in REQUIRED if not any(name.startswith(one) for name in names)]
    if checks.get("total_count", 0) > len(runs):
        missing.append(f"only {len(runs)} of {checks['total_count']} runs were read")
    return ours + missing


def main(argv: Sequence[str]) -> int:
    """Answer one of the two questions; 1 when main is not green, 2 when that cannot be told."""
    try:
        if argv[0] == "--prerelease":
            print("--prerelease" if parse(argv[1]).prerelease else "")
            return 0
        found = problems(json.loads(Path(argv[0]).read_text("utf-8")))
    except (OSError, ValueError, KeyError, IndexError, TagRefused) as error:
        print(f"cannot tell: {error!r:.300}", file=sys.stderr)
        return 2
    print(*(found or ["main is green"]), sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
