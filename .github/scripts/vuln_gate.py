"""Pass or fail on what scanners found.

    vuln_gate.py REPORT.json... [--waivers .github/waivers.toml]

Fails (1) on a vulnerability of severity High or Critical that has a fix and no valid waiver, and (2) on a report or a
waiver that proves nothing: empty, unparsable, skipped, stale, without reason, expired, or good for over 90 days.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from command_line import ended
from scan_reports import ReportUnusable, Vulnerability, read_report

FAILING = {"high", "critical"}
LONGEST = timedelta(days=90)  # long enough for a release of the package, short enough to be looked at again


class WaiverInvalid(ValueError):
    """A waiver may not be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """Leave to ship with a known weakness for a while."""

    id: str
    reason: str
    expires: date


def read_waivers(path: Path, today: date) -> list[Waiver]:
    """Read `[[waiver]]` tables; [] when there is no file. Raises WaiverInvalid for one that may not be used."""
    if not path.is_file():
        return []
    try:
        tables = tomllib.loads(path.read_text("utf-8")).get("waiver", [])
    except tomllib.TOMLDecodeError as error:
        raise WaiverInvalid(f"{path.name} is no TOML: {error}") from error
    return [_waiver(table, today) for table in tables]


def _waiver(table: dict[str, Any], today: date) -> Waiver:
    try:
        waiver = Waiver(str(table["id"]), str(table["reason"]).strip(), table["expires"])
    except KeyError as error:
        raise WaiverInvalid(f"a waiver needs id, reason and expires; {error} is missing") from error
    if type(waiver.expires) is not date:
        raise WaiverInvalid(f"the waiver of {waiver.id} expires on {waiver.expires!r}; write a date, 2026-01-31")
    if len(waiver.reason.split()) < 3:
        raise WaiverInvalid(f"the waiver of {waiver.id} has no reason; say why the image is not affected")
    if waiver.expires < today:
        raise WaiverInvalid(f"the waiver of {waiver.id} expired on {waiver.expires}; update the package or renew it")
    if waiver.expires - today > LONGEST:
        raise WaiverInvalid(f"the waiver of {waiver.id} runs longer than {LONGEST.days} days; shorten it")
    return waiver


def failing(found: Sequence[Vulnerability], waivers: Sequence[Waiver]) -> list[Vulnerability]:
    """What must not ship: High or worse, fixable, and not waived."""
    waived = {waiver.id for waiver in waivers}
    return [one for one in found if one.severity in FAILING and one.fixed_in and not one.names & waived]


def main(argv: Sequence[str]) -> int:
    """Print what fails; 0 pass, 1 fail, 2 the reports or waivers prove nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--waivers", type=Path, default=Path(".github/waivers.toml"))
    options = parser.parse_args(argv)
    now = datetime.now(UTC)
    try:
        waivers = read_waivers(options.waivers, now.date())
        found = [one for report in options.reports for one in read_report(report, now)]
    except (ReportUnusable, WaiverInvalid, KeyError, AttributeError) as error:
        print(f"no verdict: {error}", file=sys.stderr)
        return 2
    bad = failing(found, waivers)
    for one in bad:
        print(f"{one.severity:8} {one.id} {one.package} {one.version}, fixed in {one.fixed_in}")
    print(f"{len(found)} known, {len(bad)} failing, {len(waivers)} waivers")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
