"""Build an index: cut documents into units, embed them, and swap the new folder in."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from rag.chunking.chunker import chunk
from rag.errors import IndexCorrupt, IndexMissing, SourceUnreadable, TargetRefused
from rag.index.dense import CHUNK, QUESTION, WHOLE, DenseIndex, build_dense, load_dense
from rag.index.lexical import FIELDS, build_lexical
from rag.index.shipped_vectors import load_shipped_vectors
from rag.index.store import ESSENTIAL, FORMAT, MANIFEST, NAMES, Encoder, Manifest, read_manifest, sha256, verify
from rag.index.units import assign, chunk_text, fold_duplicates, unit_text
from rag.reading.documents import Corpus, is_address, read_corpus
from rag.reading.links import linker
from rag.types import Unit

MOST_LOST = 3  # of the five files of an index must still be there to know it again
VECTORS_SINCE = 5  # the oldest format of an index whose vectors can still be read
STEP = 64  # texts between two progress reports

Progress = Callable[[int, int], None]


def silent(_done: int, _total: int) -> None:
    """Report no progress."""


def build(source: str | Path, out: Path, embedder: Encoder, progress: Progress = silent) -> Manifest:
    """Index `source` into the folder `out` and reuse the vectors of the index that lies there.

    `progress(done, total)` counts embedded texts. The build writes a folder beside `out` and renames it, so that a
    reader never sees half an index. Raises SourceUnreadable, TargetRefused when `out` holds anything but an index, or
    OSError when it cannot be written.
    """
    if not str(source).isprintable():  # the index could not name it afterwards
        raise SourceUnreadable(f"the name {str(source)!a} is not plain text; rename the folder or file")
    refuse_foreign(out)  # before a clone, which takes a while
    return write(read_corpus(source), source, out, embedder, progress)


def write(corpus: Corpus, source: str | Path, out: Path, embedder: Encoder, progress: Progress) -> Manifest:
    """Index `corpus`, read from `source`; see build."""
    refuse_foreign(out)
    link = linker(corpus)
    units = fold_duplicates([unit for document in corpus.documents for unit in chunk(document, link)])
    units = assign(units, corpus.documents)
    memo = _Memo(embedder, load_shipped_vectors(embedder.digest) | _known_vectors(out, embedder))
    dense = _embed(units, memo, progress)
    target = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    target.mkdir(parents=True)
    try:
        dense.save(target)
        build_lexical(units).save(target)
        lines = (json.dumps(asdict(unit), ensure_ascii=False) + "\n" for unit in units)
        (target / "units.jsonl").write_text("".join(lines), "utf-8")
        manifest = _manifest(corpus, _absolute(source), units, embedder, target)
        (target / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), "utf-8")
        _swap(target, out)
    finally:
        shutil.rmtree(target, ignore_errors=True)
    return manifest


def refuse_foreign(out: Path) -> None:
    """Raise TargetRefused unless `out` is missing, an empty folder, or an index, whole or damaged."""
    if not out.exists() and not out.is_symlink():
        return
    odd = _foreign(out)
    if odd:
        raise TargetRefused(
            f"{out} holds what is no index of ours ({odd}) and a build would replace it; give --out another folder"
        )


def _foreign(out: Path) -> str:
    """Return the name of something in `out` that no index of ours has; "" when there is nothing."""
    if out.is_symlink() or not out.is_dir():
        return out.name
    held = sorted(out.rglob("*"))
    names = {path.name for path in out.iterdir()}
    for path in held:
        inside = path.relative_to(out).parts
        is_known = inside[0] in NAMES and path.is_dir() == (len(inside) == 1 and inside[0] in FIELDS)
        if path.is_symlink() or not is_known or len(inside) > 2 or (len(inside) == 2 and ".index." not in path.name):
            return "/".join(inside)
    is_ours = not names or len(names & {MANIFEST, *ESSENTIAL}) >= MOST_LOST
    return "" if is_ours else held[0].name


def corpus_digest(corpus: Corpus) -> str:
    """Return a digest over the path and content of every document."""
    rows = [f"{document.path}\t{document.digest}" for document in corpus.documents]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


class _Memo:
    """The encoder that computes each text once and starts with the vectors of the previous index."""

    def __init__(self, embedder: Encoder, known: dict[bytes, np.ndarray]) -> None:
        self._embedder, self._known = embedder, known

    def encode(self, texts: Sequence[str], progress: Progress = silent) -> np.ndarray:
        keys = [_key(text) for text in texts]
        # sorted by length, because a batch is padded to its longest text
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
        if manifest.format < VECTORS_SINCE or manifest.model_digest != embedder.digest:
            return {}
        verify(out, manifest)
        dense = load_dense(out)
    except (IndexMissing, IndexCorrupt):
        return {}
    return {key.tobytes(): vector for key, vector in zip(dense.keys, dense.vectors.copy(), strict=True)}


def _manifest(corpus: Corpus, source: str, units: list[Unit], embedder: Encoder, folder: Path) -> Manifest:
    return Manifest(
        format=FORMAT,
        model=embedder.name,
        model_digest=embedder.digest,
        dimension=embedder.dimension,
        units=len(units),
        chunks=sum(len(unit.chunks) for unit in units),
        questions=sum(len(unit.questions) for unit in units),
        corpus_commit=corpus.commit,
        corpus_date=corpus.date,
        corpus_digest=corpus_digest(corpus),
        skipped=corpus.skipped,
        files={
            path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
        },
        source=source,
    )


def _absolute(source: str | Path) -> str:
    """Return `source` in a form that a later build finds from any working directory."""
    return source if isinstance(source, str) and is_address(source) else str(Path(source).resolve())


def _swap(new: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old-{uuid.uuid4().hex[:8]}")
    refuse_foreign(target)  # again, for a build takes a while
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
