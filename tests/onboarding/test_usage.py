"""Counts: they survive a restart and a bad disk, stay small, and report what happened."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model.engine.events import Counts, FinishReason, Timings
from model.turn.chat import TurnRecord
from onboarding.__main__ import run
from onboarding.feedback.row import FeedbackRow
from onboarding.feedback.store import Store
from onboarding.tours.content import load_tours
from onboarding.ui.tabs.usage_charts import lines
from onboarding.usage.counted import CountedSandbox
from onboarding.usage.ledger import DAILY_DAYS, DAY_HOURS, HOURLY_DAYS, Key, Ledger, LedgerTrouble
from onboarding.usage.ledger_writer import GAUGES, LedgerWriter, ledger_in
from onboarding.usage.recorder import DAY_S, Usage
from onboarding.usage.summary import Summary, first_hour, summarise

NOON = 20_000 * DAY_S + 12 * 3600.0  # some day at twelve
HOUR = int(NOON // 3600)
TOURS = {"rhel10": 3, "plugins": 2}


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def usage(clock: Clock) -> Usage:
    return Usage(["rhel10", "deploy"], ["service_status"], TOURS, clock)


def record(
    route: str = "rhel10", reason: FinishReason = "stop", *, abstained: bool = False, first: float | None = 4.0
) -> TurnRecord:
    counts = Counts(0, 0, 0) if abstained else Counts(900, 300, 41)
    timings = Timings(0.5, None if abstained else first, 0.1 if abstained or first is None else first + 5)
    return TurnRecord(route, "" if abstained else "Model", reason, counts, timings, ("p",), (), abstained, 0)


def summary(writer: LedgerWriter, clock: Clock, days: int = 7) -> Summary:
    return summarise(writer.rows(first_hour(clock.now, days)), TOURS, clock.now, days)


def some_of_everything(usage: Usage) -> None:
    usage.visit("anna")
    usage.visit("bert")
    for step in (1, 2, 2, 3):
        usage.tour_step("anna", "rhel10", step)
    usage.tour_end("anna", "rhel10")
    usage.tour_step("bert", "rhel10", 2)  # by a link
    for turn in (record(), record("deploy"), record(abstained=True), record(reason="cancelled", first=None)):
        usage.turn(turn)
    usage.turn(record(reason="deadline", first=70.0))
    usage.stop("anna")
    usage.thumb(True)
    usage.thumb(True)
    usage.thumb(False)
    usage.tool("service_status", True)
    usage.call("search")
    usage.refused("address")


def check(found: Summary) -> None:
    today = found.days[-1]
    assert (today.visits, today.questions, today.answered, today.abstained) == (2, 5, 2, 1)
    assert (today.stopped, today.failed, today.up, today.down) == (1, 1, 2, 1)
    assert [(f.tour, f.starts, f.steps, f.ends) for f in found.funnels] == [
        ("rhel10", 2, (1, 2, 1), 1), ("plugins", 0, (0, 0), 0),
    ]  # fmt: skip
    assert found.routes == {"rhel10": 4, "deploy": 1}
    assert (found.tools, found.calls, found.refusals) == ({"service_status": 1}, {"search": 1}, 1)
    assert found.cached == pytest.approx(2 / 3)
    assert (found.first_token_s, found.slowest_s) == (5.0, 90.0)  # the bounds of the buckets of 4 and 70 s
    assert found.tokens_per_s == 8.0  # 40 tokens in 5 s
    assert found.memory_mb > 10


def test_what_happened_is_what_the_summary_says(usage: Usage, clock: Clock, tmp_path: Path) -> None:
    writer = LedgerWriter(usage.registry, ledger_in(tmp_path), clock)
    some_of_everything(usage)
    check(summary(writer, clock))
    assert writer.write()
    check(summary(writer, clock))  # neither lost nor doubled by writing


def test_counts_survive_a_restart_and_add_up(usage: Usage, clock: Clock, tmp_path: Path) -> None:
    writer = LedgerWriter(usage.registry, ledger_in(tmp_path), clock)
    some_of_everything(usage)
    writer.close()
    again = Usage(["rhel10", "deploy"], ["service_status"], TOURS, clock)
    writer = LedgerWriter(again.registry, ledger_in(tmp_path), clock)
    check(summary(writer, clock))
    again.visit("carl")
    assert writer.write()
    assert writer.write()
    assert summary(writer, clock).days[-1].visits == 3


def test_without_a_ledger_it_counts_in_memory(usage: Usage, clock: Clock) -> None:
    writer = LedgerWriter(usage.registry, None, clock)
    some_of_everything(usage)
    assert writer.write()
    check(summary(writer, clock))


def test_a_tour_is_counted_once_a_page_and_day(usage: Usage, clock: Clock) -> None:
    writer = LedgerWriter(usage.registry, None, clock)
    for _ in range(3):
        usage.tour_step("anna", "rhel10", 1)
        usage.tour_end("anna", "rhel10")
    clock.now += DAY_S
    usage.tour_step("anna", "rhel10", 1)
    funnel = summary(writer, clock).funnels[0]
    assert (funnel.starts, funnel.steps[0], funnel.ends) == (2, 2, 1)


def test_a_session_is_a_hash_of_its_day_and_of_no_other(usage: Usage, clock: Clock) -> None:
    first = usage.alias("anna")
    assert first == usage.alias("anna") != usage.alias("bert")
    clock.now += DAY_S
    assert usage.alias("anna") != first
    assert Usage([], [], {}, clock).alias("anna") != usage.alias("anna")  # another process, another salt


def test_names_from_elsewhere_become_other(usage: Usage, clock: Clock) -> None:
    writer = LedgerWriter(usage.registry, None, clock)
    for n in range(500):
        usage.turn(record(f"canary-{n}"))
        usage.tool(f"canary-{n}", False)
        usage.call(f"canary-{n}")
        usage.refused(f"canary-{n}")
        usage.tour_step("anna", f"canary-{n}", 1)
    usage.tour_step("anna", "rhel10", 99)
    rows = writer.rows()
    assert not any("canary" in row.labels for row in rows)
    assert len(rows) < 100
    assert summary(writer, clock).routes == {"other": 500}


# --- a bad disk ---------------------------------------------------------------------------------------


def counted(usage: Usage, writer: LedgerWriter, clock: Clock) -> int:
    return summary(writer, clock).days[-1].visits


@pytest.mark.parametrize("content", [b"not a database at all" * 300, b"SQLite format 3\x00" + b"\xff" * 8000])
def test_a_corrupt_file_is_set_aside_and_a_new_one_begun(
    usage: Usage, clock: Clock, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "usage.sqlite"
    path.write_bytes(content)
    writer = LedgerWriter(usage.registry, ledger_in(tmp_path), clock)
    usage.visit("anna")
    assert not writer.write()
    assert "set aside" in writer.trouble
    assert counted(usage, writer, clock) == 1
    assert writer.write()
    assert writer.trouble == ""
    assert (tmp_path / "usage.sqlite.damaged").read_bytes() == content
    assert counted(usage, LedgerWriter(Usage([], [], TOURS, clock).registry, ledger_in(tmp_path), clock), clock) == 1


def test_bit_rot_in_the_middle_is_survived(usage: Usage, clock: Clock, tmp_path: Path) -> None:
    """Damaged pages give nonsense, or no rows; counting goes on in both cases."""
    ledger = ledger_in(tmp_path)
    for hour in range(200):
        ledger.add(HOUR - hour, {("qubinode_visits_total", f"filler={n}"): 1.0 for n in range(20)})
    path = tmp_path / "usage.sqlite"
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 512):
        data[at : at + 64] = bytes(255 - byte for byte in data[at : at + 64])
    path.write_bytes(data)
    writer = LedgerWriter(usage.registry, ledger, clock)
    usage.visit("anna")
    summary(writer, clock)
    assert [writer.write(), writer.write()][-1]
    assert counted(usage, writer, clock) >= 1


def test_a_folder_that_is_gone_keeps_counts_in_memory(usage: Usage, clock: Clock, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    writer = LedgerWriter(usage.registry, ledger_in(folder), clock)
    usage.visit("anna")
    assert not writer.write()
    assert "unable to open" in writer.trouble
    folder.mkdir()
    usage.visit("bert")
    assert writer.write()
    assert counted(usage, writer, clock) == 2


FULL_DISK = """
import resource, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from onboarding.usage.ledger_writer import LedgerWriter, ledger_in
from onboarding.usage.recorder import Usage
usage = Usage([], [], {"rhel10": 3})
writer = LedgerWriter(usage.registry, ledger_in(Path(sys.argv[1])))
usage.visit("anna")
assert writer.write()
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
for n in range(400):
    usage.visit(f"v{n}")
    usage.tour_step(f"v{n}", "rhel10", 1 + n % 3)
wrote = [writer.write() for _ in range(3)]
counts = {row.name: row.amount for row in writer.rows() if row.name.startswith("qubinode_visits")}
print(wrote, writer.trouble)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert writer.write(), writer.trouble
print(sum(row.amount for row in writer.rows() if row.name == "qubinode_visits_total"))
"""


def test_a_full_disk_loses_nothing_and_is_written_to_when_there_is_room_again(tmp_path: Path) -> None:
    """Limits a process to files of 8 KiB: the kernel then answers as for a full disk."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("[False, False, False] usage.sqlite:")
    assert float(second) == 401


def test_a_read_only_file_keeps_counts_in_memory(usage: Usage, clock: Clock, tmp_path: Path) -> None:
    writer = LedgerWriter(usage.registry, ReadOnly(tmp_path / "usage.sqlite", GAUGES), clock)
    usage.visit("anna")
    assert not writer.write()
    assert "readonly" in writer.trouble.replace(" ", "").replace("-", "")
    assert counted(usage, writer, clock) == 1


class ReadOnly(Ledger):
    """A ledger that SQLite itself holds to be read-only, whoever runs the test."""

    def _connect(self) -> sqlite3.Connection:
        sqlite3.connect(self.path).close()
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA query_only = 1")
        return connection


def test_a_ledger_in_use_by_another_does_not_hold_the_chat_up(usage: Usage, clock: Clock, tmp_path: Path) -> None:
    writer = LedgerWriter(usage.registry, Ledger(tmp_path / "usage.sqlite", GAUGES, patience_s=0.05), clock)
    assert writer.write()
    other = sqlite3.connect(tmp_path / "usage.sqlite")
    other.execute("BEGIN EXCLUSIVE")
    writing = threading.Thread(target=writer.write)
    writing.start()
    usage.visit("anna")
    usage.turn(record())
    writing.join(10)
    assert "locked" in writer.trouble
    other.rollback()
    other.close()
    assert writer.write()
    assert counted(usage, writer, clock) == 1


def test_a_killed_process_leaves_whole_rows(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    code = (
        "import os, sqlite3, sys; from pathlib import Path; from onboarding.usage.ledger_writer import ledger_in\n"
        "ledger = ledger_in(Path(sys.argv[1]))\n"
        "ledger.add(5, {('qubinode_visits_total', ''): 1.0})\n"
        "with ledger._open() as c:\n"
        "    c.execute('BEGIN IMMEDIATE'); c.execute(\"INSERT INTO counts VALUES (6, 'qubinode_visits_total', '', 9.0)\")\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])
    assert [(row.hour, row.amount) for row in ledger.rows()] == [(5, 1.0)]


# --- size ---------------------------------------------------------------------------------------------


def every_label(hour: int) -> dict[Key, float]:
    """Return more rows for an hour than the real labels can make."""
    return {("qubinode_questions_total", f"route=r{n}"): 1.0 for n in range(150)}


def test_old_hours_become_days_and_old_days_are_forgotten(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "usage.sqlite", frozenset({"peak"}))
    start = HOUR - HOUR % DAY_HOURS
    for back in (DAILY_DAYS + 3, HOURLY_DAYS + 2, 1, 0):
        for hour in range(3):
            at = start - back * DAY_HOURS + hour + 4
            ledger.add(at, {("sum", "a=1"): 2.0, ("peak", ""): float(hour)})
    ledger.add(start + DAY_HOURS, {("sum", "a=1"): 1.0})  # a new day tidies up
    found = [((row.hour - start) // DAY_HOURS, row.hour % DAY_HOURS, row.name, row.amount) for row in ledger.rows()]
    assert (-HOURLY_DAYS - 2, 0, "sum", 6.0) in found
    assert (-HOURLY_DAYS - 2, 0, "peak", 2.0) in found
    assert len([row for row in found if row[0] == -HOURLY_DAYS - 2]) == 2
    assert len([row for row in found if row[0] == -1 and row[2] == "sum"]) == 3
    assert min(row[0] for row in found) == -HOURLY_DAYS - 2


def test_two_years_of_busy_hours_stay_small(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "usage.sqlite", most_bytes=2_000_000)
    start = HOUR - HOUR % DAY_HOURS
    for day in range(0, 730, 25):
        for hour in range(0, 24, 6):
            ledger.add(start + day * DAY_HOURS + hour, every_label(hour))
    assert (tmp_path / "usage.sqlite").stat().st_size < 2_000_000
    assert ledger.rows()[-1].hour == start + 725 * DAY_HOURS + 18


def test_at_its_own_limit_the_older_half_goes_and_the_new_is_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "usage.sqlite", most_bytes=200_000)
    for hour in range(HOUR - HOUR % DAY_HOURS, HOUR - HOUR % DAY_HOURS + 23):
        ledger.add(hour, every_label(hour) | {("qubinode_visits_total", f"x={n}"): 1.0 for n in range(200)})
    rows = ledger.rows()
    assert (tmp_path / "usage.sqlite").stat().st_size <= 200_000
    assert sum(row.hour == HOUR - HOUR % DAY_HOURS + 22 for row in rows) == 350
    assert rows[0].hour > HOUR - HOUR % DAY_HOURS


# --- the sandbox --------------------------------------------------------------------------------------


def test_runs_of_tools_are_counted_whoever_asks_and_a_whole_check_once(usage: Usage, clock: Clock) -> None:
    with CountedSandbox(usage) as sandbox:
        assert sandbox.call("service_status", {"services": ["libvirtd"]}, "libvirtd-down").success
        assert not sandbox.call("service_status", {}, "no-such-host").success
        sandbox.run_all("healthy")
    value = usage.registry.get_sample_value
    assert value("qubinode_tool_runs_total", {"tool": "service_status", "result": "ok"}) == 1
    assert value("qubinode_tool_runs_total", {"tool": "service_status", "result": "failed"}) == 1
    assert value("qubinode_whole_checks_total") == 1


def test_trouble_is_an_os_error_with_the_files_name(tmp_path: Path) -> None:
    with pytest.raises(LedgerTrouble, match=r"usage\.sqlite: unable to open database file"):
        ledger_in(tmp_path / "nowhere").add(HOUR, {("a", ""): 1.0})
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY  # the test above kept to its process


# --- the report ---------------------------------------------------------------------------------------


def test_the_week_is_printed_with_what_visitors_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usage = Usage(["rhel10", "deploy"], ["service_status"], load_tour_sizes())
    writer = LedgerWriter(usage.registry, ledger_in(tmp_path))
    some_of_everything(usage)
    store = Store(tmp_path / "feedback")
    for row in (
        FeedbackRow(
            kind="thumb", verdict="down", reason="wrong", turn="t1", visitor="v", question="Is RHEL 8 supported?"
        ),
        FeedbackRow(kind="suggestion", comment="A page about\nARM | hosts", visitor="w"),
    ):
        store.append(row)
        usage.feedback(row)
    writer.close()
    assert run(["report", "--days", "3", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    today = datetime.now(UTC).date()
    assert said.startswith(f"# Qubinode Navigator Space, {today - timedelta(days=2)} to {today} (UTC)")
    assert f"| {today} | 2 | 5 | 2 | 1 | 1 | 1 | 5 s | 90 s |" in said
    assert "| rhel10 | 2 | 1 → 2 → 1 → 0 → 0 → 0 | 1 | 50 % |" in said
    assert "thumbs: 0 up, 1 down; reasons: wrong 1" in said
    assert "wish: A page about ARM | hosts" in said
    assert "not answered or corrected: 1; `python -m onboarding review` decides" in said


def test_a_report_of_nothing_is_a_report_and_one_of_a_ruined_file_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--data", str(tmp_path / "nothing")]) == 0
    assert "| total | 0 | 0 |" in capsys.readouterr().out
    (tmp_path / "usage.sqlite").write_bytes(b"no database" * 1000)
    assert run(["report", "--data", str(tmp_path)]) == 1
    assert "cannot be read: usage.sqlite" in capsys.readouterr().err


def load_tour_sizes() -> dict[str, int]:
    return {name: len(tour.steps) for name, tour in load_tours().items()}


def test_a_single_day_is_a_dot_and_a_drawing_carries_nothing_to_run_or_fetch() -> None:
    drawn = lines("Waiting", ["11-24", "11-25"], {"half": [None, 5.0], "slowest": [None, 8.0]})
    assert drawn.count("<circle") == 2
    assert 'role="img" aria-label="Waiting"' in drawn
    assert not any(word in drawn for word in ("<script", "<style", "<title", "<desc", "pygal.org"))
