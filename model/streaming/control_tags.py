"""Breaks what a server's chat template would read as a control token, so that foreign text stays text there."""

from __future__ import annotations

import re

# What common templates write with control tokens; only their first character is matched.
CONTROL = re.compile(
    r"<(?=[|\uff5c][^<>\n]{1,60}[|\uff5c]>|/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|think)>|/?<?/?SYS>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|IMG|REF|THINK)\])",
    re.IGNORECASE,
)


def without_control_tags(text: str) -> str:
    """Return the text with a blank in each control tag of common templates; it can still be read."""
    return CONTROL.sub(lambda found: f"{found[0]} ", text)
