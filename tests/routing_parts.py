"""Router and tool chooser over the real embedding, loaded once for the test modules that name this plugin."""

import pytest

from onboarding.routing.router import Router
from onboarding.routing.tool_choice import ToolChooser
from rag.embedding.embedder import Embedder


@pytest.fixture(scope="session")
def router() -> Router:
    return Router(Embedder())


@pytest.fixture(scope="session")
def chooser(router: Router) -> ToolChooser:
    return ToolChooser(router.reader.encoder, router.reader)
