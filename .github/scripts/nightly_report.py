"""One issue for a nightly run that fell: opened, commented on, or closed, by GitHub's own client.

Reads NEEDS (GitHub's JSON of the jobs before this one) and RUN_URL from the environment; `gh` reads GH_TOKEN.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

TITLE = "The nightly run with real Granite fails"
Gh = Callable[[Sequence[str]], str]


def fallen(needs: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A line for each job that did not succeed; one that was skipped or cancelled has shown nothing either."""
    return [f"{name}: {job['result']}" for name, job in needs.items() if job["result"] != "success"]


def report(needs: Mapping[str, Mapping[str, str]], url: str, gh: Gh) -> str:
    """Bring the one issue in line with the jobs' results; return what was done."""
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
    bad = "\n".join(f"- {line}" for line in fallen(needs))
    if not bad:
        if not number:
            return "all well"
        gh(["issue", "close", number, "--comment", f"Well again: {url}"])
        return f"closed {number}"
    if number:
        gh(["issue", "comment", number, "--body", f"Again, {url}\n\n{bad}"])
        return f"commented on {number}"
    gh(["issue", "create", "--title", TITLE, "--body", f"{url}\n\n{bad}"])
    return "opened"


def _gh(arguments: Sequence[str]) -> str:
    done = subprocess.run(["gh", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())
    return done.stdout


def main() -> int:
    """Report; 1 when GitHub did not take it."""
    try:
        print(report(json.loads(os.environ["NEEDS"]), os.environ["RUN_URL"], _gh))
    except (KeyError, ValueError, OSError) as error:
        print(f"not reported: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
