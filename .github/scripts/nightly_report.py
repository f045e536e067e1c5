"""Keep one issue open on GitHub for as long as something is to be said of it.

    nightly_report.py TITLE BODY.md [again]      again: edit (the default) or comment, where the issue is open already

An empty body closes the issue. `gh` reads GH_TOKEN; RUN_URL stands above the body and in what closes it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from command_line import ended

MOST_CHARACTERS = 60_000  # GitHub takes 65,536 in the body of an issue
Gh = Callable[[Sequence[str]], str]


def keep(title: str, body: str, again: str, url: str, gh: Gh) -> str:
    """Bring the issue in line with the body; return what was done."""
    search = ["--state", "open", "--search", f'in:title "{title}"', "--json", "number", "--jq", ".[0].number"]
    number = gh(["issue", "list", *search]).strip()
    if not body.strip():
        if number:
            gh(["issue", "close", number, "--comment", f"Well again: {url}"])
        return f"closed {number}" if number else "all well"
    cut = "\n... and more, see the run" if len(body) > MOST_CHARACTERS else ""
    text = ["--body", f"{url}\n\n````text\n{body[:MOST_CHARACTERS].replace('````', '').strip()}{cut}\n````\n"]
    gh(["issue", again, number, *text] if number else ["issue", "create", "--title", title, *text])
    return f"{again} on {number}" if number else "opened"


def _gh(arguments: Sequence[str]) -> str:
    done = subprocess.run(["gh", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())
    return done.stdout


def main(argv: Sequence[str]) -> int:
    """Report. Raises OSError when GitHub did not take it or there is nothing to report from."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("title")
    parser.add_argument("body", type=Path)
    parser.add_argument("again", nargs="?", choices=["edit", "comment"], default="edit")
    options = parser.parse_args(argv)
    print(keep(options.title, options.body.read_text("utf-8"), options.again, os.environ.get("RUN_URL", ""), _gh))
    return 0


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:], (OSError,), failed=1))
