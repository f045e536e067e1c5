"""Which tags an image gets, and whether a release may be made at all.

    tags.py set VERSION [--existing FILE]        one tag a line; the file lists the published tags, one a line
    tags.py check TAG                            0 when tag, pyproject.toml and changelog agree
    tags.py notes VERSION                        the changelog's section of that version

A pre-release gets its own tag only. A release also gets `major.minor`, `major` and `latest`, each only when nothing
newer is published below it, so that a backport moves neither `latest` nor a newer major. A published version is never
published again. There is no tag `0`: between 0.x versions everything may change.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from command_line import ended
from semver import Version

LATEST = "latest"


class TagRefused(ValueError):
    """A version cannot be published; the message says why and what to do."""


def parse(text: str) -> Version:
    """Read a version, with or without a leading v. Raises TagRefused when it is no semantic version."""
    try:
        version = Version.parse(text.removeprefix("v"))
    except ValueError as error:
        raise TagRefused(f"{text!r} is no semantic version; write it like 1.2.3 or 1.2.3-rc.1") from error
    if version.build:
        raise TagRefused(f"{text!r} has build metadata, which no image tag can hold; drop what follows the +")
    return version


def tag_set(version: str, existing: Iterable[str]) -> list[str]:
    """The tags for `version`, the version itself first. Raises TagRefused when it is published already."""
    new, published = parse(version), _versions(existing)
    if new in published:
        raise TagRefused(f"{new} is published already and stays as it is; raise the version")
    if new.prerelease:
        return [str(new)]
    stable = [old for old in published if not old.prerelease]
    tags = [str(new)]
    if _newest(new, [old for old in stable if (old.major, old.minor) == (new.major, new.minor)]):
        tags.append(f"{new.major}.{new.minor}")
    if new.major and _newest(new, [old for old in stable if old.major == new.major]):
        tags.append(str(new.major))
    if _newest(new, stable):
        tags.append(LATEST)
    return tags


def _versions(tags: Iterable[str]) -> set[Version]:
    return {Version.parse(bare) for tag in tags if Version.is_valid(bare := tag.strip().removeprefix("v"))}


def _newest(new: Version, others: Sequence[Version]) -> bool:
    return all(new > old for old in others)


def check_release(tag: str, version: str, changelog: str) -> None:
    """Raise TagRefused unless the tag is v + version and the changelog's newest section is that version's, dated."""
    if not tag.startswith("v") or parse(tag) != parse(version):
        raise TagRefused(f"the tag {tag} is unlike the version {version}; tag v{version}, or change pyproject.toml")
    heads = [head for head in re.findall(r"^## \[([^\]]+)\](.*)$", changelog, re.M) if head[0] != "Unreleased"]
    if not heads or heads[0][0] != version:
        newest = heads[0][0] if heads else "nothing"
        raise TagRefused(f"the changelog's newest section is of {newest}; add one of {version}")
    if not re.fullmatch(r" - \d{4}-\d{2}-\d{2}", heads[0][1].rstrip()):
        raise TagRefused(f"the changelog gives {version} no date; write ## [{version}] - YYYY-MM-DD")
    notes(version, changelog)


def notes(version: str, changelog: str) -> str:
    """The changelog's text on a version. Raises TagRefused when it has none."""
    section = re.search(rf"^## \[{re.escape(version)}\].*?$(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    if section is None or not section[1].strip():
        raise TagRefused(f"the changelog says nothing of {version}; write what changed")
    return section[1].strip()


def project_version(pyproject: Path) -> str:
    """The version in pyproject.toml."""
    return str(tomllib.loads(pyproject.read_text("utf-8"))["project"]["version"])


def main(argv: Sequence[str]) -> int:
    """Run one command; 1 with one sentence when the version is refused."""
    options = _parser().parse_args(argv)
    try:
        if options.command == "set":
            existing = options.existing.read_text("utf-8").split() if options.existing else []
            print(*tag_set(options.version, existing), sep="\n")
        elif options.command == "check":
            check_release(options.tag, project_version(options.pyproject), options.changelog.read_text("utf-8"))
            print(f"{options.tag} is the version and the changelog's newest section")
        else:
            print(notes(options.version.removeprefix("v"), options.changelog.read_text("utf-8")))
    except (TagRefused, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    setting = commands.add_parser("set")
    setting.add_argument("version")
    setting.add_argument("--existing", type=Path)
    checking = commands.add_parser("check")
    checking.add_argument("tag")
    checking.add_argument("--pyproject", type=Path, default=Path("pyproject.toml"))
    noting = commands.add_parser("notes")
    noting.add_argument("version")
    for command in (checking, noting):
        command.add_argument("--changelog", type=Path, default=Path("CHANGELOG.md"))
    return parser


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
