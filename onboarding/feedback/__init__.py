"""What visitors say about answers: rows that hold no personal data, kept on disk, sent to a private dataset.

`read_rows(folder)` is the way in for whoever counts or exports, and `latest(rows)` drops thumbs that were changed;
`desk.Feedback` is what the page gives rows to.
"""

from onboarding.feedback.candidates import latest
from onboarding.feedback.row import FeedbackRow
from onboarding.feedback.store import read_rows

__all__ = ["FeedbackRow", "latest", "read_rows"]
