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
        self._by_name: dict[str, Engine] = {}
        self._openers: dict[str, Opener] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Engine]:
        return iter(list(self._by_name.values()))

    def get(self, name: str) -> Engine | None:
        """Return the engine of that name."""
        return self._by_name.get(name)

    def serve(self, engine: Engine, opener: Opener | None = None) -> None:
        """Let an engine answer from the next conversation on."""
        self._by_name[engine.info.name] = engine
        if opener:
            self._openers[engine.info.name] = opener
        self.current = engine.info.name

    def stand_by(self, engine: Engine) -> None:
        """Put an engine before all others: it answers the conversations that began with it."""
        self._by_name = {engine.info.name: engine, **self._by_name}

    def take_out(self, name: str) -> Engine | None:
        """Take an engine out of service and return it; the best of the others answers from now on."""
        engine = self._by_name.pop(name, None)
        self.current = next(reversed(self._by_name), "")
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
