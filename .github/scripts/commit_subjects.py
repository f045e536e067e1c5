"""Check the subjects of new commits.

    commit_subjects.py [SINCE [CHECKOUT]]

Reads the commits of HEAD that SINCE (origin/main unless named) does not have, merges left out; HEAD alone where SINCE
is the forty zeros that GitHub gives for a new branch. A subject has at most 72 characters, ends without a full stop,
and a body follows after an empty line. Does not judge the words.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from command_line import ended

LONGEST = 72  # characters; what `git log --oneline` shows on a terminal of 80


def faults(message: str) -> list[str]:
    """Return what is wrong with a commit's message."""
    subject, _, rest = message.strip("\n").partition("\n")
    found = [f"has {len(subject)} characters, more than {LONGEST}"] if len(subject) > LONGEST else []
    if subject.endswith("."):
        found.append("ends with a full stop")
    if rest.partition("\n")[0].strip():
        found.append("is followed by no empty line")
    return found


def messages(folder: str, since: str) -> list[tuple[str, str]]:
    """Return the short hash and the message of every new commit. Raises ValueError where git knows no such range."""
    new = [f"{since}..HEAD"] if since.strip("0") else ["-1", "HEAD"]
    command = ["git", "-C", folder, "log", "--no-merges", "--format=%h%n%B%x00", *new, "--"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"git cannot list {since}..HEAD ({done.stderr.strip()}); fetch it, or name another start")
    entries = [entry.strip("\n").partition("\n") for entry in done.stdout.split("\0")]
    return [(commit, message) for commit, _, message in entries if commit]


def main(argv: Sequence[str]) -> int:
    """Print the faults; 1 when there is one. Raises ValueError when the commits cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("since", nargs="?", default="origin/main")
    parser.add_argument("checkout", nargs="?", default=".")
    options = parser.parse_args(argv)
    new = messages(options.checkout, options.since)
    wrong = [f"{commit}: the subject {fault}" for commit, message in new for fault in faults(message)]
    print(*wrong, f"{len(new)} commits, {len(wrong)} findings", sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:], (ValueError,)))
