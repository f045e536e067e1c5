"""The gate on scanners' reports: what must fail fails, and a report that proves nothing never passes."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scan_reports import MAX_AGE, ReportUnusable, Vulnerability, read_report
from vuln_gate import Waiver, WaiverInvalid, failing, main, read_waivers

NOW = datetime.now(UTC)
TODAY = NOW.date()


def grype(severity: str = "High", state: str = "fixed", built: str = "", matches: int = 1) -> dict[str, Any]:
    """The parts of `grype -o json` (schema 16) that carry the verdict."""
    match = {
        "vulnerability": {
            "id": "GHSA-aaaa-bbbb-cccc",
            "severity": severity,
            "fix": {"state": state, "versions": ["3.0.14-1"] if state == "fixed" else []},
        },
        "relatedVulnerabilities": [{"id": "CVE-2026-1111"}],
        "artifact": {"name": "openssl", "version": "3.0.13-1"},
    }
    status = {"schemaVersion": "v6.1.9", "built": built or NOW.isoformat().replace("+00:00", "Z"), "valid": True}
    descriptor = {"name": "grype", "version": "0.118.0", "db": {"status": status}}
    return {"matches": [match] * matches, "source": {"type": "image"}, "descriptor": descriptor}


def trivy(severity: str = "HIGH", fixed: str = "3.0.14-1", updated: str | None = None) -> dict[str, Any]:
    row = {"VulnerabilityID": "CVE-2026-1111", "PkgName": "openssl", "InstalledVersion": "3.0.13-1",
           "FixedVersion": fixed, "Severity": severity}  # fmt: skip
    return {
        "SchemaVersion": 2,
        "Results": [{"Target": "image (debian 12)", "Vulnerabilities": [row]}, {"Target": "python", "Class": "lang"}],
        "Database": {"UpdatedAt": NOW.isoformat() if updated is None else updated},
    }


def pip_audit(fixes: tuple[str, ...] = ("2.0",), skipped: bool = False) -> dict[str, Any]:
    weakness = {"id": "PYSEC-2026-7", "fix_versions": list(fixes), "aliases": ["CVE-2026-2222"], "description": ""}
    rows: list[dict[str, Any]] = [{"name": "leaky", "version": "1.0", "vulns": [weakness]},
                                  {"name": "sound", "version": "1.0", "vulns": []}]  # fmt: skip
    if skipped:
        rows.append({"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited"})
    return {"dependencies": rows, "fixes": []}


def saved(folder: Path, tree: object) -> Path:
    path = folder / "report.json"
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return path


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (grype("High"), 1),
        (grype("Critical"), 1),
        (grype("Medium"), 0),
        (grype("High", state="not-fixed"), 0),
        (grype("Critical", state="wont-fix"), 0),
        (trivy("HIGH"), 1),
        (trivy("CRITICAL"), 1),
        (trivy("MEDIUM"), 0),
        (trivy("HIGH", fixed=""), 0),
        (pip_audit(), 1),  # unrated counts as high
        (pip_audit(fixes=()), 0),
    ],
)
def test_a_fixable_high_fails_and_nothing_else_does(tmp_path: Path, report: object, code: int) -> None:
    assert main([str(saved(tmp_path, report)), "--waivers", str(tmp_path / "none")]) == code


@pytest.mark.parametrize(
    ("report", "why"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "no report of"),
        ({}, "no report of"),
        ({"matches": []}, "no report of"),
        (grype(matches=0), "matches nothing"),
        (grype(built="2020-01-01T00:00:00Z"), "days old"),
        (grype(built="yesterday"), "how old"),
        ({**grype(), "descriptor": {"name": "grype"}}, "how old"),
        ({**trivy(), "Results": []}, "no results"),
        ({**trivy(), "Results": None}, "no results"),
        (trivy(updated=""), "how old"),
        (trivy(updated="2026-01-01T00:00:00+00:00"), "days old"),
        ({"dependencies": []}, "names no package"),
        (pip_audit(skipped=True), "skipped torch"),
    ],
)
def test_a_report_that_proves_nothing_is_no_pass(
    tmp_path: Path, report: object, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, report)
    with pytest.raises(ReportUnusable, match=why):
        read_report(path, NOW)
    assert main([str(path), "--waivers", str(tmp_path / "none")]) == 2
    assert "no verdict" in capsys.readouterr().err


def test_a_report_that_is_not_there_is_no_pass(tmp_path: Path) -> None:
    assert main([str(tmp_path / "missing.json")]) == 2


def test_one_bad_report_among_good_ones_is_no_pass(tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    good.write_text(json.dumps(grype("Low")))
    assert main([str(good), str(saved(tmp_path, "{"))]) == 2


def test_an_old_pip_audit_report_is_stale(tmp_path: Path) -> None:
    path = saved(tmp_path, pip_audit(fixes=()))
    past = (NOW - MAX_AGE - timedelta(days=1)).timestamp()
    os.utime(path, (past, past))
    with pytest.raises(ReportUnusable, match="6 days old"):
        read_report(path, NOW)


@pytest.mark.parametrize("name", ["GHSA-aaaa-bbbb-cccc", "CVE-2026-1111"])
def test_a_waiver_counts_under_every_name_of_the_weakness(tmp_path: Path, name: str) -> None:
    waivers = tmp_path / "waivers.toml"
    expires = TODAY + timedelta(days=30)
    waivers.write_text(f'[[waiver]]\nid = "{name}"\nreason = "TLS ends at the proxy"\nexpires = {expires}\n')
    assert main([str(saved(tmp_path, grype())), "--waivers", str(waivers)]) == 0
    assert main([str(saved(tmp_path, pip_audit())), "--waivers", str(waivers)]) == 1


def test_a_waiver_covers_its_own_id_only() -> None:
    found = [Vulnerability(f"CVE-2026-{n}", "a", "1", "high", "2") for n in (1, 2)]
    assert [one.id for one in failing(found, [Waiver("CVE-2026-1", "not reachable here", TODAY)])] == ["CVE-2026-2"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('id = "A"\nexpires = 2026-02-01', "'reason' is missing"),
        ('reason = "not reachable here"\nexpires = 2026-02-01', "'id' is missing"),
        ('id = "A"\nreason = "not reachable here"', "'expires' is missing"),
        ('id = "A"\nreason = "later"\nexpires = 2026-02-01', "no reason"),
        ('id = "A"\nreason = "not reachable here"\nexpires = "soon"', "write a date"),
        ('id = "A"\nreason = "not reachable here"\nexpires = 2026-02-01T00:00:00Z', "write a date"),
        ('id = "A"\nreason = "not reachable here"\nexpires = 2025-12-31', "expired"),
        ('id = "A"\nreason = "not reachable here"\nexpires = 2026-04-02', "longer than 90 days"),
    ],
)
def test_a_waiver_without_reason_or_end_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(f"[[waiver]]\n{text}\n")
    with pytest.raises(WaiverInvalid, match=why):
        read_waivers(path, date(2026, 1, 1))


def test_a_waiver_may_run_ninety_days_to_the_day(tmp_path: Path) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text('[[waiver]]\nid = "A"\nreason = "not reachable here"\nexpires = 2026-04-01\n')
    assert [waiver.expires for waiver in read_waivers(path, date(2026, 1, 1))] == [date(2026, 4, 1)]


def test_the_committed_waivers_may_be_used() -> None:
    read_waivers(Path(__file__).parents[2] / ".github" / "waivers.toml", TODAY)
