"""A class's name is said once: two classes of one name are two things that a reader takes for one."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent


def namesakes(root: Path) -> dict[str, list[str]]:
    """Return the names that more than one class has, with the files of these classes."""
    found: dict[str, list[str]] = defaultdict(list)
    packages = ("model", "onboarding", "rag", "tools")
    for file in [root / "app.py", *(file for package in packages for file in sorted((root / package).rglob("*.py")))]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(file.relative_to(root)))
    return {name: files for name, files in sorted(found.items()) if len(files) > 1}


def test_no_two_classes_have_one_name() -> None:
    assert namesakes(ROOT) == {}


def test_a_planted_namesake_is_found(tmp_path: Path) -> None:
    for name, text in {
        "app.py": "class A: ...\n",
        "rag/b.py": "def f() -> None:\n    class A: ...\n",
        "model/c.py": "class C: ...\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert namesakes(tmp_path) == {"A": ["app.py", "rag/b.py"]}
