"""The way of one question through the code, counted: files, functions, moves between files, calls of the encoder.

The question goes to the guide as the page uses it, over our own pages, with the scripted engine. Others are asked
first, so that nothing counts that happens only once. Only the asking thread is looked at: the engine, the sandbox and
the page have threads of their own. A move is a call or a return that leads from one of our files into another.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from model.prompting.conversation import Conversation
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from rag.embedding.embedder import Embedder

ROOT = Path(__file__).parents[2]
OURS = tuple(f"{ROOT}/{package}/" for package in ("onboarding", "model", "rag", "tools"))
QUESTION = "which port does airflow use?"
WARM_UP = ("what is qubinode navigator?", "which port does cockpit use?")
LOADING_S = 300.0


class Walk:
    """What one thread calls of our own code while it is watched."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()
        self.moves: Counter[tuple[str, str]] = Counter()
        self.encoded = 0  # calls of the encoder
        self._at = ""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the calling thread inside the block."""
        sys.setprofile(self._look)
        try:
            yield
        finally:
            sys.setprofile(None)

    def report(self) -> dict[str, Any]:
        """Return the four counts and the busiest ways."""
        ways = Counter[str]()
        for (start, end), count in self.moves.items():
            ways[" <-> ".join(sorted((start, end)))] += count
        return {
            "files": len({file for file, _ in self.functions}),
            "functions": len(self.functions),
            "moves": self.moves.total(),
            "encoder_calls": self.encoded,
            "busiest": dict(ways.most_common(8)),
        }

    def _look(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and _is_ours(frame):
            self.functions.add((_file(frame), frame.f_code.co_qualname))
            self._go(_file(frame))
        elif event == "return" and _is_ours(frame):
            caller = frame.f_back
            while caller is not None and not _is_ours(caller):
                caller = caller.f_back
            if caller is not None:
                self._go(_file(caller))

    def _go(self, file: str) -> None:
        if self._at and file != self._at:
            self.moves[self._at, file] += 1
        self._at = file


def main(argv: Sequence[str]) -> int:
    """Print the counts as JSON, or as a short table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks path")
    parser.add_argument("question", nargs="?", default=QUESTION)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), options.question)
    print(json.dumps(found, indent=None if options.json else 1))
    return 0


def run(data: Path, question: str = QUESTION) -> dict[str, Any]:
    """Return the counts of one question; `data` is an empty folder for the index."""
    parts = Parts(PartsSettings(engine="scripted", data=data))
    guide, walk = Guide(parts), Walk()
    with closing(parts):
        parts.start()
        _wait(parts)
        for earlier in WARM_UP:
            list(guide.ask(earlier, Conversation.new()))
        with _counting(walk), walk.watched():
            for _ in guide.ask(question, Conversation.new()):
                pass
    return walk.report()


def _wait(parts: Parts) -> None:
    end = time.monotonic() + LOADING_S
    while set(parts.status.values()) != {"ready"}:
        if time.monotonic() > end or any(state.startswith("failed") for state in parts.status.values()):
            raise RuntimeError(f"not everything loads: {parts.status}")
        time.sleep(0.05)


@contextmanager
def _counting(walk: Walk) -> Iterator[None]:
    """Count the encoder's calls inside the block, those of this thread."""
    encode, asking = Embedder.encode, threading.get_ident()

    def counted(self: Embedder, texts: Sequence[str]) -> np.ndarray:
        walk.encoded += threading.get_ident() == asking
        return encode(self, texts)

    Embedder.encode = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        Embedder.encode = encode  # type: ignore[method-assign]


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(OURS)


def _file(frame: FrameType) -> str:
    return str(Path(frame.f_code.co_filename).relative_to(ROOT))
