"""Keeps visitors' feedback on answers: redacted rows on disk, sent to a private dataset.

`read_rows(folder)` reads them for counts and exports, `latest(rows)` drops thumbs that a visitor changed, and the
page hands new rows to `desk.Feedback`.
"""

from onboarding.feedback.candidates import latest
from onboarding.feedback.row import FeedbackRow
from onboarding.feedback.store import read_rows

__all__ = ["FeedbackRow", "latest", "read_rows"]
