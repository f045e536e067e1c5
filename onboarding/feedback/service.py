"""Takes feedback from the page: redacts, keeps and deletes it; holds its settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from onboarding.feedback.decisions import take_out
from onboarding.feedback.row import FeedbackRow, Source, visitor_of
from onboarding.feedback.store import FOLDER, Store
from onboarding.feedback.upload import Uploader, UploadStatus, hub_api
from onboarding.redaction import redact
from rag.reading.links import UPSTREAM

LONGEST = {"comment": 2_000, "question": 4_000, "answer": 8_000}  # characters kept
LONGEST_WISH = 1_200  # characters of a wish in an address: browsers and GitHub take about 8,000 once encoded
TITLE = 70
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """The settings of feedback."""

    data: Path = Path(".data")
    repo: str = ""  # user/name of a private dataset; "" keeps everything here
    token: str = ""  # of the Hub, with the right to write there
    repository: str = UPSTREAM  # on GitHub, where wishes can be filed as issues


class BadFeedbackSettings(ValueError):
    """The settings cannot work; the text says what to change."""


def check(settings: FeedbackSettings) -> None:
    """Raise BadFeedbackSettings where the settings cannot work."""
    if not settings.repo:
        return
    if not _NAME.fullmatch(settings.repo):
        raise BadFeedbackSettings(f"FEEDBACK_REPO={settings.repo} is no name of a dataset; use user/name.")
    if not settings.token:
        raise BadFeedbackSettings("FEEDBACK_REPO is set and HF_TOKEN is not; set a token that may write there.")


class Feedback:
    """Keeps visitors' feedback. Does not know whether a visitor consented: the caller asks first."""

    def __init__(
        self, store: Store, uploader: Uploader | None = None, repository: str = UPSTREAM,
        on_row: Callable[[FeedbackRow], None] = lambda _row: None,
    ) -> None:  # fmt: skip
        """Keep the parts. on_row: called with every row that was kept, for the counts."""
        self._store = store
        self._uploader = uploader
        self._repository = repository
        self._on_row = on_row

    @classmethod
    def of(
        cls,
        settings: FeedbackSettings,
        on_row: Callable[[FeedbackRow], None] = lambda _row: None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> Feedback:
        """Return what the settings ask for, without the network. on_failure: called when an upload fails."""
        check(settings)
        store = Store(settings.data / FOLDER, sends=bool(settings.repo))
        uploader = None
        if settings.repo:
            uploader = Uploader(store, hub_api(settings.token), settings.repo, on_failure=on_failure)
        return cls(store, uploader, settings.repository, on_row)

    def start(self) -> None:
        """Begin to send, where the settings name a dataset."""
        if self._uploader:
            self._uploader.start()

    def close(self) -> None:
        """Try one last upload and end within seconds."""
        if self._uploader:
            self._uploader.close()

    def keep(self, row: FeedbackRow) -> FeedbackRow:
        """Redact a row, keep it, and return it as kept. Raise NotStored where the store refuses it."""
        row = redacted(row)
        self._store.append(row)
        self._on_row(row)
        return row

    def forget(self, key: str) -> int:
        """Delete every row of the visitor with this key: here at once, on the Hub as soon as it answers.

        What maintainers made of these rows loses the visitor's words as well. Return how many rows were here. Raise
        OSError where the disk refuses.
        """
        visitor = visitor_of(key)
        count = self._store.forget(visitor)
        take_out(self._store.folder, visitor)
        return count

    def status(self) -> UploadStatus:
        """Return the state of the upload to the Hub."""
        return self._uploader.status() if self._uploader else UploadStatus()

    def issue_link(self, wish: str) -> str:
        """Return the address of a new issue with the redacted wish filled in; the visitor still files it."""
        text = redact(wish)
        first = text.strip().splitlines()[0] if text.strip() else ""
        title = first if len(first) <= TITLE else first[: TITLE - 1].rstrip() + "…"
        body = f"{text.strip()[:LONGEST_WISH]}\n\n(suggested on the Space)"
        return f"{self._repository}/issues/new?{urlencode({'title': title, 'body': body})}"


def redacted(row: FeedbackRow) -> FeedbackRow:
    """Return the row with every text that a visitor or a browser can influence redacted and cut to its limit."""
    texts = {name: redact(getattr(row, name))[:longest] for name, longest in LONGEST.items()}
    sources = tuple(_source(source) for source in row.sources)
    reported = _source(row.reported) if row.reported else None
    names = {name: redact(getattr(row, name))[:100] for name in ("route", "model", "turn")}
    return row.model_copy(update={**texts, **names, "sources": sources, "reported": reported})


def _source(source: Source) -> Source:
    return Source(id=redact(source.id)[:100], title=redact(source.title)[:200], url=redact(source.url)[:500])
