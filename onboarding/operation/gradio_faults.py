"""How a handler's failure reaches the log: one line that says what and where, and nothing of what a visitor sent.

Gradio prints a whole traceback for each value it refuses and each handler that fails, message included; whoever wants
to fill a disk or read along in a log needs no more. Its modules call `traceback.print_exc`, so they get a stand-in.
At level DEBUG the whole traceback is logged.
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
    """Stands for the module `traceback` in Gradio's modules, which use nothing else of it."""

    def print_exc(self) -> None:
        """Log the exception that is being handled."""
        kind, error, at = sys.exc_info()
        logger.error("a call failed: %s in %s", kind.__name__ if kind else "nothing", innermost_frames(at))
        logger.debug("in full", exc_info=error)


def innermost_frames(at: TracebackType | None) -> str:
    """The innermost places of a traceback, innermost last, without a word of the message."""
    frames = traceback.extract_tb(at)[-SHOWN:]
    return " > ".join(f"{frame.name} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})" for frame in frames)


def quieten() -> None:
    """Let Gradio's failures be logged in one line each; idempotent."""
    stand_in = _OneLine()
    for module in (gradio.routes, gradio.queueing):
        setattr(module, "traceback", stand_in)  # noqa: B010 - mypy knows the module, and that this is none
