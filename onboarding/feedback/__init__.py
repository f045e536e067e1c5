"""What visitors say about answers: rows that hold no personal data, kept on disk, sent to a private dataset.

`read_rows(folder)` is the way in for whoever counts or exports; `store`, `upload` and `row` do the rest.
"""

from onboarding.feedback.row import Row
from onboarding.feedback.store import read_rows

__all__ = ["Row", "read_rows"]
