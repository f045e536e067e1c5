"""The index on disk: building it in steps, swapping it in whole, and refusing one that does not fit."""

import hashlib
import json
import shlex
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import TypeAdapter

from rag.chunking import chunk
from rag.dense import CHUNK, QUESTION, WHOLE, DenseIndex, build_dense, load_dense
from rag.documents import Corpus, read_corpus
from rag.errors import IndexCorrupt, IndexMissing, IndexStale
from rag.lexical import LexicalIndex, build_lexical, load_lexical
from rag.links import linker
from rag.prepare import assign_questions, chunk_text, fold_duplicates, unit_text
from rag.seed import load_seed
from rag.types import Chunk, Skipped, Unit

FORMAT = 4
ESSENTIAL = {"units.jsonl", "vectors.faiss", "vectors.npz", "vocabulary.json"}  # what a manifest must vouch for
STEP = 64  # texts between two progress reports

Progress = Callable[[int, int], None]


def silent(_done: int, _total: int) -> None:
    """Report no progress."""


class Encoder(Protocol):
    """What an index needs of an embedding model; rag.embedder.Embedder is one."""

    name: str
    digest: str
    dimension: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 vectors (len(texts), dimension) of length 1."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index was built from and with."""

    format: int
    model: str
    model_digest: str
    dimension: int
    units: int
    chunks: int
    questions: int
    corpus_commit: str
    corpus_digest: str  # over the path and digest of every document
    skipped: list[Skipped]
    files: dict[str, str]  # file of the index -> sha256
    source: str = ""  # what it was built from, "" for what is not known


@dataclass(frozen=True, slots=True)
class Index:
    """A loaded index; read-only, so safe to share between threads."""

    units: list[Unit]
    dense: DenseIndex
    lexical: LexicalIndex
    manifest: Manifest


def remedy(folder: Path) -> str:
    """The command that mends the index in `folder`; it knows by itself what that was built from."""
    return f"run: python -m rag build --out {shlex.quote(str(folder))}"


def build(source: str | Path, out: Path, embedder: Encoder, progress: Progress = silent) -> Manifest:
    """Index `source` into the folder `out`, reusing the vectors of an index that already lies there.

    `progress(done, total)` counts embedded texts. The folder is written aside and swapped in whole, so that a reader
    never sees half an index. Raises SourceUnreadable, or OSError when `out` cannot be written.
    """
    corpus = read_corpus(source)
    return write(corpus, out, embedder, progress, str(source))


def write(corpus: Corpus, out: Path, embedder: Encoder, progress: Progress, source: str = "") -> Manifest:
    """Index documents that were already read; see build."""
    link = linker(corpus)
    units = fold_duplicates([unit for document in corpus.documents for unit in chunk(document, link)])
    memo = _Memo(embedder, load_seed(embedder.digest) | _known_vectors(out, embedder))
    units = assign_questions(units, corpus, memo)
    dense = _embed(units, memo, progress)
    target = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    target.mkdir(parents=True)
    try:
        dense.save(target)
        build_lexical(units).save(target)
        lines = (json.dumps(asdict(unit), ensure_ascii=False) + "\n" for unit in units)
        (target / "units.jsonl").write_text("".join(lines), "utf-8")
        manifest = _manifest(corpus, units, embedder, target, source)
        (target / "manifest.json").write_text(json.dumps(asdict(manifest), indent=1), "utf-8")
        _swap(target, out)
    finally:
        shutil.rmtree(target, ignore_errors=True)
    return manifest


def load(folder: Path, embedder: Encoder) -> Index:
    """Load an index and check that it is whole and fits `embedder`.

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
    _verify(folder, manifest)
    with (folder / "units.jsonl").open(encoding="utf-8") as file:
        units = [_unit(json.loads(line)) for line in file]
    return Index(units, load_dense(folder), load_lexical(folder), manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest alone. Raises IndexMissing or IndexCorrupt."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise IndexMissing(f"there is no index in {folder}; {remedy(folder)}")
    try:
        return TypeAdapter(Manifest).validate_json(path.read_bytes())
    except ValueError as error:
        raise IndexCorrupt(
            f"{path} cannot be read ({error}); {remedy(folder)} (and --source, if it held other pages than ours)"
        ) from error


def corpus_digest(corpus: Corpus) -> str:
    """Return a digest over the path and content of every document and the questions listed for them."""
    rows = [f"{document.path}\t{document.digest}" for document in corpus.documents]
    rows.append(json.dumps(corpus.asked, sort_keys=True))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


class _Memo:
    """An encoder that computes each text once and starts from the vectors of the previous index."""

    def __init__(self, embedder: Encoder, known: dict[bytes, np.ndarray]) -> None:
        self._embedder, self._known = embedder, known

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> np.ndarray:
        keys = [_key(text) for text in texts]
        # texts of like length together: a batch is padded to its longest
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        queue = sorted(missing.items(), key=lambda item: len(item[1]))
        progress(len(texts) - len(queue), len(texts))
        for start in range(0, len(queue), STEP):
            step = queue[start : start + STEP]
            vectors = self._embedder.encode([text for _, text in step])
            self._known.update((key, vector) for (key, _), vector in zip(step, vectors, strict=True))
            progress(len(texts) - len(queue) + start + len(step), len(texts))
        return np.stack([self._known[key] for key in keys]) if keys else np.zeros((0, self._embedder.dimension))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _embed(units: list[Unit], memo: _Memo, progress: Progress) -> DenseIndex:
    rows = [(owner, kind, text) for owner, unit in enumerate(units) for kind, text in _texts(unit)]
    vectors = memo.encode([text for _, _, text in rows], progress)
    owner, kind = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    keys = np.frombuffer(b"".join(_key(row[2]) for row in rows), dtype=np.uint8).reshape(-1, 16)
    return build_dense(vectors, owner, kind, keys)


def _texts(unit: Unit) -> list[tuple[int, str]]:
    """Return (kind, text) of every vector of a unit."""
    texts = [(CHUNK, chunk_text(unit, chunk)) for chunk in unit.chunks]
    texts.append((WHOLE, unit_text(unit)))
    return texts + [(QUESTION, question) for question in unit.questions]


def _known_vectors(out: Path, embedder: Encoder) -> dict[bytes, np.ndarray]:
    """Return the vectors of the index at `out` by text digest; {} when it is missing or of another model."""
    try:
        manifest = read_manifest(out)
        if manifest.format != FORMAT or manifest.model_digest != embedder.digest:
            return {}
        _verify(out, manifest)
        dense = load_dense(out)
    except (IndexMissing, IndexCorrupt):
        return {}
    return {key.tobytes(): vector for key, vector in zip(dense.keys, dense.vectors.copy(), strict=True)}


def _manifest(corpus: Corpus, units: list[Unit], embedder: Encoder, folder: Path, source: str) -> Manifest:
    return Manifest(
        format=FORMAT,
        model=embedder.name,
        model_digest=embedder.digest,
        dimension=embedder.dimension,
        units=len(units),
        chunks=sum(len(unit.chunks) for unit in units),
        questions=sum(len(unit.questions) for unit in units),
        corpus_commit=corpus.commit,
        corpus_digest=corpus_digest(corpus),
        skipped=corpus.skipped,
        files={
            path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
        },
        source=source,
    )


def _verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file with its checksum; FAISS itself loads altered bytes without a word."""
    if not manifest.files.keys() >= ESSENTIAL:
        raise IndexCorrupt(f"{folder / 'manifest.json'} does not name every file of an index; {remedy(folder)}")
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise IndexCorrupt(f"{path} is missing; {remedy(folder)}")
        if _sha256(path) != digest:
            raise IndexCorrupt(f"{path} was altered since it was built; {remedy(folder)}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _swap(new: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old-{uuid.uuid4().hex[:8]}")
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _unit(row: dict[str, Any]) -> Unit:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    fields["chunks"] = tuple(Chunk(piece["text"], tuple(piece["headings"])) for piece in row["chunks"])
    return Unit(**fields)
