"""What a command found: figures as JSON, and one row of the report."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """One row of the report."""

    row: str  # of the table of guarantees, e.g. "L1"
    what: str
    must: str
    found: str
    ok: bool
    figures: dict[str, Any]
    ran: bool = True

    def markdown(self) -> str:
        """The row, its cells in one line each."""
        holds = ("yes" if self.ok else "**no**") if self.ran else "not run"
        cells = (self.row, self.what, self.must, self.found, holds)
        return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"

    def json(self) -> str:
        """Everything, for programs."""
        return json.dumps(asdict(self), ensure_ascii=False, default=str)


HEAD = "| row | what | must be | found | holds |\n| --- | --- | --- | --- | --- |"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed; 0.0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval for a share, 95 % by default; (0, 1) where nothing was tried.

    Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    if not of:
        return 0.0, 1.0
    share, spread = hits / of, z * z / of
    centre = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, (centre - half) / (1 + spread)), min(1.0, (centre + half) / (1 + spread))
