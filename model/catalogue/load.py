"""Open an engine over a model's files, with its prefix cache."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from model.catalogue.adapters import Adapter, read_adapter, require_base
from model.catalogue.choice import ModelFiles
from model.catalogue.entries import Entry, digest
from model.catalogue.gguf_header import SOURCES, Header, check_gguf, on_hub, says_adapter
from model.engine.llama import LEAST_CELLS, ContextOptions, Llama
from model.engine.local import EngineOptions, LocalEngine
from model.engine.protocol import ModelUnusable
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


def open_engine(
    path: Path, data: Path, limits: EngineLimits, entry: Entry | None = None, adapter: Adapter | None = None
) -> LocalEngine:
    """Load a GGUF, start its engine, try it out and return it; raise ModelUnusable with what to do.

    data: folder for the prefix cache and remembered digests. entry: the file's catalogue entry, if it has one.
    adapter: a LoRA adapter to put on it.
    """
    files = ModelFiles(path, entry, adapter)
    check_gguf(path)
    if says_adapter(path):
        raise ModelUnusable(
            f"{path.name} is an adapter and no model; name the model that it was trained on before it, as in "
            f"MODEL=BASE+{path.name}."
        )
    require_locked(path, entry, data)
    header: Header | None = None
    if adapter:
        header = read_adapter(adapter.path)
        require_locked(adapter.path, adapter.entry, data)
        digest(adapter.path, data / "digests.json")  # remembered, so that rot on the disk is found later
        if header.base_sha256 and header.base_sha256 == digest(path, data / "digests.json"):
            header = None  # trained on this very file
    composed = limits.composed if limits.composed is not None else files.composed
    context = ContextOptions(
        limits.cells, threads=limits.threads, kv_type=limits.kv_type, flash=not composed, repack=limits.repack
    )
    cache = PrefixCache(limits.ram_bytes, _disk_tier(files, data, limits, context))
    options = EngineOptions(slots=limits.slots, composed=composed)
    engine = LocalEngine(lambda: _load(files, context, header), cache, files.info(), options)
    try:
        try_out(engine, path.name)
    except ModelUnusable:
        engine.close()
        raise
    return engine


def require_locked(path: Path, entry: Entry | None, data: Path) -> None:
    """Raise ModelUnusable where a file is not the locked one of its entry; one that is not locked is told of."""
    if entry and entry.sha256 and digest(path, data / "digests.json") != entry.sha256:
        raise ModelUnusable(
            f"{path} is not the locked {entry.label} (its sha256 differs); delete it and fetch it again."
        )
    if entry and not entry.locked:
        logger.warning("%s is not locked; once it is trusted, run: python -m model lock %s", entry.label, entry.name)


def _load(files: ModelFiles, context: ContextOptions, doubted: Header | None) -> Llama:
    """Return the loaded model; raise ModelUnusable if it lacks something, is not the locked one or the adapter's.

    doubted: of an adapter that does not name this very file as its base.
    """
    llama = Llama(files.path, context, files.lora)
    try:
        _judge(llama, files, doubted)
    except ModelUnusable:
        llama.close()
        raise
    return llama


def _judge(llama: Llama, files: ModelFiles, doubted: Header | None) -> None:
    path, entry = files.path, files.entry
    if lacks := _lacks(llama):
        raise ModelUnusable(f"{path.name} cannot be used: {lacks}; {ADVICE}.")
    found = hashlib.sha256(llama.chat_template.encode()).hexdigest()
    if entry and entry.template_sha256 and entry.template_sha256 != found:
        raise ModelUnusable(f"The chat template of {path.name} is not the locked one; delete it and fetch it again.")
    if files.lora and doubted:
        known_as = [entry.base_model] if entry and entry.base_model else map(llama.metadata, SOURCES)
        require_base(files.lora, doubted.base_models, path.name, [name for text in known_as if (name := on_hub(text))])


def _lacks(llama: Llama) -> str:
    """Return what a model lacks to be asked anything, "" for nothing."""
    if not llama.chat_template.strip():
        return "it has no chat template, as models have that were not trained to answer"
    if llama.trained_context < LEAST_CELLS:
        return f"it reads at most {llama.trained_context} tokens and {LEAST_CELLS} are needed"
    return ""


def _disk_tier(files: ModelFiles, data: Path, limits: EngineLimits, context: ContextOptions) -> DiskTier | None:
    if not limits.disk_bytes:
        return None
    # Everything a KV state depends on; the quantisation is part of the file, and so of its digest.
    weights = "+".join(digest(path, data / "digests.json") for path in (files.path, files.lora) if path)
    fingerprint = f"{weights} {llama_library.VERSION} {context}"
    try:
        return DiskTier(data / "prefix-cache", fingerprint, limits.disk_bytes)
    except (OSError, ValueError) as error:
        logger.warning("the prefix cache stays in memory: %s", error)
        return None
