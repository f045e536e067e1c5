"""Reports of grype, trivy and pip-audit in one form. A report that shows no scan took place raises ReportUnusable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

MAX_AGE = timedelta(days=5)  # grype and trivy renew their data daily; five days old means that the update fails
UNRATED = "high"  # pip-audit rates nothing, and an unknown rating must not pass as harmless

Tree = Mapping[str, Any]


class ReportUnusable(ValueError):
    """A report proves nothing; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One known weakness of one package."""

    id: str
    package: str
    version: str
    severity: str  # critical, high, medium, low, negligible or unknown
    fixed_in: str  # "" when there is no fix yet
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """Every identifier under which it may be waived."""
        return {self.id, *self.aliases}


def read_report(path: Path, now: datetime) -> list[Vulnerability]:
    """Read a report of any of the three scanners. Raises ReportUnusable: empty, unknown, skipped or stale."""
    try:
        tree = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ReportUnusable(f"{path.name} cannot be read ({error}); run the scanner again") from error
    for marks, reader in _READERS:
        if isinstance(tree, dict) and marks <= tree.keys():
            return list(reader(tree, path, now))
    raise ReportUnusable(f"{path.name} is no report of grype, trivy or pip-audit; write it as JSON")


def _grype(tree: Tree, path: Path, now: datetime) -> Iterator[Vulnerability]:
    database = tree["descriptor"].get("db") or {}
    built = database.get("built") or (database.get("status") or {}).get("built")
    _fresh(built, path, now)
    if not tree["matches"]:
        raise ReportUnusable(f"{path.name} matches nothing, not even what has no fix; was the image scanned?")
    for match in tree["matches"]:
        weakness, artifact = match["vulnerability"], match["artifact"]
        fix = weakness.get("fix") or {}
        yield Vulnerability(
            weakness["id"],
            artifact["name"],
            artifact["version"],
            str(weakness.get("severity", "unknown")).lower(),
            ", ".join(fix.get("versions") or ()) if fix.get("state") == "fixed" else "",
            tuple(related["id"] for related in match.get("relatedVulnerabilities") or ()),
        )


def _trivy(tree: Tree, path: Path, now: datetime) -> Iterator[Vulnerability]:
    """The report has no date of the database; `trivy version --format json` under the key Database brings it in."""
    _fresh((tree.get("Database") or {}).get("UpdatedAt"), path, now)
    if not tree["Results"]:
        raise ReportUnusable(f"{path.name} has no results; was the image scanned?")
    for result in tree["Results"]:
        for row in result.get("Vulnerabilities") or ():
            yield Vulnerability(
                row["VulnerabilityID"],
                row["PkgName"],
                row["InstalledVersion"],
                str(row.get("Severity", "unknown")).lower(),
                row.get("FixedVersion", ""),
            )


def _pip_audit(tree: Tree, path: Path, now: datetime) -> Iterator[Vulnerability]:
    """It asks a live service, so the file's own date is the data's."""
    _fresh(datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(), path, now)
    if not tree["dependencies"]:
        raise ReportUnusable(f"{path.name} names no package; was anything audited?")
    for row in tree["dependencies"]:
        if "skip_reason" in row:
            raise ReportUnusable(f"{path.name} skipped {row['name']}: {row['skip_reason']}")
        for weakness in row["vulns"]:
            fixed_in = ", ".join(weakness["fix_versions"])
            aliases = tuple(weakness.get("aliases") or ())
            yield Vulnerability(weakness["id"], row["name"], row["version"], UNRATED, fixed_in, aliases)


def _fresh(built: str | None, path: Path, now: datetime) -> None:
    try:
        age = now - datetime.fromisoformat(built or "")
    except (ValueError, TypeError) as error:
        raise ReportUnusable(f"{path.name} does not say how old its data is; update the scanner") from error
    if age > MAX_AGE:
        raise ReportUnusable(f"{path.name} rests on data {age.days} days old; update the scanner's database")


_READERS: tuple[tuple[set[str], Callable[[Tree, Path, datetime], Iterator[Vulnerability]]], ...] = (
    ({"matches", "descriptor"}, _grype),
    ({"SchemaVersion", "Results"}, _trivy),
    ({"dependencies"}, _pip_audit),
)
