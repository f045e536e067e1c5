"""The models and adapters that have a name, and the digests that prove a file is the one an entry means.

A LoRA adapter that ships with the app lies in `model/catalogue/adapters/` and is an entry with `base`: in models.toml

    ["smollm2-135m-NAME"]
    label = "SmolLM2-135M-Instruct Q4_1, NAME adapter"
    base = "smollm2-135m"
    file = "smollm2-135m-NAME.gguf"
    license = "Apache-2.0"

then `python -m model lock smollm2-135m-NAME`. MODEL= takes that name, which stands for the base with the adapter on it.
An entry with `repository` is fetched from the Hub instead; `file` may be an absolute path.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.engine.protocol import ModelInfo, ModelUnusable
from model.private_files import read_json, write_private

logger = logging.getLogger(__name__)

DEFAULT = "granite-4.0-micro"
SUBSTITUTE = "qwen2.5-coder-1.5b"  # the best model that can be had where the Hub cannot be reached
EMBEDDED = "smollm2-135m"
LOCK = Path(__file__).with_name("models.lock")
ADAPTERS = Path(__file__).with_name("adapters")  # those that ship with the app
LOCKED = ("revision", "bytes", "sha256", "template_sha256")
MEMORY_BYTES = 1_000_000  # of remembered digests; a row has less than 500
_BLOCK = 1 << 20

Progress = Callable[[int, int], None]  # bytes so far, bytes in all (0: unknown)


class HubUnreachable(ModelUnusable):
    """The error of a file that neither the Hub nor the package index gives; the message says what to do."""


class FetchStopped(Exception):
    """A download was told to stop, because nobody waits for the file any more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The entry of one model or adapter in `models.toml`, with what `models.lock` knows of it.

    A file may be had in two places: from the Hub (`repository`), and from the package index (`package`), whole in one
    package or in parts, one package for each.
    """

    name: str
    label: str
    file: str
    license: str
    repository: str = ""  # on the Hub
    revision: str = ""  # commit; "" takes the newest and is not locked
    package: str = ""  # on the package index; of parts a pattern with {} for 1, 2, 3, ...
    package_version: str = ""
    part_bytes: int = 0  # of each part but the last; 0: the package carries the file whole
    bytes: int = 0  # 0: not locked
    sha256: str = ""
    template_sha256: str = ""  # of the chat template inside; "" does not check it
    stand_in: bool = False
    composed: bool = False  # passages read once are laid wherever they stand; models.toml gives the reason
    passages: int = 0  # that it answers best from, 0 for as many as a turn may have
    base: str = ""  # of an adapter: the entry of the model that it is put on
    base_model: str = ""  # user/name on the Hub of the model that these are the weights of; an adapter must name it too
    about: str = ""  # its kind, where the page says why it answers instead of another

    @property
    def locked(self) -> bool:
        """True if size and digest prove a file without a question to the Hub."""
        return bool(self.sha256 and self.bytes)

    def info(self) -> ModelInfo:
        """Return the name, label and size that the page shows."""
        return ModelInfo(self.name, self.label, self.bytes, self.stand_in, self.passages)


def catalogue() -> dict[str, Entry]:
    """Return all entries by name."""
    tables = tomllib.loads(Path(__file__).with_name("models.toml").read_text())
    locked = read_lock(LOCK)
    return {name: _locked(Entry(name=name, **table), locked.get(name, {})) for name, table in tables.items()}


def read_lock(path: Path) -> dict[str, dict[str, Any]]:
    """Return the lock's tables by entry; {} when there is no lock."""
    return tomllib.loads(path.read_text()) if path.is_file() else {}


def _locked(entry: Entry, lock: dict[str, Any]) -> Entry:
    """Return the entry with what the lock knows of it; ignore a lock of another repository, package or file."""
    if any(lock.get(key, "") != getattr(entry, key) for key in ("repository", "package", "package_version", "file")):
        return entry
    return replace(entry, **{key: lock[key] for key in LOCKED if key in lock})


def verify(path: Path, entry: Entry) -> None:
    """Raise ModelUnusable unless the file is the locked one; an entry that is not locked passes."""
    if entry.bytes and path.stat().st_size != entry.bytes:
        raise ModelUnusable(f"{path.name} has {path.stat().st_size} bytes instead of {entry.bytes}; delete and retry.")
    if entry.sha256 and digest(path) != entry.sha256:
        raise ModelUnusable(f"{path.name} is damaged (its sha256 is not {entry.sha256[:12]}...); delete it and retry.")


def digest(path: Path, memory: Path | None = None) -> str:
    """Return the sha256 of a file, hexadecimal; 2 GB take ~9 s, so the JSON file `memory` keeps it by size and time."""
    stamp, known = _stamp(path), _known(memory)
    if stamp in known:
        return known[stamp]
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha.update(block)
    if memory:
        _remember(memory, {**known, stamp: sha.hexdigest()})
    return sha.hexdigest()


def prove(path: Path, entry: Entry | None, memory: Path) -> None:
    """Read the whole file again; raise ModelUnusable if it is not the locked one, or not the one that was first read.

    llama.cpp loads rotten weights without an error and then writes nonsense. A file without an entry is compared with
    the digest that `memory` has for the same path, size and time: this finds rot on the disk, but not a file that was
    rotten when it came.
    """
    stamp = _stamp(path)
    expected = (entry.sha256 if entry else "") or _known(memory).get(stamp, "")
    if expected and digest(path) != expected and _stamp(path) == stamp:
        raise ModelUnusable(
            f"{path.name} is damaged on the disk (its sha256 has changed); delete it and fetch it again."
        )


def _remember(memory: Path, known: dict[str, str]) -> None:
    """Replace the file of digests; on a full disk, log a warning and go on without them."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_private(memory, json.dumps(known, indent=1).encode())
    except OSError as error:
        logger.warning("digests are not remembered (%s); they are computed again at the next start", error.strerror)


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def _known(memory: Path | None) -> dict[str, str]:
    """Return the digests by stamp. What others can write is left out: it decides which model counts as proven."""
    known = read_json(memory, MEMORY_BYTES) if memory else None
    return {stamp: sha for stamp, sha in known.items() if isinstance(sha, str)} if isinstance(known, dict) else {}
