"""Bundles reader, router, page topics and tool choice over one encoder: all that decides about a message."""

from dataclasses import dataclass
from pathlib import Path

from onboarding.routing.about import PageTopics
from onboarding.routing.classifier import ARTEFACT, Classifier, load
from onboarding.routing.language.lexicon import load_lexicon
from onboarding.routing.reading import Reader
from onboarding.routing.router import Router
from onboarding.routing.tool_choice import ToolChooser
from rag.index.store import Encoder
from tools.registry import Registry


@dataclass(frozen=True, slots=True)
class Routing:
    """A reader, and what decides about its readings."""

    reader: Reader
    router: Router
    topics: PageTopics
    chooser: ToolChooser


def load_routing(encoder: Encoder, folder: Path = ARTEFACT, registry: Registry | None = None) -> Routing:
    """Load the classifiers of `folder`. Raises ArtefactStale when they were trained with another encoder."""
    router, tools, about = (load(name, encoder, folder) for name in ("router", "tools", "about"))
    return _routing(encoder, router, tools, about, registry)


def routing_without_classifiers(encoder: Encoder, registry: Registry | None = None) -> Routing:
    """Return the routing for an encoder without trained classifiers: it refuses attacks and tells nothing else apart."""
    return _routing(encoder, None, None, None, registry)


def _routing(
    encoder: Encoder,
    router: Classifier | None,
    tools: Classifier | None,
    about: Classifier | None,
    registry: Registry | None,
) -> Routing:
    reader = Reader(encoder, load_lexicon())
    chooser = ToolChooser(reader.lexicon, tools, (registry or Registry.default()).list_tools())
    return Routing(reader, Router(router), PageTopics(about), chooser)
