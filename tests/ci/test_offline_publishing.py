"""Dry runs of everything that is published: without a network, with a Hub that is forbidden, silent, failing or none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rag.publishing import hub
from rag.publishing.folder import FolderUnsound, check_folder
from rag.publishing.hub import HubFailed, Target, client, compare, preview
from tests.loopback import http_server

ROOT = Path(__file__).parents[2]
JUDGED = "tests/evals/own_fresh.jsonl"
CARD = "---\nlicense: cc-by-4.0\nconfigs:\n- config_name: rows\n  data_files: data/*.parquet\n---\n\n# Rows\n"
# name -> arguments, and what the folder then holds
COMMANDS = {
    "dataset": (
        ["-m", "rag", "publish", "--repo", "someone/pages", "--judged", JUDGED],
        "data/questions_judged.parquet",
    ),
    "models": (["-m", "model", "publish", "--repo", "someone"], "granite-4.0-micro-q4_k_m/README.md"),
    "space": ([".github/scripts/publish_space.py", "--repo", "someone/space"], "Dockerfile"),
}


class Page(BaseHTTPRequestHandler):
    """Answers everything with one status and a page, as proxies and portals do."""

    status, body = 200, b"<html>Please log in</html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)


@contextmanager
def answering(status: int, body: bytes = Page.body) -> Iterator[str]:
    """The address of a server that answers with one status."""
    handler = type("Handler", (Page,), {"status": status, "body": body})
    with http_server(handler) as address:
        yield address


def dry_run(name: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    # A process of its own: where the Hub is, and whether it may be asked, is read when its library is imported.
    clean = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"}
    command = [sys.executable, *COMMANDS[name][0], "--folder", str(folder)]
    return subprocess.run(command, env={**clean, **env, "PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True,
                          text=True, timeout=280, check=False)  # fmt: skip


@pytest.mark.timeout(300)  # processes, on a busy machine
@pytest.mark.parametrize("name", COMMANDS)
def test_with_hf_hub_offline_all_is_written_and_the_comparison_is_what_is_left_out(name: str, tmp_path: Path) -> None:
    done = dry_run(name, tmp_path / "out", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert "not compared with the Hub: someone/" in done.stdout
    assert "could not be read (HF_HUB_OFFLINE is set); unset it to ask the Hub" in done.stdout
    assert "file(s) would be sent" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "out" / COMMANDS[name][1]).is_file()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("status", [401, 404, 500, 200, 0], ids=["401", "404", "500", "a login page", "no network"])
def test_whatever_answers_in_the_hubs_place_a_dry_run_ends_with_the_folder_and_a_sentence(
    status: int, tmp_path: Path
) -> None:
    with answering(status) if status else nobody() as address:
        done = dry_run("dataset", tmp_path / "out", HF_ENDPOINT=address)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert ("would be sent" in done.stdout) or ("3 unchanged" in done.stdout) or ("to change" in done.stdout)
    assert (tmp_path / "out" / "README.md").is_file()


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text(CARD)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "data" / "one.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "set HF_TOKEN to a token that may read it"),
        (403, "set HF_TOKEN to a token that may read it"),
        (404, "check the network and HF_ENDPOINT"),
        (503, "run the same command again"),
        (200, "check the network and HF_ENDPOINT"),
    ],
)
def test_why_the_hub_could_not_be_read_is_said_with_what_to_do(folder: Path, status: int, said: str) -> None:
    body = b'{"error": "Invalid credentials in Authorization header"}' if status == 401 else Page.body
    with answering(status, body) as address:
        api = client(token_needed=False)
        api.endpoint = address
        with pytest.raises(HubFailed, match="someone/rows could not be read") as failed:
            compare(api, Target("someone/rows", "dataset"), folder)
    assert said in str(failed.value)


def test_a_name_that_is_none_is_a_sentence_too(folder: Path) -> None:
    with pytest.raises(HubFailed, match="name the repository as user/name"):
        compare(client(token_needed=False), Target("a b/c", "dataset"), folder)


def test_a_hub_that_is_silent_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SILENCE", dict.fromkeys(hub.SILENCE, 0.2))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        api = client(token_needed=False)
        api.endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(HubFailed, match="ReadTimeout"):
            compare(api, Target("someone/rows", "dataset"), folder)


# --- what a folder must hold -------------------------------------------------------------------------------


def test_a_sound_folder_passes(folder: Path) -> None:
    check_folder("dataset", folder)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("# No front matter\n", r"lacks license, configs"),
        ("---\nlicense: [\n---\n", "has no front matter that can be read"),
        ("---\n- a\n- b\n---\n", "has no front matter that can be read"),
        (CARD.replace("license: cc-by-4.0\n", ""), "lacks license in its front matter"),
        (CARD.replace("data/*.parquet", "data/gone.parquet"), r"names data/gone\.parquet, which is not there"),
    ],
)
def test_a_card_that_the_hub_would_refuse_or_not_show_is_found(folder: Path, card: str, said: str) -> None:
    (folder / "README.md").write_text(card)
    with pytest.raises(FolderUnsound, match=said):
        preview(Target("someone/rows", "dataset"), folder)


def test_a_card_that_is_missing_is_found(folder: Path) -> None:
    (folder / "README.md").unlink()
    with pytest.raises(FolderUnsound, match=r"README\.md"):
        check_folder("dataset", folder)


def test_tables_are_read_back(folder: Path) -> None:
    two = folder / "data" / "two.parquet"
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), two)
    with pytest.raises(FolderUnsound, match=r"data/two\.parquet has no rows"):
        check_folder("dataset", folder)
    pq.write_table(pa.table({"b": ["x"]}), two)
    with pytest.raises(FolderUnsound, match=r"data/two\.parquet has other columns than data/one\.parquet"):
        check_folder("dataset", folder)
    two.write_bytes((folder / "data" / "one.parquet").read_bytes()[:-20])
    with pytest.raises(FolderUnsound, match=r"data/two\.parquet cannot be read back"):
        check_folder("dataset", folder)


@pytest.mark.parametrize("sums", ["0" * 64 + "  README.md\n", "0" * 64 + "  gone.gguf\n"])
def test_checksums_that_do_not_hold_are_found(tmp_path: Path, sums: str) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\nbase_model: a/b\n---\n")
    (tmp_path / "SHA256SUMS").write_text(sums)
    with pytest.raises(FolderUnsound, match="SHA256SUMS"):
        check_folder("model", tmp_path)


def test_what_is_unsound_is_not_sent_either(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "client", lambda: pytest.fail("the Hub is asked"))
    (folder / "README.md").write_text("# No front matter\n")
    with pytest.raises(FolderUnsound, match="lacks license"):
        hub.published(Target("someone/rows", "dataset"), folder, "Update", sends=True)
