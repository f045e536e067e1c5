"""A disk that is full, or damaged: the chat goes on, and one command mends what can be mended."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from model.catalogue.entries import digest
from model.engine.protocol import Options
from rag.index.build import build
from tests.conftest import OpenEngine
from tests.hardening.serving import ROOT, call, post, running
from tests.model.test_engine import finish, prompt
from tests.rag_fakes import WordHashEncoder

SHORT = Options(max_tokens=8)
PAGE = "# One\n\nThe router of the lab listens on 8888, and pizza dough rests for a day.\n"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size; without the right to mount one, a limit on each file instead."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and not subprocess.run(mount, check=False, capture_output=True).returncode
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_under_the_prefix_cache_costs_snapshots_and_nothing_else(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "3m") as disk:
        engine = open_engine(disk)
        asked = [prompt(f"Question {i}", passage=f"Passage {i}. " * 30) for i in range(4)]
        ends = [finish(engine.submit(one, SHORT))[1] for one in asked]
        engine.close()  # every write has been tried
        assert {end.reason for end in ends} <= {"stop", "length"}
        assert list(disk.glob("*/*.part")) == []
        kept = list(disk.glob("*/*.kv"))
        assert len(kept) < 8  # four system prompts and passages did not fit
        again = open_engine(disk)  # what did fit is whole
        end = finish(again.submit(prompt("Question 0", passage="Passage 0. " * 30), SHORT))[1]
        assert end.reason in {"stop", "length"}
        again.close()


def test_a_disk_without_a_byte_left_keeps_no_model_from_loading(open_engine: OpenEngine, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    with small_disk(tmp_path / "disk", "64k") as disk:
        (disk / "digests.json").write_text("{}")
        with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while filler.write(b"x" * 4096):
                pass
        assert digest(file, disk / "digests.json") == digest(file)
        assert (disk / "digests.json").read_text() == "{}"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A sound index over one page that is not ours."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "one.md").write_text(PAGE)
    build(tmp_path / "pages", tmp_path / "index", WordHashEncoder())
    return tmp_path / "index"


@pytest.mark.timeout(400)  # it starts processes, which a busy machine does slowly
def test_answers_say_that_sources_are_missing_until_the_named_command_has_run(index: Path, tmp_path: Path) -> None:
    """The index was built with another model than the app's; the command is taken from the app's own message."""
    build(tmp_path / "pages", index, WordHashEncoder("another-model", 384))
    with running(tmp_path, ENGINE="scripted", INDEX=str(index)) as app:
        said = app.wait_for("search", "failed")
        assert "another-model" in said
        assert app.state()["status"] == "degraded"
        answer = call(app, "ask", "Where does the router of the lab listen?", "healthy")[1]
        assert "cannot be searched right now" in answer["answer"]
        assert call(app, "service_status", None, "healthy")[1]["success"]
        assert "still loading" in str(call(app, "search", "Where does it listen?", 2)) or "rag build" in str(
            post(app, "/gradio_api/call/search", {"data": ["Where does it listen?", 2]}).text
        )
        words = said.split("run: python ")[1].split()
        command = [sys.executable, *words[: words.index(str(index)) + 1]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        app.wait_for("search", "ready")
        assert "8888" in str(call(app, "search", "Where does the router of the lab listen?", 2)[1])
