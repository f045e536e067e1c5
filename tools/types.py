"""The call of a tool and its result, which has the six fields of upstream's diagnostic tools."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

Json = Any  # a JSON value whose form depends on the tool
Report = dict[str, Any]  # {"summary": five figures, "tool_results": {tool name: its ToolResult}, "space_adds": ours}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of one tool call; a failed call has one too.

    Most failures are soft, as upstream: `success` stays true and `data` carries an `*_error` key or an item with an
    `error` of its own. `success` is false, and `data` empty, only when the tool could not run at all. The fields of
    `data` are upstream's but for `space_adds`, whose `note` names the commands that show the same on a real host.
    """

    tool_name: str
    success: bool
    data: dict[str, Json]
    error: str | None = None
    execution_time: float = 0.0  # seconds the call took
    timestamp: float = 0.0  # seconds since the epoch by the simulated host's own clock, which may be wrong

    def to_dict(self) -> dict[str, Json]:
        """Return the six fields as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a simulated diagnostic tool."""

    tool: str
    arguments: dict[str, object]
    host: str
