"""One issue for a nightly run that fell: opened, commented on, or closed, by GitHub's own client.

Reads RESULT (success or failure) and RUN_URL from the environment; `gh` reads GH_TOKEN.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

TITLE = "The nightly run with real Granite fails"
Gh = Callable[[Sequence[str]], str]


def report(result: str, url: str, gh: Gh) -> str:
    """Bring the one issue in line with the run's result; return what was done."""
    search = [
        "issue",
        "list",
        "--state",
        "open",
        "--search",
        f'in:title "{TITLE}"',
        "--json",
        "number",
        "--jq",
        ".[0].number",
    ]
    number = gh(search).strip()
    if result == "success":
        if not number:
            return "all well"
        gh(["issue", "close", number, "--comment", f"Well again: {url}"])
        return f"closed {number}"
    if number:
        gh(["issue", "comment", number, "--body", f"Still {result}: {url}"])
        return f"commented on {number}"
    gh(["issue", "create", "--title", TITLE, "--body", f"The nightly run ended with {result}: {url}"])
    return "opened"


def _gh(arguments: Sequence[str]) -> str:
    done = subprocess.run(["gh", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())
    return done.stdout


def main() -> int:
    """Report; 1 when GitHub did not take it."""
    try:
        print(report(os.environ["RESULT"], os.environ["RUN_URL"], _gh))
    except (KeyError, OSError) as error:
        print(f"not reported: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
