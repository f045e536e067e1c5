"""Model files with something wrong: refused in one sentence, or found out and taken out of service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from model.catalogue.entries import EMBEDDED, catalogue, digest, prove
from model.engine.protocol import ModelUnusable
from tests.conftest import DataFolder
from tests.hardening.bad_models import BAD, BAD_ADAPTERS, ROTTEN
from tests.hardening.serving import ROOT, call, post, running
from tests.lora import write_adapter


@pytest.mark.timeout(400)  # it starts processes, which a busy machine does slowly
def test_every_bad_file_is_refused_with_what_to_do_and_none_ends_the_process(smol: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.hardening.bad_models", str(smol), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=170)
    told = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, f"after {len(told)} files: {done.stderr[-2000:]}"
    assert list(told) == list(BAD)
    assert len(told) >= 30
    for name, row in told.items():
        assert ("MODEL=" in row["own"]) or ("git lfs pull" in row["own"]), name
        assert row["locked"], name


@pytest.mark.timeout(400)  # a model is opened for each file that llama.cpp has to judge
def test_every_bad_adapter_is_refused_with_what_to_do_and_none_ends_the_process(smol: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "sound.gguf")
    (tmp_path / "bad").mkdir()
    command = [sys.executable, "-m", "tests.hardening.bad_models", str(smol), str(tmp_path / "bad"), str(adapter)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=380)
    told = {row["name"]: row["own"] for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, f"after {len(told)} files: {done.stderr[-2000:]}"
    assert list(told) == list(BAD_ADAPTERS)
    assert len(told) >= 30
    for name, sentence in told.items():
        assert ("MODEL=" in sentence) or ("git lfs pull" in sentence), (name, sentence)
        assert sentence.isprintable(), (name, sentence)


def test_rot_is_found_against_the_lock_and_against_what_was_first_read(smol: Path, tmp_path: Path) -> None:
    rotten, memory, entry = tmp_path / "own.gguf", tmp_path / "digests.json", catalogue()[EMBEDDED]
    prove(smol, entry, memory)
    rotten.write_bytes(smol.read_bytes())
    digest(rotten, memory)
    prove(rotten, None, memory)
    rot(smol, rotten)
    for known in (None, entry):
        with pytest.raises(ModelUnusable, match=r"own\.gguf is damaged on the disk .* delete it and fetch it again"):
            prove(rotten, known, memory)
    prove(rotten, replace(entry, sha256=""), tmp_path / "nothing remembered")  # the gap: nothing to compare it with


def rot(sound: Path, path: Path) -> None:
    """Bits flip, size and time stay: what a disk does to a file, not what a person does."""
    stat = path.stat()
    ROTTEN(sound, path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.timeout(400)  # it starts processes, which a busy machine does slowly
def test_with_a_rotten_model_the_page_is_up_says_so_and_does_the_rest(smol: Path, data_folder: DataFolder) -> None:
    data = data_folder()
    model = data / "own.gguf"
    model.write_bytes(smol.read_bytes())
    digest(model, data / "digests.json")  # as the start before did
    rot(smol, model)
    with running(data, MODEL=str(model)) as app:
        assert "own.gguf is damaged on the disk" in app.wait_for("model", "failed")
        app.wait_for("search", "ready")
        state = app.state()
        assert (state["status"], state["parts"]["router"]) == ("degraded", "ready")
        assert httpx2.get(app.url).status_code == 200
        assert call(app, "search", "Is RHEL 8 supported?", 2)[1]["passages"]
        assert call(app, "system_info", "healthy")[1]["success"]
        assert len(call(app, "tours")[1]) == 4
        answer = call(app, "ask", "Is RHEL 8 supported?", "healthy")[1]
        assert (answer["reason"], answer["model"]) == ("stop", "")
        assert answer["sources"]
        assert any("not ready" in notice for notice in answer["notices"])
        handlers = httpx2.get(f"{app.url}/config").json()["dependencies"]
        header = next(one["id"] for one in handlers if not one["inputs"] and one["targets"][0][1] == "tick")
        drawn = post(app, "/gradio_api/run/predict", {"fn_index": header, "session_hash": "s", "data": []}).text
        assert "degraded" in drawn
        assert "is damaged on the disk" in drawn
