"""Imports go one way: app -> onboarding -> model -> {rag, tools}, and in no circle between rooms; heavy libraries are
imported in one place each.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
import rooms

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "rag": {"rag"},
    "tools": {"tools"},
    "model": {"model", "rag", "tools"},
    "onboarding": {"onboarding", "model", "rag", "tools"},
}
OURS = {"app", *ALLOWED}
HOMES = {
    "llama_cpp": {"rag/embedding/llama_runtime.py"},
    "sentence_transformers": {"rag/embedding/sentence_transformers.py"},
    "transformers": {
        "model/tuning/base.py",
        "model/tuning/training.py",
        "rag/embedding/sentence_transformers.py",
    },
    "peft": {"model/tuning/training.py"},
    "trl": {"model/tuning/training.py"},
}


@cache
def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert {str(f): imported(f) & OURS - ALLOWED[package] for f in files if imported(f) & OURS - ALLOWED[package]} == {}


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_heavy_library_is_imported_in_one_file(library: str) -> None:
    files = [f for package in ALLOWED for f in (ROOT / package).rglob("*.py")]
    assert {str(f.relative_to(ROOT)) for f in files if library in imported(f)} == HOMES[library]


def test_gradio_stays_in_the_page() -> None:
    files = [f for package in ("rag", "tools", "model") for f in (ROOT / package).rglob("*.py")]
    assert [f for f in files if "gradio" in imported(f)] == []


def test_rooms_are_small_and_import_each_other_in_no_circle() -> None:
    found = rooms.read_rooms(ROOT)
    assert {"app.py", "model/engine/", "onboarding/ui/chat/", "rag/search/", "tools/types.py"} <= found.keys()
    assert rooms.faults(found) == []


def planted(root: Path, modules: dict[str, str]) -> dict[str, rooms.Room]:
    """Return the rooms of a tree with these modules."""
    for name, text in modules.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return rooms.read_rooms(root)


def test_a_planted_circle_is_found(tmp_path: Path) -> None:
    modules = {
        "rag/index/build.py": "from rag.search import find\n",
        "rag/search/find.py": "def go() -> None:\n    import rag.words.split\n",
        "rag/words/split.py": "from rag.index.build import x\n",
        "rag/cli.py": "from rag.index import build\n",
    }
    found = planted(tmp_path, modules)
    assert rooms.circle(found) == {"rag/index/", "rag/search/", "rag/words/"}
    assert rooms.faults(found) == ["rag/index/ and rag/search/ and rag/words/ import each other in a circle"]


def test_rooms_too_large_are_found(tmp_path: Path) -> None:
    modules = {f"tools/checks/c{number}.py": "x = 1\n" for number in range(13)} | {
        "rag/long/one.py": '"""A docstring."""\n\n# a comment\n' + "x = 1\n" * 1501,
    }
    assert rooms.faults(planted(tmp_path, modules)) == [
        "rag/long/ has 1501 lines of code, more than 1500; divide it",
        "tools/checks/ has 13 files, more than 12; divide it",
    ]


def test_the_table_of_rooms_is_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted(
        tmp_path,
        {"rag/types.py": "x = 1\n", "rag/search/find.py": "from rag.types import x\n", "rag/search/__init__.py": ""},
    )
    page = tmp_path / rooms.PAGE
    page.parent.mkdir()
    page.write_text(f"# Page\n\n{rooms.START}\nold\n{rooms.END}\n\nAfter.\n")
    assert rooms.main([str(tmp_path), "--check"]) == 1
    assert "out of date; run: python .github/scripts/rooms.py" in capsys.readouterr().out
    assert rooms.main([str(tmp_path)]) == 0
    assert rooms.main([str(tmp_path), "--check"]) == 0
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    assert rows == ["| `rag/search/` | 2 | 50 |  |", "| `rag/types.py` | 1 | 50 | `rag/search/` |"]
    page.write_text("# No markers\n")
    with pytest.raises(ValueError, match="no table of rooms"):
        rooms.main([str(tmp_path)])
