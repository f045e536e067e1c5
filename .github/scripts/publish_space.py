"""Put the app on its Space.

    publish_space.py --repo USER/NAME --folder OUT [--image REGISTRY/NAME@sha256:DIGEST] [--send]

Writes what the Space gets into the folder: tracked files of the app, nothing else. With --image the Space runs that
image instead of building its own. Without --send nothing leaves; the differences from the Space are printed where it
can be read. Files of the Space are deleted only inside the app's packages.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from command_line import ended

from rag.errors import RagError
from rag.publishing.hub import (
    PublishRefused,
    Target,
    client,
    local_files,
    preview,
    refuse_dirty,
    refuse_private,
    send,
)
from rag.reading.links import UPSTREAM_COMMIT

PACKAGES = ("model", "onboarding", "rag", "tools")
SHOWN = (".github/chat.png", ".github/demo.webp", ".github/diagnostics.png", ".github/phone.png", ".github/tour.png")
FILES = (*SHOWN, ".dockerignore", "Dockerfile", "LICENSE", "README.md", "app.py", "pyproject.toml",
         "requirements-full.lock", "requirements.lock", "requirements.txt")  # fmt: skip
RANDOM_LOOKING = ("model/publishing/variants.toml",)  # names on the Hub have the entropy of a key
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}  # the Hub knows no others
LONGEST_DESCRIPTION = 60  # characters, the Hub's limit
# Upstream's own text is indexed here, where it is used, and is in no image that we publish: its licence is unclear.
SPACE_DOCKERFILE = """\
# The released image, by the digest that was tested, scanned and signed, and upstream's own text behind our pages.
FROM {image}
ARG UPSTREAM={commit}
RUN if [ -n "$UPSTREAM" ]; then python -m rag build --upstream "$UPSTREAM" --out .data/upstream; fi
"""
_IMAGE = re.compile(r"[a-z0-9./_-]+@sha256:[0-9a-f]{64}")


def gather(root: Path, out: Path, image: str = "") -> list[str]:
    """Write the Space's files into the folder `out`, emptied first; return their paths.

    Raises PublishRefused for a card the Hub would reject, an image without digest, or a file that is missing.
    """
    wanted = [name for name in _tracked(root) if name in FILES or name.partition("/")[0] in PACKAGES]
    if absent := sorted({"Dockerfile", "README.md", "app.py", "requirements.txt"} - set(wanted)):
        raise PublishRefused(f"{absent[0]} is not tracked by git; the Space cannot run without it")
    check_card((root / "README.md").read_text("utf-8"))
    if image and not _IMAGE.fullmatch(image):
        raise PublishRefused(f"{image} names no digest; give REGISTRY/NAME@sha256:...")
    shutil.rmtree(out, ignore_errors=True)
    for name in wanted:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, out / name)
    if image:
        text = SPACE_DOCKERFILE.format(image=image, commit=UPSTREAM_COMMIT)
        (out / "Dockerfile").write_text(text, "utf-8")
    return local_files(out)


def _tracked(root: Path) -> list[str]:
    done = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (root / name).is_file()]


def check_card(readme: str) -> dict[str, Any]:
    """Read the card's front matter. Raises PublishRefused for what the Hub would reject or fail to start."""
    parts = readme.split("---\n", 2)
    try:
        card = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except yaml.YAMLError as error:
        raise PublishRefused(f"README.md's front matter is no YAML: {error}") from error
    if not isinstance(card, dict):
        raise PublishRefused("README.md has no front matter; a Space needs title, sdk and app_port")
    wrong = [
        text
        for bad, text in (
            (not card.get("title"), "title is missing"),
            (card.get("sdk") != "docker", "sdk must be docker"),
            (not isinstance(card.get("app_port"), int), "app_port must be a number"),
            (not card.get("license"), "license is missing"),
            (not {card.get("colorFrom"), card.get("colorTo")} <= COLOURS, "colorFrom or colorTo is unknown"),
            (len(card.get("short_description") or "") > LONGEST_DESCRIPTION, "short_description is over 60 characters"),
        )
        if bad
    ]
    if wrong:
        raise PublishRefused(f"README.md's front matter: {'; '.join(wrong)}")
    return card


def main(argv: Sequence[str]) -> int:
    """Gather, check, and print or send; 1 with one sentence when it is refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--image", default="")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2])
    parser.add_argument("--send", action="store_true")
    options = parser.parse_args(argv)
    try:
        if options.send:
            refuse_dirty(options.root)
        gather(options.root, options.folder, options.image)
        refuse_private(options.folder, skip=RANDOM_LOOKING)
        target = Target(options.repo, "space", PACKAGES)
        print(_sent(target, options.folder) if options.send else preview(target, options.folder))
    except RagError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _sent(target: Target, folder: Path) -> str:
    return f"{send(client(), target, folder, 'Update the Space')}\nsent to {target.repo} and read back"


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
