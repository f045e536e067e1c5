"""Hand the waivers of known vulnerabilities to the scanners, which judge by themselves.

    waivers.py grype|pip-audit [FILE]     grype's configuration, or options for pip-audit

Neither scanner knows a waiver that ends. A waiver needs a reason and a date within 90 days; otherwise this fails, and
with it the scan.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

LONGEST = timedelta(days=90)  # long enough for a release of the package, short enough to be looked at again


def fault(waiver: dict[str, Any], today: date) -> str:
    """What is wrong with a waiver, or ""."""
    if set(waiver) != {"id", "reason", "expires"} or type(waiver["expires"]) is not date:
        return f"{waiver}: give id, reason and expires = 2026-01-31"
    if len(str(waiver["reason"]).split()) < 3:
        return f"{waiver['id']} has no reason; say why the image is not affected"
    if not today <= waiver["expires"] <= today + LONGEST:
        return f"{waiver['id']} ends on {waiver['expires']}; it must end within {LONGEST.days} days from today"
    return ""


def main(argv: Sequence[str], today: date | None = None) -> int:
    """Print what the scanner reads; 1 with a sentence for each waiver that may not be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scanner", choices=["grype", "pip-audit"])
    parser.add_argument("file", type=Path, nargs="?", default=Path(".github/waivers.toml"))
    options = parser.parse_args(argv)
    try:
        waivers = tomllib.loads(options.file.read_text("utf-8")).get("waiver", [])
    except (OSError, ValueError) as error:
        print(f"{options.file} cannot be read: {error}", file=sys.stderr)
        return 1
    if faults := [text for one in waivers if (text := fault(one, today or datetime.now(UTC).date()))]:
        print(*faults, sep="\n", file=sys.stderr)
        return 1
    if options.scanner == "grype":
        print(json.dumps({"ignore": [{"vulnerability": one["id"], "reason": one["reason"]} for one in waivers]}))
    else:
        print(*(f"--ignore-vuln {one['id']}" for one in waivers))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
