"""One issue for a nightly run that fell, and one for what upstream changed below the pages.

    python .github/scripts/nightly_report.py
    python .github/scripts/nightly_report.py upstream CHECKED EXIT_CODE

The first opens, comments on or closes its issue; it reads NEEDS (GitHub's JSON of the jobs before this one). The second
opens, rewrites or closes its own; CHECKED is what `python -m rag check` printed. Both read RUN_URL from the
environment; `gh` reads GH_TOKEN.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TITLE = "The nightly run with real Granite fails"
UPSTREAM_TITLE = "Upstream has changed below the pages"
MOST_CHARACTERS = 60_000  # GitHub takes 65,536 in the body of an issue
Gh = Callable[[Sequence[str]], str]


def fallen(needs: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A line for each job that did not succeed; one that was skipped or cancelled has shown nothing either."""
    return [f"{name}: {job['result']}" for name, job in needs.items() if job["result"] != "success"]


def report(needs: Mapping[str, Mapping[str, str]], url: str, gh: Gh) -> str:
    """Bring the one issue in line with the jobs' results; return what was done."""
    bad = "\n".join(f"- {line}" for line in fallen(needs))
    return _bring(gh, TITLE, f"{url}\n\n{bad}" if bad else "", "comment", f"Well again: {url}")


def report_upstream(checked: str, code: int, url: str, gh: Gh) -> str:
    """Bring the issue of the pages in line with what the check printed; return what was done."""
    fence = "`" * 4  # a page's own fence has three
    cut = "\n... and more, see the run" if len(checked) > MOST_CHARACTERS else ""
    body = f"{url}\n\n{fence}text\n{checked[:MOST_CHARACTERS].replace(fence, '')}{cut}\n{fence}\n"
    bad = code or re.search(r"  (changed|moved|vanished)  ", checked)
    return _bring(gh, UPSTREAM_TITLE, body if bad else "", "edit", f"The pages agree with upstream's head again: {url}")


def _bring(gh: Gh, title: str, body: str, again: str, well: str) -> str:
    """Keep one open issue of that title while there is a body: create it, or `again` (comment or edit); else close."""
    search = ["--state", "open", "--search", f'in:title "{title}"', "--json", "number", "--jq", ".[0].number"]
    number = gh(["issue", "list", *search]).strip()
    if body:
        gh(
            ["issue", again, number, "--body", body]
            if number
            else ["issue", "create", "--title", title, "--body", body]
        )
        return f"{again} on {number}" if number else "opened"
    if number:
        gh(["issue", "close", number, "--comment", well])
    return f"closed {number}" if number else "all well"


def _gh(arguments: Sequence[str]) -> str:
    done = subprocess.run(["gh", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())
    return done.stdout


def main(argv: Sequence[str]) -> int:
    """Report; 1 when GitHub did not take it or there is nothing to report from, for a check that did not run."""
    try:
        if argv:
            _, checked, code = argv
            if code not in {"0", "1"}:
                raise ValueError(f"the check ended with {code}")
            print(report_upstream(Path(checked).read_text("utf-8"), int(code), os.environ["RUN_URL"], _gh))
        else:
            print(report(json.loads(os.environ["NEEDS"]), os.environ["RUN_URL"], _gh))
    except (KeyError, ValueError, OSError) as error:
        print(f"not reported: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
