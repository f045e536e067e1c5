"""What a newcomer is told exists: commands, files and links in the community's pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tags import notes
from workflow_files import read_project

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "CODE_OF_CONDUCT.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
PLACEHOLDER = re.compile(r"NAME|ROUTE|VARIANT")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    code = re.findall(r"`[^`\n]+`|^    .*$", text, re.MULTILINE)
    calls = [call for line in code for call in re.findall(r"\bmake ([a-z -]*[a-z])", line)]
    known = read_project(ROOT).recipes
    assert {target for call in calls for target in call.split() if target not in known} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_path_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    paths = re.findall(r"`((?:rag|onboarding|tools|model|tests|docs|\.github)/[\w./-]*)`", text)
    assert [path for path in paths if not PLACEHOLDER.search(path) and not (ROOT / path).exists()] == []
    files = re.findall(r"\btests/test_\w+\.py", text)
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_code_owners_watch_paths_that_exist() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    paths = [line.split()[0] for line in lines if line and not line.startswith(("#", "*"))]
    assert [path for path in paths if not (ROOT / path.strip("/")).exists()] == []


def test_the_changelog_has_something_for_the_next_release() -> None:
    assert "- " in notes("Unreleased", (ROOT / "CHANGELOG.md").read_text())
