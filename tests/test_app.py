"""The application as a process: its settings, and how it fails and ends."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx2
import pytest
from gradio_client import Client

from app import _bind
from onboarding.settings import Settings
from tests.hardening.serving import running
from tests.waiting import eventually


def test_settings_have_working_defaults(tmp_path: Path) -> None:
    settings = Settings.from_env({"DATA_DIR": str(tmp_path)})
    assert (settings.host, settings.port, settings.parts.model) == ("127.0.0.1", 7860, "auto")
    assert settings.parts.limits.ram_bytes * 4 == settings.parts.limits.disk_bytes == 3_000_000_000


def test_a_space_of_the_sdk_gradio_names_host_and_port_in_gradios_words(tmp_path: Path) -> None:
    env = {"DATA_DIR": str(tmp_path), "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": "7861"}
    for given, seen in (({}, ("0.0.0.0", 7861)), ({"HOST": "127.0.0.2", "PORT": "80"}, ("127.0.0.2", 80))):
        settings = Settings.from_env(env | given)
        assert (settings.host, settings.port) == seen


def test_a_dataset_for_feedback_needs_a_token_and_says_so(tmp_path: Path) -> None:
    env = {"DATA_DIR": str(tmp_path), "FEEDBACK_REPO": "someone/feedback"}
    with pytest.raises(SystemExit, match="HF_TOKEN"):
        Settings.from_env(env)
    assert Settings.from_env(env | {"HF_TOKEN": "t"}).feedback.repo == "someone/feedback"
    assert Settings.from_env({"DATA_DIR": str(tmp_path), "HF_TOKEN": "t"}).feedback.token == ""


def test_a_port_in_use_ends_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(
            SystemExit, match=f"Port {port} on 127.0.0.1 cannot be used .*; choose another one with PORT="
        ):
            _bind("127.0.0.1", port)


def test_a_bad_model_leaves_the_page_up_and_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    with running(tmp_path, MODEL=str(tmp_path / "pointer.gguf")) as app:
        assert "Git LFS pointer" in app.wait_for("model", "failed")
        assert "Qubinode Navigator" in httpx2.get(app.url).text
        app.process.send_signal(signal.SIGINT)
        assert app.process.wait(timeout=20) == 0


@pytest.mark.parametrize("moment", ["loading", "reading"])
def test_ctrl_c_ends_cleanly_whatever_is_being_done(tmp_path: Path, smol: Path, moment: str) -> None:
    with running(tmp_path, MODEL=str(smol)) as app:
        eventually(app.state)
        if moment == "reading":
            app.wait_for("search", "ready")
            question = "Which variables must I set? " * 60
            Client(app.url, verbose=False).submit(question, api_name="/ask")
        app.process.send_signal(signal.SIGINT)
        assert app.process.wait(timeout=30) == 0
        said = app.log
    assert "terminate called" not in said
    assert "Segmentation" not in said
