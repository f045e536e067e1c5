"""Put the app on its Space.

    publish_space.py --repo USER/NAME --folder OUT [--sdk docker|gradio] [--image REGISTRY/NAMESPACE/NAME@DIGEST]
                     [--send]

Writes what the Space gets into the folder: tracked files of the app, nothing else. With --image a docker Space runs
that image instead of building its own. A gradio Space is installed by the Hub from requirements.txt, so it gets the
lock without hashes, and the embedding model's package as files, since its requirements would bring torch. Without
--send nothing leaves; the differences are printed. Files of the Space are deleted only inside the app's packages.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from command_line import ended
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from model.catalogue.entries import DEFAULT, catalogue
from rag.embedding.embedder import CARRIER
from rag.errors import RagError
from rag.publishing.folder import check_folder
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
PICTURE = ".github/card.png"  # what links to the Space show
SHOWN = (PICTURE, ".github/chat.png", ".github/demo.webp", ".github/diagnostics.png", ".github/phone.png",
         ".github/tour.png")  # fmt: skip
FILES = (*SHOWN, ".dockerignore", "Dockerfile", "LICENSE", "README.md", "app.py", "pyproject.toml",
         "requirements-full.lock", "requirements.lock", "requirements.txt")  # fmt: skip
# Names on the Hub, other people's files.
RANDOM_LOOKING = ("model/catalogue/models.toml", "model/publishing/variants.toml", f"{CARRIER}/*")
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}  # the Hub knows no others
LONGEST_DESCRIPTION = 60  # characters, the Hub's limit
# Upstream's own text is indexed here, where it is used, and is in no image that we publish: its licence is unclear.
SPACE_DOCKERFILE = """\
# The released image, by the digest that was tested, scanned and signed, and upstream's own text behind our pages.
FROM {image}
ARG UPSTREAM={commit}
RUN if [ -n "$UPSTREAM" ]; then python -m rag build --upstream "$UPSTREAM" --out .data/upstream; fi
"""
# Compiled by the Space's builder: "native" code of that machine may not run on the one that serves.
PORTABLE = '--config-settings="cmake.args=-DGGML_NATIVE=OFF"'
DEBIAN = "build-essential\ncmake\nlibgomp1\nlibseccomp2\nninja-build\n"
_IMAGE = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+){2,}@sha256:[0-9a-f]{64}")


def gather(root: Path, out: Path, image: str = "", sdk: str = "docker") -> list[str]:
    """Write the Space's files into the folder `out`, emptied first; return their paths.

    Raises PublishRefused for a card the Hub would reject, an image that is no REGISTRY/NAMESPACE/NAME@DIGEST or is
    meant for a gradio Space, or a file that is missing.
    """
    wanted = [name for name in _tracked(root) if name in FILES or name.partition("/")[0] in PACKAGES]
    if absent := sorted({"Dockerfile", "README.md", "app.py", "requirements.txt"} - set(wanted)):
        raise PublishRefused(f"{absent[0]} is not tracked by git; the Space cannot run without it")
    card = check_card((root / "README.md").read_text("utf-8"))
    if image and not _IMAGE.fullmatch(image):
        raise PublishRefused(f"{image} names no repository with a digest; give REGISTRY/NAMESPACE/NAME@sha256:...")
    if image and sdk != "docker":
        raise PublishRefused("only a docker Space runs an image; leave out DIGEST or say SDK=docker")
    shutil.rmtree(out, ignore_errors=True)
    for name in wanted:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, out / name)
    if image:
        (out / "Dockerfile").write_text(SPACE_DOCKERFILE.format(image=image, commit=UPSTREAM_COMMIT), "utf-8")
    if sdk == "gradio":
        _for_gradio(out, card)
    return local_files(out)


def _for_gradio(out: Path, card: dict[str, Any]) -> None:
    """Turn a docker Space's files into those of the SDK gradio."""
    lock = (out / "requirements.lock").read_text("utf-8")
    pins = re.findall(r"^(\S+==[^\\\n]*?) *\\?$", lock, re.MULTILINE)
    pins = [f"{pin} {PORTABLE}" if pin.startswith("llama-cpp-python==") else pin for pin in pins]
    wanted = [pin for pin in pins if not pin.startswith(CARRIER.replace("_", "-"))]
    (out / "requirements.txt").write_text("\n".join(wanted) + "\n", "utf-8")
    (out / "packages.txt").write_text(DEBIAN, "utf-8")
    carried = importlib.util.find_spec(CARRIER)
    for place in carried.submodule_search_locations or () if carried else ():
        shutil.copytree(place, out / CARRIER, ignore=shutil.ignore_patterns("__pycache__", ".git*"))
    granite, version = catalogue()[DEFAULT], re.search(r"^gradio==(\S+)", lock, re.MULTILINE)
    if not version or not (out / CARRIER).is_dir():
        raise PublishRefused(f"requirements.lock names no gradio, or {CARRIER} is not installed; run: make setup")
    changed = {"sdk": "gradio", "sdk_version": version[1], "python_version": "3.11", "app_file": "app.py",
               "preload_from_hub": [f"{granite.repository} {granite.file} {granite.revision}"]}  # fmt: skip
    kept = {key: value for key, value in card.items() if key != "app_port"} | changed
    text = (out / "README.md").read_text("utf-8").split("---\n", 2)[2]
    front = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    (out / "README.md").write_text(f"---\n{front}---\n{text}", "utf-8")
    for name in ("Dockerfile", ".dockerignore", "requirements-full.lock"):
        (out / name).unlink(missing_ok=True)


def name_picture(out: Path, repo: str) -> None:
    """Name the picture in the card by its address, which the Space's own name completes."""
    card, address = out / "README.md", f"https://huggingface.co/spaces/{repo}/resolve/main/{PICTURE}"
    if (out / PICTURE).is_file():
        card.write_text(card.read_text("utf-8").replace("---\n", f"---\nthumbnail: {address}\n", 1), "utf-8")


def create(api: HfApi, repo: str, sdk: str) -> None:
    """Make the Space where there is none. Raises PublishRefused where the account's plan or rights forbid it."""
    try:
        api.create_repo(repo, repo_type="space", space_sdk=sdk, exist_ok=True)
    except HfHubHTTPError as error:
        if (status := error.response.status_code) in {402, 403}:
            raise PublishRefused(
                f"the Hub makes no Space {repo} for this account ({status}); one of the SDK {sdk} takes PRO, Team or "
                "Enterprise; name one that exists, or see docs/maintainers.md for the free ways"
            ) from error
        # whatever else is wrong `send` meets again, and says what to do


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
    parser.add_argument("--sdk", choices=["docker", "gradio"], default="docker")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2])
    parser.add_argument("--send", action="store_true")
    options = parser.parse_args(argv)
    try:
        if options.send:
            refuse_dirty(options.root)
        gather(options.root, options.folder, options.image, options.sdk)
        name_picture(options.folder, options.repo)
        refuse_private(options.folder, skip=RANDOM_LOOKING)
        target = Target(options.repo, "space", (*PACKAGES, CARRIER))
        print(_sent(target, options) if options.send else preview(target, options.folder))
    except (RagError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _sent(target: Target, options: argparse.Namespace) -> str:
    check_folder(target.kind, options.folder)
    api = client()
    create(api, target.repo, options.sdk)
    return f"{send(api, target, options.folder, 'Update the Space')}\nsent to {target.repo} and read back"


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
