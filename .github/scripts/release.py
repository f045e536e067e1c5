"""What a release needs: agreement of its papers, its notes, and tags that move by digest.

    release.py check TAG                     0 when tag, pyproject.toml and changelog agree
    release.py notes VERSION                 the changelog's section of that version
    release.py tag REPOSITORY DIGEST VERSION give a digest that lies in the repository the version's tags
    release.py roll-back REPOSITORY FROM TO  point the moving tags that lead to FROM at TO

A pre-release gets its own tag only. A release also gets `major.minor`, `major` and `latest`, each only when nothing
newer is published below it, so that a backport moves neither `latest` nor a newer major; docker/metadata-action cannot
see what is published. A version keeps its digest for ever, and a second run with the same digest does what the first
left undone. There is no tag `0`. Standard library and skopeo only.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

LATEST = "latest"
LONGEST_TAG = 128  # characters, a registry's limit
_VERSION = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")
_EMPTY = ("name unknown", "NAME_UNKNOWN", "repository name not known", "404 (Not Found)")  # newer and older skopeo


class ReleaseRefused(ValueError):
    """A release may not be made so; the message says why and what to do."""


def parse(text: str) -> tuple[tuple[int, int, int], str]:
    """The three numbers of a version and its pre-release with its hyphen or "". Raises ReleaseRefused."""
    found = _VERSION.fullmatch(text)
    if not found or len(text) > LONGEST_TAG:
        raise ReleaseRefused(f"{text!r} is no version that a tag can hold; write it like 1.2.3 or 1.2.3-rc.1")
    return (int(found[1]), int(found[2]), int(found[3])), found[4] or ""


def tags_of(version: str, published: Iterable[str]) -> list[str]:
    """The tags for `version`, its own first, beside the tags that are `published`. Raises ReleaseRefused."""
    (major, minor, patch), prerelease = parse(version)
    own = f"{major}.{minor}.{patch}{prerelease}"
    if prerelease:
        return [own]
    others = [parse(tag) for tag in published if _VERSION.fullmatch(tag) and tag.removeprefix("v") != own]
    newer = [numbers for numbers, pre in others if not pre and numbers > (major, minor, patch)]
    moving = [(f"{major}.{minor}", (major, minor)), (str(major), (major,)), (LATEST, ())]
    free = [name for name, below in moving if not any(one[: len(below)] == below for one in newer)]
    return [own, *(name for name in free if name != "0")]


class Registry:
    """One repository, spoken to through skopeo."""

    def __init__(self, repository: str) -> None:
        self._repository = repository

    def tags(self) -> list[str]:
        """The tags; [] when nothing was pushed yet. Raises ReleaseRefused with skopeo's own words."""
        done = self._run("list-tags", f"docker://{self._repository}")
        if done.returncode and any(words in done.stderr for words in _EMPTY):
            return []
        return list(json.loads(_said(done))["Tags"] or ())

    def digest(self, tag: str) -> str:
        """The digest of what a tag points at, of the whole index where there are several architectures."""
        return _said(self._run("inspect", "--format", "{{.Digest}}", f"docker://{self._repository}:{tag}")).strip()

    def point(self, tag: str, digest: str) -> None:
        """Point a tag at a digest of this repository, and read it back."""
        references = [f"docker://{self._repository}@{digest}", f"docker://{self._repository}:{tag}"]
        _said(self._run("copy", "--quiet", "--all", "--preserve-digests", *references))
        if (seen := self.digest(tag)) != digest:
            raise ReleaseRefused(f"read back, {self._repository}:{tag} is {seen} instead of {digest}; run it again")

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["skopeo", *command], capture_output=True, text=True, check=False)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise ReleaseRefused(f"skopeo {done.args[1]}: {done.stderr.strip()[-400:]}")
    return done.stdout


def tag_release(registry: Registry, digest: str, version: str) -> list[str]:
    """Give the digest the tags of `version`; return them. Raises ReleaseRefused for a version with another digest."""
    published = registry.tags()
    wanted = tags_of(version, published)
    if wanted[0] in published and (old := registry.digest(wanted[0])) != digest:
        raise ReleaseRefused(f"{wanted[0]} is published as {old} and stays so; raise the version")
    for tag in wanted:
        registry.point(tag, digest)
    return wanted


def roll_back(registry: Registry, bad: str, good: str) -> list[str]:
    """Point every moving tag of `good` that leads to `bad` at `good`; return them. Raises ReleaseRefused."""
    numbers, prerelease = parse(good)
    if prerelease or parse(bad)[1]:
        raise ReleaseRefused("no moving tag leads to a pre-release; name two releases")
    published, was, now = registry.tags(), registry.digest(bad), registry.digest(good)
    names = [f"{numbers[0]}.{numbers[1]}", str(numbers[0]), LATEST]
    moved = [tag for tag in names if tag in published and registry.digest(tag) == was]
    for tag in moved:
        registry.point(tag, now)
    return moved


def check_release(tag: str, version: str, changelog: str) -> None:
    """Raise ReleaseRefused unless the tag is v + version and the changelog's newest section is its own, dated."""
    if not tag.startswith("v") or parse(tag) != parse(version):
        raise ReleaseRefused(f"the tag {tag} is unlike the version {version}; tag v{version}, or change pyproject.toml")
    heads = [head for head in re.findall(r"^## \[([^\]]+)\](.*)$", changelog, re.M) if head[0] != "Unreleased"]
    if not heads or heads[0][0] != version:
        newest = heads[0][0] if heads else "nothing"
        raise ReleaseRefused(f"the changelog's newest section is of {newest}; add one of {version}")
    if not re.fullmatch(r" - \d{4}-\d{2}-\d{2}", heads[0][1].rstrip()):
        raise ReleaseRefused(f"the changelog gives {version} no date; write ## [{version}] - YYYY-MM-DD")
    notes(version, changelog)


def notes(version: str, changelog: str) -> str:
    """The changelog's text on a version. Raises ReleaseRefused when it has none."""
    section = re.search(rf"^## \[{re.escape(version)}\].*?$(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    if section is None or not section[1].strip():
        raise ReleaseRefused(f"the changelog says nothing of {version}; write what changed")
    return section[1].strip()


def main(argv: Sequence[str]) -> int:
    """Run one command; 1 with one sentence when it is refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path())
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in {"check": "tag", "notes": "version", "tag": "repository digest version",
                        "roll-back": "repository bad good"}.items():  # fmt: skip
        command = commands.add_parser(name)
        for word in words.split():
            command.add_argument(word)
    options = parser.parse_args(argv)
    try:
        print(_done(options))
    except (ReleaseRefused, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _done(options: argparse.Namespace) -> str:
    if options.command == "tag":
        return " ".join(tag_release(Registry(options.repository), options.digest, options.version))
    if options.command == "roll-back":
        moved = roll_back(Registry(options.repository), options.bad, options.good)
        return f"moved to {options.good}: {' '.join(moved) or 'nothing, no moving tag led to ' + options.bad}"
    changelog = (options.root / "CHANGELOG.md").read_text("utf-8")
    if options.command == "notes":
        return notes(options.version.removeprefix("v"), changelog)
    project = tomllib.loads((options.root / "pyproject.toml").read_text("utf-8"))["project"]
    check_release(options.tag, project["version"], changelog)
    return f"{options.tag} is the version and the changelog's newest section"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
