"""Suggest a contribution that fits a visitor's skill and time, and write its description and commands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onboarding.tours.content import named_links

TIMES = {"short": "A quarter of an hour", "medium": "An evening", "long": "A weekend"}
LONGEST_TITLE = 72  # characters of a commit's first line
_UNSAFE = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of contribution: where it belongs, what reviewers look for, and where to begin."""

    id: str
    label: str
    prefix: str  # of its commits
    where: str  # Markdown: repository and folder
    checklist: tuple[str, ...]
    check: str  # shell commands to run before pushing
    sources: tuple[str, ...]  # upstream files; none for a change to this Space
    start: Mapping[str, str]  # time -> where to begin


def load_kinds(data: Mapping[str, Any]) -> dict[str, Kind]:
    """Return the kinds of a tour's `[[kinds]]` tables by id; ValueError names what one lacks."""
    kinds = {}
    for table in data["kinds"]:
        try:
            lists = {name: tuple(table[name]) for name in ("checklist", "sources")}
            kind = Kind(**{**table, **lists, "check": table["check"].strip()})
        except (TypeError, KeyError) as error:
            raise ValueError(f"the contribution {table.get('id', '?')!r} is not whole: {error}") from error
        if kind.start.keys() != TIMES.keys():
            raise ValueError(f"the contribution {kind.id!r} needs a start for each of: {', '.join(TIMES)}")
        kinds[kind.id] = kind
    return kinds


def starting_point(kind: Kind, time: str) -> str:
    """Return Markdown: where to begin, and where the change belongs."""
    told = f"**Begin here.** {kind.start[time]}\n\nIt belongs in {kind.where}."
    links = " ".join(f"[{name}]({url})" for name, url in named_links(kind.sources))
    return f"{told}\n\nRead first: {links}" if links else told


def title_line(kind: Kind, title: str) -> str:
    """Return the commit's first line: the prefix, then the title, at most LONGEST_TITLE characters in all."""
    words = " ".join(title.split()) or "what changes, and for whom"
    line = f"{kind.prefix}: {words}"
    return line if len(line) <= LONGEST_TITLE else line[: LONGEST_TITLE - 1].rstrip() + "…"


def description(kind: Kind, title: str, why: str, tried: str, done: Sequence[str]) -> str:
    """Return a pull request's description in Markdown."""
    ticks = "\n".join(f"- [{'x' if item in done else ' '}] {item}" for item in kind.checklist)
    return (
        f"# {title_line(kind, title)}\n\n## Why\n\n{why.strip() or 'Say what was wrong or missing, and for whom.'}\n\n"
        f"## How it was tried\n\n{tried.strip() or 'Name the command, the machine, and what it printed.'}\n\n"
        f"## Checklist\n\n{ticks}\n"
    )


def commands(kind: Kind, title: str) -> str:
    """Return shell commands from fork to push, without the characters of a title that a shell could interpret."""
    slug = _UNSAFE.sub("-", title.lower()).strip("-")[:40].strip("-") or "short-name"
    message = title_line(kind, re.sub(r"[^\w .,:;()/+#-]", "", title))
    return (
        "git clone https://github.com/YOUR_NAME/qubinode_navigator.git\n"
        "cd qubinode_navigator\n"
        f"git checkout -b {kind.prefix}/{slug}\n"
        "# edit, add tests, run the checks\n"
        "git add -A\n"
        f'git commit -m "{message}"\n'
        f"git push -u origin {kind.prefix}/{slug}\n"
    )
