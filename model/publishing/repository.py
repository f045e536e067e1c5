"""Write a model repository for the Hub: weights, their checksums and their card.

python -m model publish [--variant NAME] [--file FILE] --repo USER[/NAME] [--send]

A repository has the variant's name unless --repo gives another. Without --variant all are written, and none is sent.
Without --send the command writes the folder, checks it and compares it with the Hub where that can be asked; it fetches
nothing: of a file that is not here the card is written from the lock. Each version is a tag that never moves: other
weights or another card need a new version in variants.toml.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from huggingface_hub import HfApi

from model.catalogue.download import find, find_or_fetch
from model.catalogue.entries import Entry, catalogue, digest, verify
from model.catalogue.gguf_header import Header, check_gguf, read_header
from model.publishing.card import (
    FOLDER,
    PEFT,
    CardIncomplete,
    PublishedFile,
    Variant,
    has_peft,
    peft_folder,
    render_card,
    variants,
)
from rag.embedding.embedder import Embedder
from rag.errors import RagError
from rag.publishing import hub
from rag.publishing.folder import SUMS, check_folder
from rag.search.question_map import QUESTION_MAP_FILE, load_question_map

MODELS = Path(".data") / "models"


def main(argv: Sequence[str]) -> str:
    """Write the folder, send it if asked to, and return a report. Raises ValueError or OSError with what to do."""
    options = _parser().parse_args(argv)
    known = variants(options.variants)
    if options.variant is None and (options.send or options.file):
        raise CardIncomplete(f"name the variant that is meant with --variant; known are {', '.join(known)}")
    if options.variant not in (None, *known):
        raise CardIncomplete(f"{options.variant} is not in {options.variants.name}; known are {', '.join(known)}")
    return "\n\n".join(_publish(known[name], options) for name in known if options.variant in (None, name))


def _publish(variant: Variant, options: argparse.Namespace) -> str:
    repo = options.repo if "/" in options.repo else f"{options.repo}/{variant.name}"
    try:
        if options.send:
            hub.refuse_dirty(FOLDER)
        file = options.file or _own_file(variant, fetches=options.send)
        out = write(variant, file, options.folder / variant.name, options.results)
        done = f"{out}: {', '.join(hub.local_files(out))}"
        if options.send:
            check_folder("model", out)
            return f"{done}\n{send(hub.client(), variant, repo, out)}"
        if file is None:
            done += "\nthe weights are not on this machine: the card is written from the lock, and --send fetches them"
        return f"{done}\n{hub.preview(hub.Target(repo, 'model'), out)}"
    except RagError as error:
        raise ValueError(str(error)) from error


def _own_file(variant: Variant, *, fetches: bool) -> Path | None:
    """Return the file of the variant's catalogue entry, or the app's question map; None where it is not here.

    fetches: fetch a file that is not here. Raises ModelUnusable where that fails.
    """
    if variant.kind == "question map":
        return QUESTION_MAP_FILE
    if not variant.catalogue:
        raise CardIncomplete(f"{variant.name} is not in the catalogue; name its GGUF with --file")
    entry = catalogue()[variant.catalogue]
    return find_or_fetch(entry, MODELS, lambda _done, _total: None) if fetches else find(entry, MODELS)


def write(variant: Variant, file: Path | None, out: Path, results: Path) -> Path:
    """Empty the folder `out`, write the repository's files into it and return it; without weights for no file.

    The folder `adapter` beside an adapter's GGUF, as peft keeps it, is taken along. Raises ModelUnusable for a file
    that is damaged or not the locked one, CardIncomplete for a card that would claim what no data shows, and
    SecretFound for a card with personal data.
    """
    entry = catalogue()[variant.catalogue] if variant.catalogue else None
    if file and entry:
        verify(file, entry)
    if file:
        weights = PublishedFile.of_file(file, _header(variant, file))
    elif entry:
        weights = PublishedFile.of_entry(entry)
    else:
        raise CardIncomplete(f"{variant.name} is not in the catalogue; name its file with --file")
    with_peft = variant.kind == "adapter" and bool(file and has_peft(file))
    card = render_card(variant, weights, results, _base(variant, entry), peft=with_peft)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / "README.md").write_text(card, "utf-8")
    if file:
        names = [_linked(file, out), *(_peft_files(file, variant, out) if with_peft else [])]
        sums = [f"{digest(out / name)}  {name}\n" for name in names]
        (out / SUMS).write_text("".join(sums), "utf-8")
    hub.refuse_private(out, skip=(PEFT[0],))  # a base's name between quotes looks like a key
    return out


def _linked(file: Path, out: Path) -> str:
    """Put a file into the folder, on the same disk once; return its name."""
    try:
        os.link(file.resolve(), out / file.name)
    except OSError:
        shutil.copyfile(file, out / file.name)
    return file.name


def _peft_files(file: Path, variant: Variant, out: Path) -> list[str]:
    """Write peft's two files into the folder, with the base by its name on the Hub; return their names."""
    config = json.loads((peft_folder(file) / PEFT[0]).read_text("utf-8"))
    text = json.dumps(config | {"base_model_name_or_path": variant.base_model}, indent=1) + "\n"
    (out / PEFT[0]).write_text(text, "utf-8")
    return [PEFT[0], _linked(peft_folder(file) / PEFT[1], out)]


def _header(variant: Variant, file: Path) -> Header:
    if variant.kind != "question map":
        check_gguf(file)
        return read_header(file)
    try:
        fitted = load_question_map(Embedder().digest, file)
    except (OSError, ValueError, KeyError) as error:
        raise CardIncomplete(
            f"{file} is no question map that can be read ({error}); run: python -m rag tune"
        ) from error
    if fitted is None:
        raise CardIncomplete(f"{file} is not there, or of another encoder; run: python -m rag tune")
    rows, columns = fitted.matrix.shape
    return Header(f"linear map, {rows} to {columns}, and an offset", f"{np.float16.__name__}", 0, "", is_adapter=False)


def _base(variant: Variant, entry: Entry | None) -> Entry | None:
    """Return the catalogue's entry of what an adapter is put on, None where it has none."""
    entries = catalogue()
    if entry and entry.base:
        return entries[entry.base]
    same = (one for one in entries.values() if one.base_model == variant.base_model and not one.base)
    return next(same, None) if variant.kind == "adapter" else None


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
    parser.add_argument("--variant", help="a name in variants.toml; all of them without it")
    parser.add_argument("--file", type=Path, help="the weights; without it the catalogue's or the app's own")
    parser.add_argument("--repo", required=True, help="on the Hub: user, or user/name")
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
