"""`python -m rag search` searches what the app searches, and says how far it came."""

from pathlib import Path

import pytest

import rag.cli
from rag.index.build import build
from tests.rag_fakes import WordHashEncoder

PAGE = "# Doors\n\n## Ports\n\nAirflow listens on port 8888 of the host.\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rag.cli, "Embedder", lambda _model: WordHashEncoder())
    for name, text in (("index", PAGE), ("other", PAGE.replace("8888", "9999")), ("up", PAGE.replace("8888", "7777"))):
        (tmp_path / f"{name}-pages").mkdir()
        (tmp_path / f"{name}-pages" / f"{name}.md").write_text(text)
        build(tmp_path / f"{name}-pages", tmp_path / name, WordHashEncoder())
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ABSTAIN_BELOW", "0")
    for name in ("INDEX", "UPSTREAM_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_index_of_the_data_folder_is_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert rag.cli.main(["which port is airflow on"]) == 0
    assert "port 8888" in capsys.readouterr().out


def test_an_index_named_in_the_environment_is_searched_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INDEX", str(folder / "other"))
    monkeypatch.setenv("UPSTREAM_INDEX", str(folder / "up"))
    assert rag.cli.main(["search", "which port is airflow on"]) == 0
    said = capsys.readouterr().out
    assert "port 9999" in said
    assert "up.md" not in said


def test_upstreams_index_named_in_the_environment_stands_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UPSTREAM_INDEX", str(folder / "up"))
    assert rag.cli.main(["which port is airflow on"]) == 0
    said = capsys.readouterr().out
    assert "index.md" in said
    assert "up.md" in said
    monkeypatch.setenv("UPSTREAM_INDEX", str(folder / "nowhere"))
    assert rag.cli.main(["which port is airflow on"]) == 2
    assert "there is no index" in capsys.readouterr().err


def test_what_no_passage_speaks_of_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rag.search.retriever.Retriever.missing", lambda _self, _look: ("wireguard",))
    assert rag.cli.main(["which wireguard port is airflow on"]) == 0
    assert "near: no passage speaks of wireguard" in capsys.readouterr().out
