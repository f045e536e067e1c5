"""Starts an engine again whose thread has ended; until then another model answers, or the documentation."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from model.engine.protocol import Engine, ModelUnusable
from onboarding.assistant.engines import Engines

logger = logging.getLogger(__name__)

WATCH_S = 1.0  # between two looks at the engines
RESTARTS, RESTARTS_WITHIN_S = 3, 600.0  # an engine that ends more often is left to whoever runs the process


class Watched(Protocol):
    """What the watchdog looks after, and says what it does by."""

    engines: Engines
    closed: threading.Event
    status: dict[str, str]
    note: str


class Watchdog:
    """Looks after the engines until `closed` is set."""

    def __init__(self, parts: Watched, serve: Callable[[Engine], None]) -> None:
        """serve: lets an engine answer from the next conversation on."""
        self.gave_up = False  # an engine ended and could not be started again
        self._parts = parts
        self._serve = serve
        self._ended: defaultdict[str, list[float]] = defaultdict(list)  # name -> when (monotonic)

    def start(self) -> None:
        """Begin to look; returns at once."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def _watch(self) -> None:
        while not self._parts.closed.wait(WATCH_S):
            self.restart_ended()

    def restart_ended(self) -> None:
        """Start every engine again whose thread has ended."""
        parts = self._parts
        for engine in parts.engines.ended():
            if parts.closed.is_set():
                return
            name, was_current = engine.info.name, parts.engines.current == engine.info.name
            parts.engines.take_out(name)
            before, parts.note = parts.note, f"{engine.info.label} has stopped and is started again."
            parts.status["model"] = f"restarting: {parts.note}"
            if self._restarted(name, was_current=was_current):
                parts.note, parts.status["model"] = before, "ready"

    def _restarted(self, name: str, *, was_current: bool) -> bool:
        """Return True once an engine of that name serves again, False where it was retired or fails too often."""
        parts = self._parts
        while not parts.closed.is_set() and (opener := parts.engines.opener(name)):
            now = time.monotonic()
            self._ended[name] = [at for at in self._ended[name] if now - at < RESTARTS_WITHIN_S] + [now]
            if len(self._ended[name]) > RESTARTS:
                parts.note = f"The model stopped {RESTARTS} times in a row; the log says why."
                logger.error("model: %s is not started again: it ended too often", name)
                parts.status["model"], self.gave_up = f"failed: {parts.note}", True
                return False
            logger.warning("model: %s is started again", name)
            try:
                engine = opener()
            except Exception as error:
                logger.error("model: %s: %s", name, error, exc_info=not isinstance(error, ModelUnusable))
                parts.closed.wait(WATCH_S)
                continue
            return self._put_back(engine, was_current=was_current)
        return False

    def _put_back(self, engine: Engine, *, was_current: bool) -> bool:
        """Let an engine that was opened again serve; False where it was retired, or all is closed, meanwhile."""
        parts = self._parts
        if parts.closed.is_set() or not parts.engines.opener(engine.info.name):
            engine.close()
            return False
        if was_current or not parts.engines.current:
            self._serve(engine)
        else:
            parts.engines.stand_by(engine)
        return True
