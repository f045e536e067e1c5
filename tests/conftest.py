"""What several test modules share: the embedded model's file, and an engine over it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model.catalogue.download import fetch, find
from model.catalogue.entries import EMBEDDED, catalogue
from model.engine.llama import ContextOptions, Llama
from model.engine.local import EngineOptions, LocalEngine
from model.engine.protocol import ModelInfo
from model.kv_cache.prefix_cache import DiskTier, PrefixCache
from rag.embedding.embedder import Embedder
from rag.index.build import build

# Begun first: no worker may be left with one of them while the other has nothing to do.
LONGEST = (
    *("test_instructions.py", "test_command_lines.py", "test_hostile_requests.py", "test_disk.py", "test_engine.py"),
    *("test_tours.py", "test_demo.py", "test_community.py", "test_real.py"),
)
BROWSER = Path(__file__).parent / "browser"
DATA = Path(__file__).parent.parent / ".data"
CORPUS = Path(__file__).parent.parent / "rag" / "corpus"
MB = 1_000_000

OpenEngine = Callable[..., LocalEngine]
DataFolder = Callable[[], Path]  # makes a new one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and the browser's last: Playwright keeps an event loop running until the end."""
    items.sort(key=lambda item: (BROWSER in item.path.parents, item.path.name not in LONGEST))


@pytest.fixture(scope="session")
def smol() -> Path:
    """SmolLM2-135M-Instruct, fetched as set-up does it where it is missing."""
    entry = catalogue()[EMBEDDED]
    return find(entry, DATA / "models") or fetch(entry, DATA / "models", lambda _done, _total: None)


@pytest.fixture(scope="session")
def own_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of our own pages, built once for all worker processes; to be read or copied, never written to."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "own-index.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "own-index").exists():
            build(CORPUS, folder / "own-index", Embedder())
    return folder / "own-index"


@pytest.fixture(scope="session")
def data_folder(own_index: Path, tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    """Makes a new data folder in which the application finds the index that its first start would build."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("data")
        shutil.copytree(own_index, folder / "index")
        return folder

    return make


@pytest.fixture
def open_engine(smol: Path) -> Iterator[OpenEngine]:
    """Opens engines over SmolLM2 and closes them after the test."""
    opened: list[LocalEngine] = []

    def open_one(
        folder: Path | None = None,
        *,
        cells: int = 2048,
        fingerprint: str = "test",
        ram: int = 64 * MB,
        disk: int = 64 * MB,
        options: EngineOptions | None = None,
        sequences: int = 12,
        flash: bool | None = None,
    ) -> LocalEngine:
        tier = DiskTier(folder, fingerprint, disk) if folder else None
        composed = bool(options and options.composed)
        context = ContextOptions(cells=cells, sequences=sequences, flash=not composed if flash is None else flash)
        info = ModelInfo("smol", "SmolLM2", 98, stand_in=True)
        engine = LocalEngine(lambda: Llama(smol, context), PrefixCache(ram, tier), info, options)
        opened.append(engine)
        return engine

    yield open_one
    for engine in opened:
        engine.close()
