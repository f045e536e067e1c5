"""Load an index from disk; refuse one that is damaged or does not fit the encoder."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import TypeAdapter

from rag.errors import IndexCorrupt, IndexMissing, IndexStale
from rag.index.dense import DenseIndex, load_dense
from rag.index.lexical import FIELDS, LexicalIndex, load_lexical
from rag.types import Chunk, Difference, Skipped, Unit

FORMAT = 6
MANIFEST = "manifest.json"
ESSENTIAL = {"units.jsonl", "vectors.faiss", "vectors.npz", "vocabulary.json"}  # files that a manifest must list
NAMES = {MANIFEST, *ESSENTIAL, *FIELDS}  # everything that lies in the folder of an index


class Encoder(Protocol):
    """The part of an embedding model that an index uses; rag.embedding.embedder.Embedder fits."""

    name: str
    digest: str
    dimension: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 vectors (len(texts), dimension) of length 1."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record of the corpus and the model that an index was built from."""

    format: int
    model: str
    model_digest: str
    dimension: int
    units: int
    chunks: int
    questions: int
    corpus_commit: str
    corpus_date: str  # of that commit, as 2026-02-24; "" when unknown
    corpus_digest: str  # over the path and digest of every document
    skipped: list[Skipped]
    files: dict[str, str]  # file of the index -> sha256
    source: str = ""  # folder, archive or git URL of the corpus; "" when not known


@dataclass(frozen=True, slots=True)
class Index:
    """The loaded index; read-only, so safe to share between threads."""

    units: list[Unit]
    dense: DenseIndex
    lexical: LexicalIndex
    manifest: Manifest


def remedy(folder: Path) -> str:
    """Return the command that mends the index in `folder`; it reads the source from the manifest there."""
    return f"run: python -m rag build --out {shlex.quote(str(folder))}"


def load(folder: Path, embedder: Encoder) -> Index:
    """Return the index in `folder` after checking that it is whole and fits `embedder`.

    Raises IndexMissing, IndexStale (other format, model or dimension) or IndexCorrupt (a file missing or altered);
    each message names the command that mends it.
    """
    manifest = read_manifest(folder)
    if manifest.format != FORMAT:
        raise IndexStale(f"{folder} has index format {manifest.format}, this version reads {FORMAT}; {remedy(folder)}")
    if manifest.dimension != embedder.dimension:
        raise IndexStale(
            f"{folder} holds vectors of {manifest.dimension} dimensions, {embedder.name} makes "
            f"{embedder.dimension}; {remedy(folder)}"
        )
    if manifest.model_digest != embedder.digest:
        raise IndexStale(f"{folder} was built with {manifest.model!r}, not with {embedder.name!r}; {remedy(folder)}")
    verify(folder, manifest)
    try:
        with (folder / "units.jsonl").open(encoding="utf-8") as file:
            units = [_unit(json.loads(line)) for line in file]
        return Index(units, load_dense(folder), load_lexical(folder), manifest)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:  # right checksums over wrong content
        raise IndexCorrupt(f"{folder} cannot be read ({error}); {remedy(folder)}") from error


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest alone. Raises IndexMissing or IndexCorrupt."""
    path = folder / MANIFEST
    try:
        if not path.is_file():
            raise IndexMissing(f"there is no index in {folder}; {remedy(folder)}")
        return TypeAdapter(Manifest).validate_json(path.read_bytes())
    except (ValueError, OSError) as error:
        raise IndexCorrupt(
            f"{path} cannot be read ({error}); {remedy(folder)} (and --source, if it held other pages than ours)"
        ) from error


def verify(folder: Path, manifest: Manifest) -> None:
    """Raise IndexCorrupt unless every file has its checksum; FAISS loads altered bytes without an error."""
    if not manifest.files.keys() >= ESSENTIAL:
        raise IndexCorrupt(f"{folder / 'manifest.json'} does not name every file of an index; {remedy(folder)}")
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise IndexCorrupt(f"{path} is missing; {remedy(folder)}")
        if sha256(path) != digest:
            raise IndexCorrupt(f"{path} was altered since it was built; {remedy(folder)}")


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unit(row: dict[str, Any]) -> Unit:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    fields["spans"] = tuple((kind, start, end) for kind, start, end in row["spans"])
    fields["differs"] = tuple(Difference(**claim) for claim in row["differs"])
    fields["chunks"] = tuple(Chunk(piece["text"], tuple(piece["headings"])) for piece in row["chunks"])
    return Unit(**fields)
