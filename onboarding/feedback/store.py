"""Feedback on disk: JSON lines in a folder that never outgrows its cap.

A row is one write to one file, then fsync. Files move one way: `open/` while the store appends rows, `waiting/` until
the uploader has sent them to the Hub, `kept/` after that (without a Hub: at once). `forget/` names visitors whose rows
the Hub must delete as well, `gone/` all who asked to be forgotten: no row of theirs is written, read or sent again,
whichever copy it comes from. `rows/` may hold a copy of the Hub's files, to be read. Covers: a full disk, a crash in
the middle of a row, a restart in any state, readers while files move. Does not cover: two processes that write into one
folder, and a disk that lies about fsync.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from model.private_files import FILE_MODE, make_private, private_folder, regular_files, write_private
from onboarding.feedback.row import FeedbackRow

FOLDER = "feedback"  # in the data folder
OPEN, WAITING, KEPT, FORGET, GONE = "open", "waiting", "kept", "forget", "gone"
MAX_STRANGERS = 10_000  # remembered as gone without a row of theirs here, as from a tab that had sent nothing yet
STAGES = (OPEN, WAITING, KEPT)  # in the order in which a file moves: a reader that follows it never misses it
COPIED = "rows"  # the folder of the Hub's dataset
FILE_BYTES = 256_000  # the store closes a file from this size on; one upload sends it whole
FOLDER_BYTES = 50_000_000  # years of feedback; the oldest rows that are safe on the Hub go first
Record = TypeVar("Record", bound=BaseModel)


class NotStored(Exception):
    """The row was not kept; the text is one sentence for the visitor."""


def read_rows(folder: Path) -> Iterator[FeedbackRow]:
    """Yield every row below `folder` once, oldest file first; skip torn lines and unknown versions."""
    seen: set[str] = set()
    gone = gone_from(folder)
    names = sorted({path.name for stage in (*STAGES, COPIED) for path in regular_files(folder / stage, ".jsonl")})
    for name in names:
        for row in rows_in(_bytes(folder, name)):
            if row.id not in seen and row.visitor not in gone:
                seen.add(row.id)
                yield row


def data_folder() -> Path:
    """Return the app's data folder, as the settings have it."""
    return Path(os.environ.get("DATA_DIR") or ".data")


def gone_from(folder: Path) -> frozenset[str]:
    """Return the visitors who asked to be forgotten."""
    return frozenset(path.name for path in regular_files(folder / GONE, ""))


def rows_in(data: bytes) -> list[FeedbackRow]:
    """Return the whole rows of a file."""
    return records_in(data, FeedbackRow)


def records_in(data: bytes, kind: type[Record]) -> list[Record]:
    """Return the records of a file, one a line, without those torn by a crash or of another version."""
    found = []
    for line in data.splitlines():
        with suppress(ValidationError):
            found.append(kind.model_validate_json(line))
    return found


def to_bytes(records: Iterable[BaseModel]) -> bytes:
    """Return the contents of a file of these records."""
    return b"".join(record.model_dump_json().encode() + b"\n" for record in records)


def _bytes(folder: Path, name: str) -> bytes:
    for stage in (*STAGES, COPIED):
        try:
            return (folder / stage / name).read_bytes()
        except FileNotFoundError:
            continue
    return b""  # forgotten or dropped meanwhile


class Store:
    """The folder, for the one process that writes to it."""

    def __init__(
        self, folder: Path, *, sends: bool = False, file_bytes: int = FILE_BYTES, folder_bytes: int = FOLDER_BYTES
    ) -> None:
        """Open the folder. sends: closed files wait for an uploader."""
        self.folder = folder
        self.sends = sends
        self._file_bytes = file_bytes
        self._folder_bytes = folder_bytes
        self._lock = threading.Lock()
        self._current: Path | None = None
        for one in (folder, *(folder / name for name in (*STAGES, FORGET, GONE))):
            private_folder(one)
        self.gone = set(gone_from(folder))
        for path in self._files():
            make_private(path)
        for left in regular_files(folder / OPEN, ".jsonl"):  # by a process that ended
            self._close(left)
        self._bytes = sum(path.stat().st_size for path in self._files())

    def append(self, row: FeedbackRow) -> None:
        """Write a row to disk; raise NotStored where that fails, and leave no part of it."""
        line = to_bytes([row])
        with self._lock:
            if row.visitor in self.gone:
                raise NotStored("You asked to be forgotten; reload the page to give feedback again.")
            if self._bytes + len(line) > self._folder_bytes and not self._make_room(len(line)):
                raise NotStored("The feedback store is full, so this was not kept.")
            path = self._current or self.folder / OPEN / _new_name()
            try:
                size = append_line(path, line)
            except OSError as error:
                raise NotStored(f"This could not be kept ({os.strerror(error.errno or 0)}).") from error
            self._bytes += len(line)
            self._current = path
            if size >= self._file_bytes:
                self._close_current()

    def close_file(self) -> None:
        """Close the file that rows go to, if there is one."""
        with self._lock:
            self._close_current()

    def waiting(self) -> list[Path]:
        """Return the closed files that the Hub does not have, oldest first."""
        return regular_files(self.folder / WAITING, ".jsonl")

    def sent(self, path: Path) -> None:
        """Note that the Hub has a file."""
        with self._lock:
            if path.exists():  # else its rows were forgotten meanwhile
                path.rename(self.folder / KEPT / path.name)

    def forget(self, visitor: str) -> int:
        """Delete a visitor's rows here and note that the Hub must; return how many were here. Raise OSError."""
        with self._lock:
            count = sum(self._drop(path, visitor) for path in self._files())
            self._bytes = sum(path.stat().st_size for path in self._files())
            if count or self.sends or len(self.gone) < MAX_STRANGERS:
                (self.folder / GONE / visitor).touch(FILE_MODE)
                self.gone.add(visitor)
            if self.sends:
                (self.folder / FORGET / visitor).touch(FILE_MODE)
            return count

    def to_forget(self) -> list[str]:
        """Return the visitors whose rows may still be on the Hub."""
        return sorted(path.name for path in (self.folder / FORGET).iterdir())

    def forgotten(self, visitors: list[str]) -> None:
        """Note that the Hub has no rows of these visitors any more."""
        for visitor in visitors:
            (self.folder / FORGET / visitor).unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return [path for stage in STAGES for path in regular_files(self.folder / stage, ".jsonl")]

    def _close_current(self) -> None:
        if self._current:
            self._close(self._current)
        self._current = None

    def _close(self, path: Path) -> None:
        """Move a file to the next stage; a file that a deletion emptied is gone already."""
        if path.exists():
            path.rename(self.folder / (WAITING if self.sends else KEPT) / path.name)

    def _make_room(self, wanted: int) -> bool:
        for path in regular_files(self.folder / KEPT, ".jsonl"):
            self._bytes -= path.stat().st_size
            path.unlink()
            if self._bytes + wanted <= self._folder_bytes:
                return True
        return False

    def _drop(self, path: Path, visitor: str) -> int:
        data = path.read_bytes()
        if visitor.encode() not in data:
            return 0
        rows = rows_in(data)
        left = [row for row in rows if row.visitor != visitor]
        if left:
            _rewrite(path, to_bytes(left))
        else:
            path.unlink()
        return len(rows) - len(left)


def _new_name() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}.jsonl"


def append_line(path: Path, line: bytes) -> int:
    """Write one line and return the file's size; restore the file after a failure."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
    try:
        before = os.fstat(file).st_size
        try:
            if os.write(file, line) != len(line):
                raise OSError(errno.ENOSPC, "no room for the whole row")
            os.fsync(file)
        except OSError:
            os.ftruncate(file, before)
            if not before:
                path.unlink()
            raise
        return before + len(line)
    finally:
        os.close(file)


def _rewrite(path: Path, data: bytes) -> None:
    """Replace a file with a shorter one: atomically, or in place where the disk is full."""
    try:
        write_private(path, data)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        with path.open("r+b") as file:
            file.write(data)
            file.truncate()
