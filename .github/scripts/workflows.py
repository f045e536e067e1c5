"""The project's own rules for workflows; zizmor, actionlint's rules and the schema know the general ones.

    workflows.py [ROOT]

A job ends by itself, runs on a named version of its runner, holds a secret only in an environment, and each of its
commands is one `make` call; no failure is swallowed; an action stands in .github/actions.txt with its version and
commit, so that a commit that nobody looked up is seen offline too. A job of `ci` and `security` carries the name of a
target that it runs.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from command_line import ended

Tree = Mapping[str, Any]
_CALL = re.compile(r"make( [A-Za-z][\w-]*)+( [A-Z]+=\S+)*")
_SWALLOWED = re.compile(r"\|\|\s*(true\b|:(?=\s|$)|exit 0)|;\s*true\b|\bset \+e\b|^\t@?-", re.M)


def read(root: Path) -> dict[str, Tree]:
    """Name -> workflow. Raises ValueError where there is none, or one that is no workflow."""
    found = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (root / ".github/workflows").glob("*.y*ml")}
    wrong = [name for name, tree in found.items() if not isinstance(tree, dict) or not tree.get("jobs")]
    if wrong or not found:
        raise ValueError(f"no jobs in {wrong or root / '.github/workflows'}")
    return dict(sorted(found.items()))


def targets(run: str) -> list[str]:
    """The targets of a `make` call."""
    return [word for word in run.split()[1:] if "=" not in word] if run.startswith("make ") else []


def makefile(root: Path) -> str:
    """The Makefile and what it includes."""
    return "\n".join((root / name).read_text("utf-8") for name in ("Makefile", ".github/ci.mk"))


def known_targets(root: Path) -> set[str]:
    """Every target that can be named."""
    return {name for names in re.findall(r"^([A-Za-z][\w -]*):(?!=)", makefile(root), re.M) for name in names.split()}


def pins(root: Path) -> dict[str, tuple[str, str]]:
    """Action -> (version, commit), from .github/actions.txt."""
    rows = [line.split(None, 3) for line in (root / ".github/actions.txt").read_text("utf-8").splitlines()]
    return {row[0]: (row[1], row[2]) for row in rows if len(row) == 4 and row[0] != "#"}


def faults(root: Path) -> Iterator[str]:
    """A sentence for each breach."""
    known, pinned = known_targets(root), pins(root)
    for name, workflow in read(root).items():
        text = (root / f".github/workflows/{name}.yml").read_text("utf-8")
        for action, commit, version in re.findall(r"uses: ([\w.-]+/[\w./-]+)@(\S+)(?: # (\S+))?", text):
            if pinned.get("/".join(action.split("/")[:2])) != (version, commit):
                yield f"{name}: {action}@{commit} # {version} is not in .github/actions.txt; look its commit up"
        for job, tree in workflow["jobs"].items():
            yield from (f"{name}, {job}: {fault}" for fault in _of_job(tree, known))
            called = [target for step in tree.get("steps", ()) for target in targets(str(step.get("run", "")))]
            if name in {"ci", "security"} and called and job not in called:
                yield f"{name}, {job}: a job is named after its target, one of {', '.join(called)}"
    for hit in _SWALLOWED.finditer(makefile(root)):
        yield f"Makefile: {hit[0].strip()!r} hides a failure"


def _of_job(job: Tree, known: set[str]) -> Iterator[str]:
    if "uses" not in job and not isinstance(job.get("timeout-minutes"), int):
        yield "set timeout-minutes"
    if "-latest" in str(job.get("runs-on", "")) + str(job.get("strategy", "")):
        yield "name the runner's version instead of -latest"
    if re.search(r"secrets[.\[]", str(job)) and "environment" not in job:
        yield "a secret belongs in a job with an environment that a person approves"
    for step in [job, *job.get("steps", ())]:
        if step.get("continue-on-error"):
            yield "continue-on-error hides a failure"
        run = str(step.get("run", "")).strip()
        if run and (not _CALL.fullmatch(run) or not known.issuperset(targets(run))):
            yield f"a command is one call of make with targets of the Makefile, not {run.splitlines()[0]!r}"


def main(argv: Sequence[str]) -> int:
    """Print the breaches; 1 when there is one. Raises ValueError or YAMLError when the workflows cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", default=Path(__file__).parents[2])
    options = parser.parse_args(argv)
    found = list(faults(options.root))
    print(*found, f"{len(found)} findings", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:], (ValueError, yaml.YAMLError)))
