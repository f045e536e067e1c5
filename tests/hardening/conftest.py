"""One whole application for all tests that only ask it something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hardening.serving import App, running


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Served with the engine that needs no model; everything else is real."""
    with running(tmp_path_factory.mktemp("app"), ENGINE="scripted") as served:
        served.wait_until_ready()
        yield served
