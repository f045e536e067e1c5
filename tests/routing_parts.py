"""Router and tool chooser over the real embedding, loaded once for the test modules that name this plugin."""

import pytest

from onboarding.router import Router
from onboarding.tool_choice import ToolChooser
from rag.embedder import Embedder


@pytest.fixture(scope="session")
def router() -> Router:
    return Router(Embedder())


@pytest.fixture(scope="session")
def chooser(router: Router) -> ToolChooser:
    return ToolChooser(router.reader.encoder, router.reader)
