"""Read what MODEL= names: a model or a model with a LoRA adapter on it, each by a name of the catalogue or a path.

A + separates behind a name, and behind the end of a GGUF's name; elsewhere it is part of a path. A file of this folder
whose own name has a + is `./a+b.gguf`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model.catalogue.adapters import Adapter
from model.catalogue.download import find_or_fetch
from model.catalogue.entries import Entry, Progress, catalogue, digest
from model.engine.protocol import ModelInfo, ModelUnusable
from rag.command_line import shown

_PARTS = re.compile(r"(?P<base>[^/\\+]+|.*\.gguf)\+(?P<adapter>.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a model on this machine: its GGUF, with its entry if it has one, and the adapter on it if any."""

    path: Path
    entry: Entry | None = None
    adapter: Adapter | None = None

    @property
    def lora(self) -> Path | None:
        """The adapter's file, None without one."""
        return self.adapter.path if self.adapter else None

    @property
    def file_name(self) -> str:
        """The name of its file, with + and that of the adapter's file."""
        return "+".join(path.name for path in (self.path, self.lora) if path)

    @property
    def bytes(self) -> int:
        """The bytes of all files. Raises OSError where one is gone."""
        return self.path.stat().st_size + (self.adapter.path.stat().st_size if self.adapter else 0)

    @property
    def composed(self) -> bool:
        """True where the catalogue says so of just these weights: what was measured without an adapter says nothing."""
        entry = self.adapter.entry if self.adapter else self.entry
        return bool(entry and entry.composed)

    def info(self) -> ModelInfo:
        """Return the name, label and size that the page shows."""
        alone = self.entry.info() if self.entry else ModelInfo(self.path.stem, self.path.stem, self.path.stat().st_size)
        if not self.adapter:
            return alone
        known, size = self.adapter.entry, alone.bytes + self.adapter.path.stat().st_size
        choice = ModelChoice(self.entry or self.path, known or self.adapter.path)
        label = known.label if known and known.name == choice.name else f"{alone.label} + {self.adapter.name}"
        return ModelInfo(choice.name, label, size, alone.stand_in, (known.passages if known else 0) or alone.passages)

    def digests(self) -> dict[str, str]:
        """Return the sha256 of each file by its name, for a result that says what it was measured with."""
        return {path.name: digest(path) for path in (self.path, self.lora) if path}


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model that is asked for, and the adapter on it: each an entry of the catalogue or a path."""

    base: Entry | Path
    adapter: Entry | Path | None = None

    @property
    def name(self) -> str:
        """The name of both; that of the adapter's entry where it is on the model that it is for."""
        names = [one.name if isinstance(one, Entry) else one.stem for one in (self.base, self.adapter) if one]
        fits = isinstance(self.adapter, Entry) and self.adapter.base == names[0]
        return names[1] if fits else "+".join(names)

    def files(self, get: Callable[[Entry], Path]) -> ModelFiles:
        """Return where the files lie; `get` finds or fetches that of an entry."""

        def at(wanted: Entry | Path) -> tuple[Path, Entry | None]:
            return (get(wanted), wanted) if isinstance(wanted, Entry) else (wanted, None)

        return ModelFiles(*at(self.base), Adapter(*at(self.adapter)) if self.adapter else None)


def chosen_model(text: str) -> ModelChoice:
    """Return the choice that MODEL=text makes. Raises ModelUnusable with what may be said instead."""
    entries = catalogue()
    parts = _PARTS.fullmatch(text)
    if text in entries:
        return of_entry(entries[text])
    if parts and (parts["base"] in entries or looks_like_path(parts["base"])):
        return _with_adapter(parts["base"], parts["adapter"], entries)
    if looks_like_path(text) and not parts:
        return ModelChoice(_path(text))
    raise ModelUnusable(f"MODEL={shown(text)} is not known; use auto, the path of a GGUF, or: {', '.join(entries)}.")


def model_files(text: str, folder: Path, progress: Progress = lambda _done, _total: None) -> ModelFiles:
    """Return the files of MODEL=text, downloaded into `folder` where they are not here. Raises ModelUnusable."""
    return chosen_model(text).files(lambda entry: find_or_fetch(entry, folder, progress))


def of_entry(entry: Entry) -> ModelChoice:
    """Return the choice of an entry: of an adapter, its base with it on."""
    return ModelChoice(catalogue()[entry.base], entry) if entry.base else ModelChoice(entry)


def looks_like_path(name: str) -> bool:
    """Return True if MODEL names a file instead of a catalogue entry."""
    return bool(re.search(r"[/\\]|\.gguf$", name, re.IGNORECASE))


def _with_adapter(base: str, adapter: str, entries: dict[str, Entry]) -> ModelChoice:
    on, put = entries.get(base) or _path(base), entries.get(adapter)
    if isinstance(on, Entry) and on.base:
        raise ModelUnusable(f"{base} has an adapter already; put yours on {on.base}: MODEL={on.base}+{shown(adapter)}.")
    if put is None and looks_like_path(adapter):
        return ModelChoice(on, _path(adapter))
    if put is None or not put.base:
        known = [entry.name for entry in entries.values() if entry.base]
        said = ", or: ".join(["the path of an adapter's GGUF", *([", ".join(known)] if known else [])])
        raise ModelUnusable(f"{shown(adapter)} is no adapter for MODEL={shown(base)}+; give {said}.")
    if isinstance(on, Entry) and put.base != base:
        raise ModelUnusable(f"{adapter} is an adapter of {put.base}, not of {base}; take MODEL={adapter}.")
    return ModelChoice(on, put)


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ModelUnusable(
            f"MODEL={shown(text)} names a home folder that is not here; give the whole path."
        ) from error
