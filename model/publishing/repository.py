"""Write a model repository for the Hub: one GGUF, its checksum and its card.

python -m model publish --variant NAME [--file GGUF] --repo USER/NAME [--send]

Without --send the command writes the folder and compares it with the Hub. Each version is a tag that never moves: other
weights or another card need a new version in variants.toml.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi

from model.catalogue.download import find_or_fetch
from model.catalogue.entries import catalogue, digest, verify
from model.catalogue.gguf_header import check_gguf, read_header
from model.publishing.card import FOLDER, CardIncomplete, Variant, render, variants
from rag.errors import RagError
from rag.publishing import hub

MODELS = Path(".data") / "models"


def main(argv: Sequence[str]) -> str:
    """Write the folder, send it if asked to, and return a report. Raises ValueError or OSError with what to do."""
    options = _parser().parse_args(argv)
    known = variants(options.variants)
    if options.variant not in known:
        raise CardIncomplete(f"{options.variant} is not in {options.variants.name}; known are {', '.join(known)}")
    variant = known[options.variant]
    try:
        if options.send:
            hub.refuse_dirty(FOLDER)
        out = write(variant, options.file or _catalogued(variant), options.folder / variant.name, options.results)
        done = f"{out}: {', '.join(hub.local_files(out))}"
        if options.send:
            return f"{done}\n{send(hub.client(), variant, options.repo, out)}"
        return f"{done}\n{hub.preview(hub.Target(options.repo, 'model'), out)}"
    except RagError as error:
        raise ValueError(str(error)) from error


def _catalogued(variant: Variant) -> Path:
    """Return the file of the variant's catalogue entry; fetch it if it is not here yet. Raises ModelUnusable."""
    if not variant.catalogue:
        raise CardIncomplete(f"{variant.name} is not in the catalogue; name its GGUF with --file")
    return find_or_fetch(catalogue()[variant.catalogue], MODELS, lambda _done, _total: None)


def write(variant: Variant, file: Path, out: Path, results: Path) -> Path:
    """Empty the folder `out`, write the repository's files into it and return it.

    Raises ModelUnusable for a file that is damaged or not the locked one, CardIncomplete for a card that would claim
    what no data shows, SecretFound for a card with personal data.
    """
    check_gguf(file)
    if variant.catalogue:
        verify(file, catalogue()[variant.catalogue])
    card = render(variant, file, read_header(file), results)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / "README.md").write_text(card, "utf-8")
    (out / "SHA256SUMS").write_text(f"{digest(file)}  {file.name}\n", "utf-8")
    try:
        os.link(file.resolve(), out / file.name)  # keep gigabytes on the disk once
    except OSError:
        shutil.copyfile(file, out / file.name)
    hub.refuse_private(out)
    return out


def send(api: HfApi, variant: Variant, repo: str, out: Path, pause_s: float = 1.0) -> str:
    """Send the folder `out` and tag it with the version; return what changed.

    Raises PublishRefused when the version is published already with other contents, HubFailed as `hub.send` does.
    """
    target, tag = hub.Target(repo, "model"), f"v{variant.version}"
    tagged = hub.has_tag(api, target, tag)
    if tagged and not hub.compare(api, target, out).none:
        raise hub.PublishRefused(f"{tag} of {repo} is published and differs; raise the version in variants.toml")
    changes = hub.send(api, target, out, f"{variant.title} {tag}", pause_s)
    if not tagged:
        api.create_tag(repo, tag=tag, repo_type=target.kind)
    return f"{changes}\nsent to {repo} and read back, {tag}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", required=True, help="a name in variants.toml")
    parser.add_argument("--file", type=Path, help="the GGUF; that of the catalogue without it")
    parser.add_argument("--repo", required=True, help="model repository on the Hub, for example user/name-GGUF")
    parser.add_argument("--folder", type=Path, default=Path(".data") / "publish", help="where to write")
    parser.add_argument("--results", type=Path, default=FOLDER / "results", help="folder of result files")
    parser.add_argument("--variants", type=Path, default=FOLDER / "variants.toml")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--dry-run",
        action="store_true",
        help="write the folder and show what differs from the Hub, the default; needs no token",
    )
    how.add_argument("--send", action="store_true", help="also send what differs; needs HF_TOKEN")
    return parser
