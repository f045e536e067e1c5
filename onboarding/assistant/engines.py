"""Keeps the engines that answer, and which of them new conversations get."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from model.engine.protocol import Engine

Opener = Callable[[], Engine]  # opens an engine once more should it end


class Engines:
    """The engines by name, each better than those before it. Any thread may use it."""

    def __init__(self) -> None:
        self.current = ""  # name of the one that new conversations get, "" while there is none
        self.by_name: dict[str, Engine] = {}  # to be read; the methods change it
        self._openers: dict[str, Opener] = {}

    def __iter__(self) -> Iterator[Engine]:
        return iter(list(self.by_name.values()))

    def serve(self, engine: Engine, opener: Opener | None = None) -> None:
        """Let an engine answer from the next conversation on."""
        self.by_name[engine.info.name] = engine
        if opener:
            self._openers[engine.info.name] = opener
        self.current = engine.info.name

    def stand_by(self, engine: Engine) -> None:
        """Put an engine before all others: it answers the conversations that began with it."""
        self.by_name = {engine.info.name: engine, **self.by_name}

    def take_out(self, name: str) -> Engine | None:
        """Take an engine out of service and return it; the best of the others answers from now on."""
        engine = self.by_name.pop(name, None)
        self.current = next(reversed(self.by_name), "")
        return engine

    def retire(self, name: str) -> Engine | None:
        """Take an engine out of service for good: nobody opens it again."""
        self._openers.pop(name, None)
        return self.take_out(name)

    def opener(self, name: str) -> Opener | None:
        """Return what opens an engine again; None for one that was retired, or cannot be opened again."""
        return self._openers.get(name)

    def ended(self) -> list[Engine]:
        """Return the engines whose thread has ended and that can be opened again."""
        return [one for one in self if one.load().silent_s == math.inf and one.info.name in self._openers]

    @property
    def silent_s(self) -> float:
        """The longest time in seconds that an engine with work has shown no life."""
        return max((engine.load().silent_s for engine in self), default=0.0)
