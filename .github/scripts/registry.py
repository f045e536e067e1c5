"""What is done to a container registry: give a version its tags, and point a moving tag back.

    registry.py promote SOURCE REPOSITORY VERSION     copy an image that lies in a registry onto the version's tags
    registry.py roll-back REPOSITORY VERSION [TAG]    point TAG (latest) at a version that is published

References are written without docker://, for example quay.io/name/app. Uses skopeo, which copies all architectures and
keeps digests. Registries on 127.0.0.1 are spoken to without TLS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from command_line import ended
from tags import LATEST, TagRefused, parse, tag_set

Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
LOOPBACK = ("127.0.0.1:", "localhost:")
_EMPTY = ("name unknown", "NAME_UNKNOWN", "repository name not known", "404 (Not Found)")  # newer and older skopeo


class RegistryFailed(RuntimeError):
    """The registry did not do it; the message holds skopeo's own words."""


class Skopeo:
    """The few things that are asked of skopeo."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def tags(self, repository: str) -> list[str]:
        """The repository's tags; [] when nothing was pushed to it yet."""
        done = self._run(["skopeo", "list-tags", *_plain(repository, "--tls-verify=false"), f"docker://{repository}"])
        if done.returncode and any(words in done.stderr for words in _EMPTY):
            return []
        return list(json.loads(_said(done))["Tags"] or ())

    def digest(self, reference: str) -> str:
        """The digest of what a reference points at, of the whole index where there are several architectures."""
        form = ["--format", "{{.Digest}}"]
        plain = _plain(reference, "--tls-verify=false")
        return _said(self._run(["skopeo", "inspect", *form, *plain, f"docker://{reference}"])).strip()

    def copy(self, source: str, destination: str) -> None:
        """Copy every architecture from one registry to another, byte for byte."""
        plain = [*_plain(source, "--src-tls-verify=false"), *_plain(destination, "--dest-tls-verify=false")]
        command = ["skopeo", "copy", "--quiet", "--all", "--preserve-digests", *plain]
        _said(self._run([*command, f"docker://{source}", f"docker://{destination}"]))


def promote(skopeo: Skopeo, source: str, repository: str, version: str) -> str:
    """Give what `source` points at the tags of `version` in `repository`, the version's own first; return its digest.

    Raises TagRefused for a version that may not be published, RegistryFailed otherwise.
    """
    wanted = tag_set(version, skopeo.tags(repository))
    digest = skopeo.digest(source)
    for tag in wanted:
        skopeo.copy(f"{_name(source)}@{digest}", f"{repository}:{tag}")
    _check(skopeo, repository, wanted, digest)
    return digest


def roll_back(skopeo: Skopeo, repository: str, version: str, tag: str = LATEST) -> str:
    """Point the moving tag `tag` at the published `version`; return the digest that it has now."""
    release = str(parse(version))
    if _is_version(tag):
        raise TagRefused(f"{tag} is a version and stays what it is; only tags such as {LATEST} move")
    digest = skopeo.digest(f"{repository}:{release}")
    skopeo.copy(f"{repository}@{digest}", f"{repository}:{tag}")
    _check(skopeo, repository, [tag], digest)
    return digest


def _check(skopeo: Skopeo, repository: str, tags: Sequence[str], digest: str) -> None:
    wrong = [tag for tag in tags if skopeo.digest(f"{repository}:{tag}") != digest]
    if wrong:
        raise RegistryFailed(f"read back, {', '.join(wrong)} of {repository} is not {digest}")


def _is_version(tag: str) -> bool:
    try:
        parse(tag)
    except TagRefused:
        return False
    return True


def _name(reference: str) -> str:
    """A reference without tag and digest; a port is no tag."""
    head, slash, tail = reference.partition("@")[0].rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}"


def _plain(reference: str, option: str) -> list[str]:
    return [option] if reference.startswith(LOOPBACK) else []


def _said(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise RegistryFailed(f"skopeo {done.args[1]}: {done.stderr.strip()[-400:]}")
    return done.stdout


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says. Raises RegistryFailed when there is no such command."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RegistryFailed(f"{command[0]} cannot be run ({error}); install it") from error


def main(argv: Sequence[str]) -> int:
    """Do it and print the digest, into GITHUB_OUTPUT too; 1 with one sentence when it is refused or fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    promoting = commands.add_parser("promote")
    promoting.add_argument("source")
    promoting.add_argument("repository")
    promoting.add_argument("version")
    rolling = commands.add_parser("roll-back")
    rolling.add_argument("repository")
    rolling.add_argument("version")
    rolling.add_argument("tag", nargs="?", default=LATEST)
    options = parser.parse_args(argv)
    skopeo = Skopeo(run)
    try:
        if options.command == "promote":
            digest = promote(skopeo, options.source, options.repository, options.version)
        else:
            digest = roll_back(skopeo, options.repository, options.version, options.tag)
    except (RegistryFailed, TagRefused, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(digest)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"digest={digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
