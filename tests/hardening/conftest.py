"""One whole application for all tests that only ask it something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import DataFolder
from tests.hardening.serving import App, running


@pytest.fixture(scope="session")
def app(data_folder: DataFolder) -> Iterator[App]:
    """Served with the engine that needs no model; everything else is real."""
    with running(data_folder(), ENGINE="scripted") as served:
        served.wait_until_ready()
        yield served
