"""What a newcomer is told exists: commands, files, modules and links in the project's pages."""

from __future__ import annotations

import pkgutil
import re
import tomllib
from pathlib import Path

import pytest
from release import ReleaseRefused, notes
from workflows import known_targets, read, targets

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CODE_OF_CONDUCT.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
PLACEHOLDER = re.compile(r"NAME|ROUTE|VARIANT")
FOLDERS = r"rag|onboarding|tools|model|tests|docs|\.github"
PACKAGES = "rag|onboarding|tools|model|tests"


def missing(text: str) -> list[str]:
    """Return the paths, modules, names and test files of this project in a text that do not exist."""
    paths = [path.rstrip(".") for path in re.findall(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./*-]*+(?!\\)", text)]
    names = re.findall(rf"`((?:{PACKAGES})\.[\w.]+)", text)
    modules = re.findall(rf"python -m ((?:{PACKAGES})[\w.]*)", text)
    tests = re.findall(r"`((?:\w+/)?test_\w+\*?\.py)`", text)
    return [
        *(path for path in paths if not PLACEHOLDER.search(path) and not any(ROOT.glob(path))),
        *(name for name in names if not resolves(name)),
        *(module for module in modules if not runs(ROOT / module.replace(".", "/"))),
        *(test for test in tests if not any((ROOT / "tests").rglob(test))),
    ]


def runs(module: Path) -> bool:
    return module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()


def resolves(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    code = re.findall(r"`[^`\n]+`|^    .*$", text, re.MULTILINE)
    calls = [call for line in code for call in re.findall(r"\bmake ([a-z -]*[a-z])", line)]
    known = known_targets(ROOT)
    assert {target for call in calls for target in call.split() if target not in known} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_path_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert missing(text) == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"], ids=["where-to-change-what", "where-to-start"])
def test_the_tables_of_what_to_change_name_paths_that_exist(page: str) -> None:
    title = {"README.md": "## Where to change what", "CONTRIBUTING.md": "## Where to start"}[page]
    _, found, rest = (ROOT / page).read_text().partition(f"{title}\n")
    rows = [line for line in rest.partition("\n## ")[0].splitlines() if line.startswith("| ")][2:]
    paths = re.findall(rf"(?:{FOLDERS})/[\w./*-]+", "\n".join(rows))
    assert found
    assert len(rows) >= 8
    assert len(paths) >= 8
    assert missing("\n".join(rows)) == []


def test_what_does_not_exist_is_found() -> None:
    said = "`rag/nowhere/*.md`, tests/rag/test_index.py, `rag.types.Passage`, `rag.hub`, `test_lost.py`, `python -m rag.gone`"
    assert missing(said) == ["rag/nowhere/*.md", "rag.hub", "rag.gone", "test_lost.py"]


def test_code_owners_watch_paths_that_exist() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    paths = [line.split()[0] for line in lines if line and not line.startswith(("#", "*"))]
    assert [path for path in paths if not (ROOT / path.strip("/")).exists()] == []


def test_the_changelog_has_something_for_the_next_release_or_was_just_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert is_ready(text, version)
    released = text.replace("## [Unreleased]", f"## [Unreleased]\n\n## [{version}] - 2026-12-01", 1)
    assert is_ready(released, version)  # as the instructions for a release leave it
    assert is_ready(released.replace("## [Unreleased]\n", "", 1), version)
    assert not is_ready(released, "9.9.9")


def is_ready(changelog: str, version: str) -> bool:
    """Whether "Unreleased" says something, or the newest section is the version's."""
    try:
        return "- " in notes("Unreleased", changelog)
    except ReleaseRefused:
        heads = [head for head in re.findall(r"^## \[([^\]]+)\]", changelog, re.MULTILINE) if head != "Unreleased"]
        return heads[:1] == [version]


def test_the_name_of_a_failing_job_is_a_target_as_contributing_says() -> None:
    for name in ("ci", "security"):
        for job, tree in read(ROOT)[name]["jobs"].items():
            called = [word for step in tree.get("steps", ()) for word in targets(step.get("run", ""))]
            assert not called or job in called
