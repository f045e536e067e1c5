"""Writes the recorder's counts to the ledger, on a thread of its own, and reads both together.

The chat never waits for it. While the disk refuses, counts stay in memory; the first writing that succeeds puts them
into its own hour. A killed process loses what it had not written: PERIOD_S at most.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

from onboarding.usage.ledger import HOUR_S, CountRow, Key, Ledger, LedgerTrouble

logger = logging.getLogger(__name__)

FILE = "usage.sqlite"
PERIOD_S = 15.0  # between two writings
OURS = "qubinode_"  # the ledger keeps these; the process's own figures are for scraping alone
GAUGES = frozenset({"qubinode_queue_length", "qubinode_memory_megabytes", "qubinode_feedback_files_waiting"})


def ledger_in(folder: Path) -> Ledger:
    """Return the ledger of a data folder."""
    return Ledger(folder / FILE, GAUGES)


class LedgerWriter:
    """Keeps one registry's counts on disk. `trouble` is the error of the last writing, "" when it succeeded."""

    def __init__(
        self, registry: CollectorRegistry, ledger: Ledger | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """Keep the parts. Without a ledger all counts stay in memory."""
        self.trouble = ""
        self._ledger = ledger
        self._registry = registry
        self._clock = clock
        self._written: dict[Key, float] = {}  # of each counter, the value that the ledger already holds
        self._failures = Counter("qubinode_usage_write_failures", "Writings of counts that failed", registry=registry)
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)

    def start(self) -> None:
        """Begin to write every PERIOD_S."""
        self._thread.start()

    def close(self) -> None:
        """Write once more and end."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        else:
            self.write()

    def write(self) -> bool:
        """Bring the ledger up to date; return False when the disk refuses, and keep everything in memory then."""
        with self._lock:
            now = self._now()
            fresh = self._fresh(now)
            try:
                if fresh and self._ledger:
                    self._ledger.add(int(self._clock() // HOUR_S), fresh)
            except (LedgerTrouble, OSError) as error:
                if str(error) != self.trouble:
                    logger.warning("usage stays in memory: %s", error)
                self.trouble = str(error)
                self._failures.inc()
                return False
            self.trouble = ""
            if self._ledger:
                self._written = {key: value for key, value in now.items() if key[0] not in GAUGES}
            return True

    def rows(self, since: int = 0) -> list[CountRow]:
        """Return the counts from that hour on, unwritten ones included; only those when the disk refuses."""
        with self._lock:
            hour = int(self._clock() // HOUR_S)
            fresh = [CountRow(hour, *key, amount) for key, amount in self._fresh(self._now()).items()]
            try:
                return [*(self._ledger.rows(since) if self._ledger else []), *fresh]
            except (LedgerTrouble, OSError) as error:
                self.trouble = str(error)
                return fresh

    def _run(self) -> None:
        while not self._end.wait(PERIOD_S):
            self.write()
        self.write()

    def _now(self) -> dict[Key, float]:
        return dict(_samples(self._registry))

    def _fresh(self, now: dict[Key, float]) -> dict[Key, float]:
        """Return the increase of each counter since the last writing, and each gauge's value."""
        grown = {key: value if key[0] in GAUGES else value - self._written.get(key, 0.0) for key, value in now.items()}
        return {key: value for key, value in grown.items() if value}


def _samples(registry: CollectorRegistry) -> Iterable[tuple[Key, float]]:
    for family in registry.collect():
        for sample in family.samples:
            if sample.name.startswith(OURS) and not sample.name.endswith("_created"):
                yield (sample.name, ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))), sample.value
