"""Routing over the real embedding, loaded once for the test modules that name this plugin, and what makes readings."""

from collections.abc import Sequence

import numpy as np
import pytest

from onboarding.routing.language.lexicon import load_lexicon
from onboarding.routing.reading import Reader, Reading
from onboarding.routing.router import Route
from onboarding.routing.routing import Routing, load_routing
from onboarding.routing.tool_choice import ToolChoice
from rag.embedding.embedder import Embedder


class ZeroEncoder:
    """Gives zero vectors: what is left of a message's features are its words and characters."""

    name, digest, dimension = "zero", "zero", 384

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        return np.zeros((len(texts), self.dimension), dtype=np.float32)


READER = Reader(ZeroEncoder(), load_lexicon())


def read(text: str, history: Sequence[str] = ()) -> Reading:
    """The reading of a message whose vector does not matter."""
    return READER.read(text, history)


@pytest.fixture(scope="session")
def routing() -> Routing:
    return load_routing(Embedder())


def route_of(routing: Routing, text: str, history: Sequence[str] = ()) -> Route:
    """The route of a message."""
    return routing.router.route(routing.reader.read(text, history))


def choice_of(routing: Routing, text: str, route: Route, history: Sequence[str] = ()) -> ToolChoice:
    """What a message on a route wants."""
    return routing.chooser.choose(routing.reader.read(text, history), route)
