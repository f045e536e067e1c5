"""What the documents tell a reader to type, import or open is there."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from workflows import known_targets

from tests.hardening.command_lines import LIST

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
    if path.name != "CHANGELOG.md"  # tells of releases in which other things were there
)  # fmt: skip
PYTHON = re.compile(r"\bpython (?:-m ([\w.]+)|([\w./]+\.py))([^`\n#|]*)")
MAKE = re.compile(r"(?:`|^    )(?:[A-Z_]+=\S+ )*make((?: [a-z][\w-]*)+)", re.M)
IMPORT = re.compile(r"^    from ((?:rag|model|onboarding|tools)[\w.]*) import (.+)$", re.M)
DOTTED = re.compile(r"`((?:rag|model|onboarding|tools)(?:\.\w+)+)`")
PATH = re.compile(r"`((?:rag|model|onboarding|tools|tests|docs|\.github)/[\w./*-]*)`")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b|\*\*")


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def entry_of(module: str, script: str) -> str:
    """The file that Python runs."""
    path = module.replace(".", "/")
    return script or (f"{path}/__main__.py" if (ROOT / path / "__main__.py").is_file() else f"{path}.py")


@cache
def commands() -> dict[str, list[dict[str, Any]]]:
    """Entry -> its commands, of all entries that a document names; from their own parsers, in one process."""
    named = {entry_of(module, script) for page in PAGES for module, script, _ in PYTHON.findall(text(page))}
    ours = sorted(name for name in named - {"app.py", "pytest.py"} if (ROOT / name).is_file())
    done = subprocess.run(
        [sys.executable, "-m", "tests.hardening.command_lines", LIST, *ours], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ours}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        found[row["entry"]].append(row)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_documented_command_can_be_typed(page: str) -> None:
    wrong = []
    for module, script, rest in PYTHON.findall(text(page)):
        if module == "pytest":
            continue
        entry = entry_of(module, script)
        if not (ROOT / entry).is_file():
            wrong.append(f"{entry} is not there")
            continue
        words = shlex.split(rest.split("   ")[0].strip(" .,:;)"))
        known = commands().get(entry, [])
        named = [one for one in known if words[: len(one["words"])] == list(one["words"]) and one["words"]]
        options = {name for one in named or known for name in one["options"]}
        asked = {word.partition("=")[0] for word in words if re.match(r"--\w", word)}
        if known and not named and all(one["words"] for one in known) and re.fullmatch(r"[a-z_]+", (*words, "")[0]):
            wrong.append(f"python {module or script} {words[0]}: there is no such command")
        if known and not asked <= options:
            wrong.append(f"python {module or script} {rest}: {', '.join(asked - options)} is unknown")
    for targets in MAKE.findall(text(page)):
        wrong += [
            f"make {name}: there is no such target" for name in targets.split() if name not in known_targets(ROOT)
        ]
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_every_documented_name_and_path_is_there(page: str) -> None:
    names = [
        f"{module}.{name.strip()}" for module, several in IMPORT.findall(text(page)) for name in several.split(",")
    ]
    wrong = [name for name in (*names, *DOTTED.findall(text(page))) if not is_there(name)]
    paths = [path for path in PATH.findall(text(page)) if not PLACEHOLDER.search(path)]
    assert wrong + [path for path in paths if not any(ROOT.glob(path.rstrip("/")))] == []


def is_there(name: str) -> bool:
    """Whether a dotted name leads from a module to something in it."""
    module, *rest = name.split(".")
    found: Any = importlib.import_module(module)
    for part in rest:
        module = f"{module}.{part}"
        if not hasattr(found, part):
            try:
                importlib.import_module(module)
            except ModuleNotFoundError:
                return False
        found = getattr(found, part)
    return True
