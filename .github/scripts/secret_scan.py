"""Look for credentials in the tracked files and in everything the history ever added.

    secret_scan.py [--history] [--secretlint FOLDER] [--allow .github/secret_scan_allow.txt]

Uses the finders that guard publishing, which rest on detect-secrets, and secretlint where the folder that it is
installed in is named; entropy alone is not taken as a credential here, since a repository is full of digests. The
allow list holds paths of tests that plant secrets on purpose.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from command_line import ended
from secretlint import SecretlintFailed, found_by, lint

from rag.secrets.find import find_secrets


def tree(root: Path) -> Iterator[tuple[str, str]]:
    """(path, text) of every tracked text file."""
    for name in _git(root, "ls-files", "-z").split("\0"):
        path = root / name
        if name and path.is_file() and b"\0" not in (data := path.read_bytes())[:8000]:
            yield name, data.decode("utf-8", "replace")


def added(root: Path) -> Iterator[tuple[str, str]]:
    """(commit and path, added lines) of every change on every branch."""
    commit, path, lines = "", "", list[str]()
    for line in _git(root, "log", "--all", "--no-color", "-p", "-U0", "--format=commit %h").splitlines():
        if line.startswith(("commit ", "+++ ")):
            if lines:
                yield f"{commit}:{path}", "\n".join(lines)
            lines = []
            commit = line.split()[1] if line.startswith("commit ") else commit
            path = line[6:] if line.startswith("+++ b/") else path
        elif line.startswith("+"):
            lines.append(line[1:])
    if lines:
        yield f"{commit}:{path}", "\n".join(lines)


def findings(texts: Iterable[tuple[str, str]], allowed: Sequence[str], installed: Path | None = None) -> list[str]:
    """A line for each credential, naming kind and place and never the value. Raises SecretlintFailed."""
    searched = [(place, text) for place, text in texts if place.rpartition(":")[2] not in allowed]
    own = [f"{place}:{hit.line}: {hit.kind}" for place, text in searched for hit in find_secrets(text)]
    return own + (lint(searched, installed) if installed else [])


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def main(argv: Sequence[str]) -> int:
    """Print the findings; 1 when there is one, 2 when something was not searched."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", action="store_true")
    parser.add_argument("--secretlint", type=Path, metavar="FOLDER", help="where `make secretlint` installed it")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--allow", type=Path, default=Path(".github/secret_scan_allow.txt"))
    options = parser.parse_args(argv)
    lines = options.allow.read_text("utf-8").splitlines() if options.allow.is_file() else []
    allowed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    files, changes = list(tree(options.root)), list(added(options.root)) if options.history else []
    try:
        found = findings([*files, *changes], allowed, options.secretlint)
    except SecretlintFailed as error:
        print(error, file=sys.stderr)
        return 2
    searched = f"{len(files)} files and {len(changes)} changes searched"
    print(*found, f"{searched}, {len(found)} credentials {found_by(options.secretlint)}", sep="\n")
    if not files or (options.history and not changes):
        print("nothing was searched; run it in a whole clone", file=sys.stderr)
        return 2
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
