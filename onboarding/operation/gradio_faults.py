"""Logs a handler's failure in one line: its type and place, and nothing that a visitor sent.

Gradio prints a whole traceback for each value it refuses and each handler that fails, message included; that lets a
visitor fill the disk, and puts visitors' words into the log. Gradio's modules call `traceback.print_exc`, so they get
a stand-in for that module. At level DEBUG the log has the whole traceback.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType

import gradio.queueing
import gradio.routes

logger = logging.getLogger(__name__)

SHOWN = 3  # frames


class _OneLine:
    """Stands in for the module `traceback` in Gradio's modules, which use nothing else of it."""

    def print_exc(self) -> None:
        """Log the exception under way."""
        kind, error, at = sys.exc_info()
        logger.error("a call failed: %s in %s", kind.__name__ if kind else "nothing", innermost_frames(at))
        logger.debug("in full", exc_info=error)


def innermost_frames(at: TracebackType | None) -> str:
    """Return the innermost frames of a traceback, innermost last, without the message."""
    frames = traceback.extract_tb(at)[-SHOWN:]
    return " > ".join(f"{frame.name} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})" for frame in frames)


def quieten() -> None:
    """Make Gradio log each failure in one line; idempotent."""
    stand_in = _OneLine()
    for module in (gradio.routes, gradio.queueing):
        setattr(module, "traceback", stand_in)  # noqa: B010 - mypy knows the module, and that this is none
