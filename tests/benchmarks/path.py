"""The way one question takes through the code, counted: files, functions, moves between files, encoder calls.

The question is asked of a real guide over our own pages, with the scripted engine, and asked once before it is
counted, so that nothing is counted that happens only at the first one. Only this thread is looked at: engine,
sandbox and page have their own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from model.prompting.conversation import Conversation
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from rag.embedding.embedder import Embedder

ROOT = Path(__file__).parents[2]
OURS = ("onboarding", "model", "rag", "tools")
QUESTION = "which port does airflow use?"
WARM_UP = "what is qubinode navigator?"


class Path_:
    """Counts calls of our own functions in one thread."""

    def __init__(self) -> None:
        self.functions: Counter[tuple[str, str]] = Counter()
        self.moves: Counter[tuple[str, str]] = Counter()
        self._at = ""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is called inside the block."""
        sys.setprofile(self._look)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, _arg: object) -> None:
        if event not in ("call", "return"):
            return
        if event == "return":
            caller = frame.f_back
            while caller is not None and not _ours(caller):
                caller = caller.f_back
            if _ours(frame) and caller is not None:
                self._go(_file(caller))
            return
        if _ours(frame):
            self.functions[_file(frame), frame.f_code.co_qualname] += 1
            self._go(_file(frame))

    def _go(self, file: str) -> None:
        if self._at and file != self._at:
            self.moves[self._at, file] += 1
        self._at = file


def _ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(tuple(f"{ROOT}/{name}/" for name in OURS))


def _file(frame: FrameType) -> str:
    return str(Path(frame.f_code.co_filename).relative_to(ROOT))
