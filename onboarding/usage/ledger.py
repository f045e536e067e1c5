"""The counts on disk: one SQLite file of hourly, later daily sums, of bounded size.

A row is the hour (or the day's first hour), a metric's name, its labels, and an amount. Raises LedgerTrouble with the
cause where the disk fails; renames a file that is no database any more and begins a new one.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.private_files import private_file

logger = logging.getLogger(__name__)

HOUR_S = 3600
DAY_HOURS = 24
HOURLY_DAYS, DAILY_DAYS = 14, 400  # hourly sums for so long, then daily ones, then none
PAGE_BYTES = 4096
MOST_BYTES = 16_000_000  # about ten times what the closed sets of labels can fill in DAILY_DAYS
PATIENCE_S = 2.0  # waits for a report's lock
SCHEMA = """
CREATE TABLE IF NOT EXISTS counts (
  hour INTEGER NOT NULL, name TEXT NOT NULL, labels TEXT NOT NULL, amount REAL NOT NULL,
  PRIMARY KEY (hour, name, labels)
) WITHOUT ROWID
"""
ADD = "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"
PEAK = "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = max(amount, excluded.amount)"
# Folds hours into days: sums of counters, the highest hour of a gauge.
TO_DAYS = """
INSERT INTO counts SELECT hour / 24 * 24, name, labels, {fold}(amount) FROM counts
WHERE hour < :before AND hour % 24 != 0 AND name {among} GROUP BY hour / 24, name, labels
ON CONFLICT DO UPDATE SET amount = {merge}
"""

FORGET_HALF = """
DELETE FROM counts
WHERE hour < (SELECT hour FROM counts ORDER BY hour LIMIT 1 OFFSET (SELECT count(*) / 2 FROM counts))
"""

Key = tuple[str, str]  # name, labels as "a=1,b=2"


class LedgerTrouble(OSError):
    """The file cannot be read or written now; the text says why."""


@dataclass(frozen=True, slots=True)
class CountRow:
    """One metric's amount in an hour, or in the day that begins with it."""

    hour: int  # hours since the epoch
    name: str
    labels: str
    amount: float


class Ledger:
    """The file at `path`. Every call opens and closes it: no thread owns it, and no fault outlives its call."""

    def __init__(
        self,
        path: Path,
        gauges: frozenset[str] = frozenset(),
        most_bytes: int = MOST_BYTES,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Keep the limits. gauges: metrics whose peak counts, not the sum. patience_s: for another process's lock."""
        self.path = path
        self._gauges = gauges
        self._most_pages = most_bytes // PAGE_BYTES
        self._patience_s = patience_s
        self._tidied = -1  # the day of the last folding

    def add(self, hour: int, amounts: Mapping[Key, float]) -> None:
        """Add to an hour's sums and raise its peaks, all or nothing. Raise LedgerTrouble."""
        if hour // DAY_HOURS != self._tidied:
            self._tidy(hour)
            self._tidied = hour // DAY_HOURS
        try:
            self._add(hour, amounts)
        except LedgerTrouble:
            if not self._is_full():
                raise
            self._forget_half()
            self._add(hour, amounts)

    def _add(self, hour: int, amounts: Mapping[Key, float]) -> None:
        with self._open() as ledger, ledger:
            for (name, labels), amount in amounts.items():
                ledger.execute(PEAK if name in self._gauges else ADD, (hour, name, labels, amount))

    def rows(self, since: int = 0) -> list[CountRow]:
        """Return the rows from that hour on, oldest first; [] without a file. Raise LedgerTrouble."""
        if not self.path.exists():
            return []
        with self._open() as ledger:
            query = "SELECT hour, name, labels, amount FROM counts WHERE hour >= ? ORDER BY hour, name, labels"
            return [CountRow(*row) for row in ledger.execute(query, (since,)) if _is_sound(*row)]

    def _tidy(self, hour: int) -> None:
        """Fold old hours into days, delete old days, shrink the file."""
        today = hour // DAY_HOURS
        names = sorted(self._gauges)
        among = f"IN ({', '.join('?' * len(names))})"
        before = (today - HOURLY_DAYS) * DAY_HOURS
        with self._open() as ledger, ledger:
            for fold, merge, kind in (
                ("sum", "amount + excluded.amount", f"NOT {among}"),
                ("max", "max(amount, excluded.amount)", among),
            ):
                ledger.execute(TO_DAYS.format(fold=fold, merge=merge, among=kind).replace(":before", "?"),
                               (before, *names))  # fmt: skip
            ledger.execute("DELETE FROM counts WHERE hour < ? AND hour % 24 != 0", (before,))
            ledger.execute("DELETE FROM counts WHERE hour < ?", ((today - DAILY_DAYS) * DAY_HOURS,))
        self._vacuum()

    def _is_full(self) -> bool:
        """Return True when the file, not the disk, is at its limit."""
        return self.path.exists() and self.path.stat().st_size > (self._most_pages - 4) * PAGE_BYTES

    def _forget_half(self) -> None:
        """Delete the older half of the rows: the last resort at the file's own limit."""
        logger.warning("%s has reached its limit; its older half is forgotten", self.path.name)
        with self._open() as ledger, ledger:
            ledger.execute(FORGET_HALF)
        self._vacuum()

    def _vacuum(self) -> None:
        with self._open() as ledger:
            ledger.execute("VACUUM")

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection with its limits set; raise SQLite's errors as LedgerTrouble, set a damaged file aside."""
        try:
            with contextlib.closing(self._connect()) as connection:
                connection.execute(f"PRAGMA max_page_count = {self._most_pages}")
                connection.execute(SCHEMA)
                yield connection
        except sqlite3.OperationalError as error:  # full, read-only, locked, no folder
            raise LedgerTrouble(f"{self.path.name}: {error}") from error
        except sqlite3.DatabaseError as error:  # not a database, malformed
            self._set_aside()
            raise LedgerTrouble(f"{self.path.name}: {error}; it was set aside and a new one is begun") from error

    def _connect(self) -> sqlite3.Connection:
        """Return a connection to a private file; SQLite gives its journal the same mode."""
        try:
            return sqlite3.connect(private_file(self.path), timeout=self._patience_s)
        except OSError as error:
            raise LedgerTrouble(f"{self.path.name}: unable to open database file ({error.strerror})") from error

    def _set_aside(self) -> None:
        """Rename the file, over the one set aside before."""
        logger.warning("%s is damaged; set aside as %s.damaged", self.path.name, self.path.name)
        with contextlib.suppress(OSError):
            self.path.replace(self.path.with_name(f"{self.path.name}.damaged"))
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)


def _is_sound(hour: object, name: object, labels: object, amount: object) -> bool:
    """Return true for a row that this module can have written; another program's hand reaches into the file too."""
    texts = isinstance(name, str) and isinstance(labels, str)
    return texts and isinstance(hour, int) and isinstance(amount, float) and math.isfinite(amount)
