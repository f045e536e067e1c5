"""Files that hold what is nobody else's business, or that others must not write: modes, owners, small damaged files.

A private file is a regular one of mode 0600 in a folder of mode 0700, and belongs to this user. What others can write
is not believed. A link is never followed: neither is what it leads to read, nor changed, nor deleted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Any, NoReturn

logger = logging.getLogger(__name__)

FILE_MODE, FOLDER_MODE = 0o600, 0o700
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class OpenToOthers(OSError):
    """Raised for a file that somebody else could have written; the message says what is wrong with it."""


def read_private(path: Path, most_bytes: int) -> bytes:
    """Return the content of a private file and take others' right to read it.

    Raises:
        OpenToOthers: It is no regular file, belongs to somebody else, can be written by others, or is too large.
        OSError: It is missing, a link, or cannot be read.

    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if trouble := _trouble(found):
            raise OpenToOthers(f"{path} {trouble}")
        if found.st_size > most_bytes:
            raise OpenToOthers(f"{path} has more than {most_bytes} bytes")
        if found.st_mode & OTHERS and found.st_uid == os.geteuid():
            with contextlib.suppress(OSError):  # a file system without modes, or one that is read-only
                os.fchmod(descriptor, FILE_MODE)
        return file.read(most_bytes)


def read_json(path: Path, most_bytes: int) -> Any:
    """Return the JSON value of a private file, None for a missing or damaged one: the caller begins anew.

    Damaged is, besides what `read_private` refuses, what is no JSON, too deep, or has a number that is not finite.
    """
    try:
        return json.loads(read_private(path, most_bytes), parse_constant=_refuse, parse_float=_finite)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        why = error if isinstance(error, OpenToOthers) else getattr(error, "strerror", None) or type(error).__name__
        logger.warning("%s is left out (%s); a new one will take its place", path.name, why)
        return None


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, a link in its place included; raise OSError, and leave no part of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:  # Ctrl-C too
            Path(file.name).unlink(missing_ok=True)
            raise


def set_aside(path: Path) -> None:
    """Rename what stands in a file's or folder's place, a link itself and not what it leads to; raise OSError."""
    aside = path.with_name(f"{path.name}.aside-{secrets.token_hex(4)}")
    path.rename(aside)
    logger.warning("%s is not what belongs there; set aside as %s (DATA_DIR names another place)", path, aside.name)


def private_folder(path: Path) -> Path:
    """Make a folder private and return it; set aside what stands in its place, a link included. Raise OSError."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        set_aside(path)
    path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    make_private(path)
    return path


def private_file(path: Path) -> Path:
    """Make a file private and return it, an empty one where it is missing; set aside what is no regular file.

    Raises:
        OSError: It cannot be made.

    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        set_aside(path)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    make_private(path)
    return path


def regular_files(folder: Path, suffix: str) -> list[Path]:
    """Return the regular files of a folder whose names end so, by name; [] for a link or where there is no folder."""
    if folder.is_symlink():
        return []
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(suffix) and _is_regular(entry)]
    except OSError:  # missing, or no folder
        return []
    return [folder / name for name in sorted(names)]


def make_private(path: Path) -> None:
    """Take others' rights to a file or folder that is no link; warn where it is theirs, or was theirs to write."""
    with contextlib.suppress(OSError):  # missing, or a file system without modes
        found = path.lstat()
        if found.st_uid != os.geteuid():
            logger.warning("%s belongs to user %d; give it to user %d", path, found.st_uid, os.geteuid())
        elif found.st_mode & OTHERS and not stat.S_ISLNK(found.st_mode):
            if found.st_mode & OTHERS_WRITE:
                logger.warning("%s could be written by others (mode %o)", path, stat.S_IMODE(found.st_mode))
            path.chmod(FOLDER_MODE if stat.S_ISDIR(found.st_mode) else FILE_MODE)


def _trouble(found: os.stat_result) -> str:
    """Return why a file is not private, "" where it is; root's files are as good as one's own."""
    if not stat.S_ISREG(found.st_mode):
        return "is no file"
    if found.st_uid not in (os.geteuid(), 0):
        return f"belongs to user {found.st_uid}"
    if found.st_mode & OTHERS_WRITE:
        return f"can be written by others (mode {stat.S_IMODE(found.st_mode):o})"
    return ""


def _is_regular(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
