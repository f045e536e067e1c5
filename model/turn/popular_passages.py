"""Count which passages lead answers most often, to read them first once the prefix cache is lost.

The prefix cache keeps recent questions by itself. After a new model, library or context setting it starts empty; these
counts outlive it. They name passages of the documentation, nothing about visitors or questions.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from pathlib import Path

from model.private_files import read_json, write_private

logger = logging.getLogger(__name__)

MOST_KEPT = 2000  # passages; our pages have a thousand
HALVE_AT = 2000  # of the largest count: what was popular long ago gives way
SAVE_EVERY = 10  # answers
MOST_BYTES = 1_000_000  # of the file; a row has less than 100


class PassageCounts:
    """The counts by passage id, in a JSON file that may be missing, damaged or read-only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._counts = _read(path)
        self._unsaved = 0

    def note(self, passage: str) -> None:
        """Count one answer that `passage` led."""
        with self._lock:
            self._counts[passage] += 1
            if self._counts[passage] >= HALVE_AT:
                self._counts = Counter({id_: count // 2 for id_, count in self._counts.items() if count > 1})
            self._unsaved += 1
            if self._unsaved >= SAVE_EVERY:
                self._save()

    def most_used(self, most: int) -> list[str]:
        """Return passage ids, the most used first."""
        with self._lock:
            return [passage for passage, _ in self._counts.most_common(most)]

    def _save(self) -> None:
        self._unsaved = 0
        rows = [[passage, count] for passage, count in self._counts.most_common(MOST_KEPT)]
        try:
            write_private(self._path, json.dumps(rows).encode())
        except OSError as error:
            logger.debug("the counts of lead passages could not be stored: %s", error)


def _read(path: Path) -> Counter[str]:
    rows = read_json(path, MOST_BYTES)
    counts = Counter[str]()
    for row in rows if isinstance(rows, list) else []:
        match row:
            case [str(passage), int(count)] if 0 < count <= HALVE_AT and len(counts) < MOST_KEPT:
                counts[passage] = count
    return counts
