"""secretlint is run over every text, and a run that looked at nothing is no pass; with a stand-in for the program."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import image_files
import pytest
import secret_scan
from secretlint import SecretlintFailed, lint

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".data" / "ci" / "secretlint"
TOKEN = "gh" + "p_abcdefghijklmnopqrstuvwxyz0123456789"

# What secretlint prints for the files of its folder; BLIND finds nothing, PASSES_OVER leaves names out as it would.
NODE = """#!{python}
import json, pathlib, re, sys
assert json.loads(pathlib.Path({rules!r}).read_text())["rules"]
results = []
for path in sorted(pathlib.Path.cwd().iterdir()):
    if path.name in {passes_over!r}:
        continue
    text = path.read_text("utf-8")
    hits = [] if {blind} else re.finditer(r"gh[p]_[A-Za-z0-9]{{36}}", text)
    messages = [
        {{"messageId": "GITHUB_TOKEN", "loc": {{"start": {{"line": text.count(chr(10), 0, hit.start()) + 1}}}}}}
        for hit in hits
    ]
    kind = "binary" if re.search("[\\0-\\x08]", text) else "text"
    results.append({{"filePath": str(path), "sourceContentType": kind, "messages": messages}})
pathlib.Path(sys.argv[sys.argv.index("--output") + 1]).write_text(json.dumps(results))
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the rules; `node` is a stand-in."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    shutil.copy(ROOT / ".github" / "secretlint" / "secretlintrc.json", tmp_path)
    put(tmp_path)
    return tmp_path


def put(folder: Path, *, blind: bool = False, passes_over: tuple[str, ...] = ()) -> None:
    rules = str(folder / "secretlintrc.json")
    program = NODE.format(python=sys.executable, rules=rules, blind=blind, passes_over=passes_over)
    (folder / "bin" / "node").write_text(program)
    (folder / "bin" / "node").chmod(0o755)


def test_a_finding_names_place_and_kind_and_never_the_value(node: Path) -> None:
    texts = [("a/clean.md", "nothing\n"), ("node_modules/a/package.json", f"{{}}\n\n{TOKEN}\n"), ("b", TOKEN)]
    assert lint(texts, node) == [
        "node_modules/a/package.json:3: secretlint GITHUB_TOKEN",
        "b:1: secretlint GITHUB_TOKEN",
    ]


def test_a_text_that_would_pass_for_binary_is_searched(node: Path) -> None:
    assert lint([("a", f"\0\x01\n{TOKEN}")], node) == ["a:2: secretlint GITHUB_TOKEN"]


def test_a_comment_that_switches_it_off_is_a_finding(node: Path) -> None:
    assert lint([("a", "one\n# secretlint-" + "disable\n")], node) == ["a:2: a comment, secretlint-" + "disable"]


def test_a_run_that_does_not_find_what_was_planted_is_no_pass(node: Path) -> None:
    put(node, blind=True)
    with pytest.raises(SecretlintFailed, match="did not find a planted credential"):
        lint([("a", "nothing")], node)


def test_a_text_that_was_passed_over_is_no_pass(node: Path) -> None:
    put(node, passes_over=("1.txt",))
    with pytest.raises(SecretlintFailed, match="passed over 1 of 3 texts, such as b"):
        lint([("a", ""), ("b", "")], node)


def test_without_node_nothing_is_searched_and_that_is_said(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(node))
    with pytest.raises(SecretlintFailed, match="it needs Node 20 or newer"):
        lint([("a", "")], node)


def test_without_its_package_the_command_to_run_is_named(node: Path) -> None:
    (node / "bin" / "node").write_text("#!/bin/sh\necho Cannot find module >&2\nexit 1\n")
    with pytest.raises(SecretlintFailed, match="run `make secretlint`: Cannot find module"):
        lint([("a", "")], node)


def test_the_search_of_tree_and_history_asks_both_finders(
    node: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path_factory.mktemp("clone")
    git = ["git", "-C", str(root), "-c", "user.name=Someone", "-c", "user.email=someone@example.org"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    (root / "notes.txt").write_text(f"first\n{TOKEN}\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    command = ["--root", str(root), "--history", "--secretlint", str(node)]
    assert secret_scan.main(command) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[2] for line in said[:-1]] == [*["GitHub Token"] * 2, *["secretlint GITHUB_TOKEN"] * 2]
    assert said[-1].endswith("4 credentials found by detect-secrets' formats and secretlint")
    put(node, blind=True)
    assert secret_scan.main(command) == 2


def test_the_search_of_an_image_asks_both_finders_about_files_and_settings(
    node: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        member = tarfile.TarInfo("home/user/notes.txt")
        member.size = len(TOKEN)
        archive.addfile(member, io.BytesIO(TOKEN.encode()))
    config = json.dumps([{"Config": {"Env": [f"TOKEN={TOKEN}"]}}])
    path = tmp_path / "engine"
    path.write_text(
        f"""#!{sys.executable}
import shutil, sys
print({config!r} if sys.argv[1:3] == ["image", "inspect"] else "" if sys.argv[1] == "image" else "c0ffee")
if sys.argv[1] == "export":
    shutil.copy({str(tmp_path / "image.tar")!r}, sys.argv[3])
"""
    )
    path.chmod(0o755)
    command = ["--engine", str(path), "app:1", "--secretlint", str(node)]
    assert image_files.main(command) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1:-1] == [
        "settings of the image:5: GitHub Token",
        "home/user/notes.txt:1: GitHub Token",
        "settings of the image:5: secretlint GITHUB_TOKEN",
        "home/user/notes.txt:1: secretlint GITHUB_TOKEN",
    ]
    put(node, blind=True)
    assert image_files.main(command) == 2


def test_every_package_is_held_by_its_checksum_and_the_versions_are_exact() -> None:
    folder = ROOT / ".github" / "secretlint"
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert all(one["integrity"].startswith("sha512-") for path, one in packages.items() if path)
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted


@pytest.mark.skipif(not (INSTALLED / ".installed").is_file(), reason="make secretlint installs it")
def test_the_program_itself_finds_what_is_planted() -> None:
    rows = [("clean", "nothing\n"), ("a/.npmrc", f"one\n//example.org/:_authToken={TOKEN}\n"), ("b.png", f"\0{TOKEN}")]
    found = lint(rows, INSTALLED)
    assert {line.partition(":")[0] for line in found} == {"a/.npmrc", "b.png"}
