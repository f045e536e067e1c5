"""Open an engine over a model file, with its prefix cache."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from model.catalogue.entries import Entry, digest
from model.engine.llama import LEAST_CELLS, ContextOptions, Llama, check_gguf
from model.engine.local import EngineOptions, LocalEngine
from model.engine.protocol import ModelInfo, ModelUnusable
from model.kv_cache.prefix_cache import DiskTier, PrefixCache
from model.prompting.trial import ADVICE, try_out
from rag.embedding import llama_runtime as llama_library

logger = logging.getLogger(__name__)

MB = 1_000_000
DISK = 3000 * MB  # most of our pages' passages in Granite-4.0-Micro's shapes, see docs/developers.md


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """The share of the machine that an engine may use."""

    threads: int = 2
    slots: int = 4
    cells: int = 8192  # KV cells of all conversations together
    kv_type: str = "f16"
    ram_bytes: int = 512 * MB  # prefix cache in RAM
    disk_bytes: int = DISK  # prefix cache on disk, 0 for none
    repack: bool = False
    composed: bool | None = None  # lay passages that were read once; None does as the catalogue says of the model


def open_engine(path: Path, data: Path, limits: EngineLimits, entry: Entry | None = None) -> LocalEngine:
    """Load a GGUF, start its engine, try it out and return it; raise ModelUnusable with what to do.

    data: folder for the prefix cache and remembered digests. entry: the file's catalogue entry, if it has one.
    """
    check_gguf(path)
    if entry and entry.sha256 and digest(path, data / "digests.json") != entry.sha256:
        raise ModelUnusable(
            f"{path} is not the locked {entry.label} (its sha256 differs); delete it and fetch it again."
        )
    if entry and not entry.locked:
        logger.warning("%s is not locked; once it is trusted, run: python -m model lock %s", entry.label, entry.name)
    composed = limits.composed if limits.composed is not None else bool(entry and entry.composed)
    context = ContextOptions(
        limits.cells, threads=limits.threads, kv_type=limits.kv_type, flash=not composed, repack=limits.repack
    )
    cache = PrefixCache(limits.ram_bytes, _disk_tier(path, data, limits, context))
    info = entry.info() if entry else ModelInfo(path.stem, path.stem, path.stat().st_size)
    options = EngineOptions(slots=limits.slots, composed=composed)
    engine = LocalEngine(lambda: _load(path, context, entry), cache, info, options)
    try:
        try_out(engine, path.name)
    except ModelUnusable:
        engine.close()
        raise
    return engine


def _load(path: Path, context: ContextOptions, entry: Entry | None) -> Llama:
    """Return the loaded model; raise ModelUnusable if it lacks something or its chat template is not the locked one."""
    llama = Llama(path, context)
    if lacks := _lacks(llama):
        llama.close()
        raise ModelUnusable(f"{path.name} cannot be used: {lacks}; {ADVICE}.")
    if entry and entry.template_sha256:
        found = hashlib.sha256(llama.chat_template.encode()).hexdigest()
        if found != entry.template_sha256:
            llama.close()
            raise ModelUnusable(
                f"The chat template of {path.name} is not the locked one; delete it and fetch it again."
            )
    return llama


def _lacks(llama: Llama) -> str:
    """Return what a model lacks to be asked anything, "" for nothing."""
    if not llama.chat_template.strip():
        return "it has no chat template, as models have that were not trained to answer"
    if llama.trained_context < LEAST_CELLS:
        return f"it reads at most {llama.trained_context} tokens and {LEAST_CELLS} are needed"
    return ""


def looks_like_path(name: str) -> bool:
    """Return True if MODEL names a file instead of a catalogue entry."""
    return bool(re.search(r"[/\\]|\.gguf$", name, re.IGNORECASE))


def _disk_tier(path: Path, data: Path, limits: EngineLimits, context: ContextOptions) -> DiskTier | None:
    if not limits.disk_bytes:
        return None
    # Everything a KV state depends on; the quantisation is part of the file, and so of its digest.
    fingerprint = f"{digest(path, data / 'digests.json')} {llama_library.VERSION} {context}"
    try:
        return DiskTier(data / "prefix-cache", fingerprint, limits.disk_bytes)
    except (OSError, ValueError) as error:
        logger.warning("the prefix cache stays in memory: %s", error)
        return None
