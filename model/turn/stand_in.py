"""Cut the embedded model's answer short: it only comments on an extract that already answers.

A model of 135 million parameters writes shell commands that exist nowhere. The extract holds the real ones, so its
comment ends where its first block of code would begin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from model.engine.events import EngineEvent, Finished, TextDelta
from model.engine.protocol import Generation

MAX_TOKENS = 120  # it rambles; what it adds stays short
FENCE = "```"


def without_code(generation: Generation) -> Iterator[EngineEvent]:
    """Yield the events of a generation up to its first code block; stop the computing there."""
    held, cut = "", False
    for event in generation:
        if isinstance(event, Finished):
            yield TextDelta("" if cut else held)
            yield replace(event, reason="stop") if cut and event.reason == "cancelled" else event
        elif not isinstance(event, TextDelta):
            yield event
        elif not cut:
            before, fence, _ = (held + event.text).partition(FENCE)
            cut = bool(fence)
            shown = before if cut else before.rstrip("`")
            held = before[len(shown) :]
            yield TextDelta(shown)
            if cut:
                generation.cancel()
