"""Sends feedback to a private dataset on the Hub, and deletes the rows of visitors who ask to be forgotten.

Not huggingface_hub's CommitScheduler: its constructor needs the Hub, it accepts a public repository, it sends every
file anew after a restart, and it deletes nothing. Here a closed file never changes and keeps its unique name, so the
uploader repeats a commit whose answer was lost: no row is lost, none is doubled.

Covers: a Hub that is away for any time, cut answers, restarts, a dataset that somebody made public (nothing is sent).
Does not cover: copies of the dataset that others made, and rows whose disk is wiped before the Hub is back.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, set_client_factory
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils._http import default_client_factory
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from onboarding.feedback.store import COPIED, GONE, Store, rows_in, to_bytes

logger = logging.getLogger(__name__)

KIND = "dataset"
BATCH = 50  # files of one commit
PERIOD_S = 300.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 600.0  # between two tries while the Hub is away
CLOSING_S = 4.0  # for the last try when the app ends
TIMEOUT = httpx2.Timeout(60.0)  # the client has none of its own

Operation = CommitOperationAdd | CommitOperationDelete


class NotPrivate(Exception):
    """The dataset is public; the uploader sends nothing to it."""


TROUBLE = (OSError, HfHubHTTPError, httpx2.HTTPError, NotPrivate)


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """The state of the upload to the Hub."""

    files_waiting: int = 0
    trouble: str = ""  # of the last try, "" when it went well


class Uploader:
    """Sends the files that a store has closed, on a thread of its own; no visitor waits for it."""

    def __init__(
        self, store: Store, api: HfApi, repo: str, period_s: float = PERIOD_S, pause_s: float = FIRST_PAUSE_S,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Keep the parts. repo: user/name of the dataset; the first upload creates it, private, where it is missing."""
        self._store = store
        self._api = api
        self._repo = repo
        self._period_s = period_s
        self._pause_s = pause_s
        self._on_failure = on_failure
        self._trouble = ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)

    def start(self) -> None:
        """Begin to send every `period_s`; return at once, with or without a Hub."""
        self._thread.start()

    def close(self, timeout_s: float = CLOSING_S) -> None:
        """Try once more and end; unsent files stay on the disk."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def status(self) -> UploadStatus:
        """Return the state of the upload; cheap."""
        return UploadStatus(len(self._store.waiting()), self._trouble)

    def send(self) -> None:
        """Bring the dataset up to date once; raise one of TROUBLE, and the next try repeats everything."""
        self._store.close_file()
        waiting, gone = self._store.waiting(), self._store.to_forget()
        if waiting or gone:
            self._check_dataset()
        files = iter(waiting)
        while batch := list(islice(files, BATCH)):
            self._send_files(batch)
        if gone:
            self._take_out(set(gone))
            self._store.forgotten(gone)
        self._trouble = ""

    def _run(self) -> None:
        while not self._end.wait(self._period_s):
            try:
                with suppress(RetryError):
                    self._tries()(self.send)
            except Exception as error:  # a bug; without this thread every file would wait for a restart
                logger.exception("feedback could not be sent")
                self._note(error)
        try:
            self.send()
        except TROUBLE as error:
            self._note(error)

    def _tries(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(TROUBLE),
            wait=wait_exponential(multiplier=self._pause_s, max=LONGEST_PAUSE_S),
            stop=stop_when_event_set(self._end),
            sleep=sleep_using_event(self._end),
            before_sleep=self._before_pause,
        )

    def _before_pause(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error:
            self._note(error)

    def _note(self, error: BaseException) -> None:
        self._trouble = str(error) if isinstance(error, NotPrivate) else _short(error)
        self._on_failure()
        logger.warning("feedback waits for the Hub: %s", self._trouble)

    def _check_dataset(self) -> None:
        self._api.create_repo(self._repo, repo_type=KIND, private=True, exist_ok=True)
        if not self._api.repo_info(self._repo, repo_type=KIND).private:
            raise NotPrivate(f"The dataset {self._repo} is public; make it private, and feedback will be sent.")

    def _send_files(self, batch: list[Path]) -> None:
        contents = [(path, self._rows(path)) for path in batch]
        added = [CommitOperationAdd(f"{COPIED}/{path.name}", data) for path, data in contents if data]
        if added:
            self._commit(added, f"{len(added)} files of feedback")
        for path in batch:
            self._store.sent(path)

    def _rows(self, path: Path) -> bytes:
        """Return the whole rows of a file that may be sent; b"" when a deletion removed it meanwhile."""
        try:
            return to_bytes([row for row in rows_in(path.read_bytes()) if row.visitor not in self._store.gone])
        except FileNotFoundError:
            return b""

    def _take_out(self, gone: set[str]) -> None:
        """Rewrite the files that hold rows of these visitors, then squash the history that still has them.

        The dataset keeps their numbers, so that rows in an older copy of it count no more once it is renewed.
        """
        parent = self._api.repo_info(self._repo, repo_type=KIND).sha
        with tempfile.TemporaryDirectory(dir=self._store.folder) as folder:
            self._api.snapshot_download(
                self._repo, repo_type=KIND, revision=parent, allow_patterns=[f"{COPIED}/*.jsonl"], local_dir=folder
            )
            changed = [
                operation
                for path in sorted((Path(folder) / COPIED).glob("*.jsonl"))
                if (operation := _without(path, gone))
            ]
        changed += [CommitOperationAdd(f"{GONE}/{visitor}", b"") for visitor in sorted(gone)]
        self._commit(changed, "Rows of visitors who asked to be forgotten", parent)
        self._api.super_squash_history(self._repo, repo_type=KIND)

    def _commit(
        self, operations: list[Operation] | list[CommitOperationAdd], message: str, parent: str | None = None
    ) -> None:
        self._api.create_commit(self._repo, operations, commit_message=message, repo_type=KIND, parent_commit=parent)


def hub_api(token: str) -> HfApi:
    """Return the Hub's client, at HF_ENDPOINT where that is set; gives every client of the process a timeout."""
    set_client_factory(_patient_client)
    return HfApi(token=token)


def _patient_client() -> httpx2.Client:
    client = default_client_factory()
    client.timeout = TIMEOUT
    return client


def _without(path: Path, gone: set[str]) -> Operation | None:
    rows = rows_in(path.read_bytes())
    left = [row for row in rows if row.visitor not in gone]
    name = f"{COPIED}/{path.name}"
    if len(left) == len(rows):
        return None
    return CommitOperationAdd(name, to_bytes(left)) if left else CommitOperationDelete(name)


def _short(error: BaseException) -> str:
    """Return a class and a status without the message, which may hold addresses."""
    response = getattr(error, "response", None)
    return f"{type(error).__name__} {response.status_code if response is not None else ''}".strip()
