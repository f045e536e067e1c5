"""Imports go one way: app -> onboarding -> model -> {rag, tools}; heavy libraries are imported in one place each."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

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
    "transformers": {"rag/embedding/sentence_transformers.py"},
}


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
