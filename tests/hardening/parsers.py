"""What reads foreign bytes, each as a function that raises only when a promise is broken; for the fuzzer and the suite.

A parser may refuse with the errors that its docstring names. Anything else that comes out of it, a result that is not
what was promised included, is a finding.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from model.kv_cache.prefix_cache import DiskTier, Snapshot
from model.turn.tool_grammar import read_call
from onboarding.redaction.redact import redact
from rag.chunking.chunker import chunk, parser_for
from rag.errors import RagError
from rag.index.store import load
from rag.reading import frontmatter
from rag.reading.documents import _document
from rag.types import Document, Lines
from tests.rag_fakes import WordHashEncoder
from tools.registry import Registry

ROOT = Path(__file__).parents[2]
KINDS = ("page.md", "page.rst", "values.yml", "notes.txt", ".env.example")
KEY = bytes(range(16))
# Put together here, so that no scanner of the tree finds it.
TOKEN = "hf_" + "Qm7ZpT4xWvB2nLs9RkYc6DgHj3FaEu8Vt1"


@dataclass(frozen=True, slots=True)
class Target:
    """A parser under test, and bytes to begin with."""

    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def documents(data: bytes) -> None:
    """Every kind of file that is indexed; the first byte chooses it."""
    text = data[1:].decode("utf-8", "replace")
    name = KINDS[data[0] % len(KINDS)] if data else KINDS[0]
    assert parser_for(name)
    document = _document(name, text, hashlib.sha256(data).hexdigest())
    count = max(1, len(document.text.splitlines()))
    for unit in chunk(document, _nowhere):
        assert unit.text.strip(), "an empty unit"
        assert 1 <= unit.lines[0] <= unit.lines[1] <= count, f"lines {unit.lines} of {count}"
        assert unit.chunks or unit.text.startswith("#"), "a text that is not embedded"  # a heading alone has none


def front_matter(data: bytes) -> None:
    """Fields are {} or read; no line is lost."""
    text = data.decode("utf-8", "replace")
    fields, body = frontmatter.split(text)
    assert isinstance(fields, dict)
    assert all(isinstance(key, str) for key in fields)
    assert len(body.splitlines()) <= len(text.splitlines())
    assert body == text or [line for line in body.splitlines() if line.strip()] == _tail(text, body)


def manifest(data: bytes) -> None:
    """An index with this manifest is refused with a RagError: none of its files is there."""
    folder = _folder("index")
    (folder / "manifest.json").write_bytes(data)
    try:
        load(folder, WordHashEncoder())
    except RagError:
        return
    raise AssertionError("an index without files was loaded")


def cache_file(data: bytes) -> None:
    """What this installation did not write is never handed on, whatever its header says."""
    tier, path, ours = _tier()
    path.write_bytes(data)
    found = tier.read(KEY)
    assert found is None or found == ours, "foreign bytes were taken for our own"


def tool_call(data: bytes) -> None:
    """A call is one of a known tool with arguments it has, or one of the errors that are named."""
    try:
        tool, arguments = read_call(data.decode("utf-8", "replace"), _schemas())
    except (ValueError, RecursionError):
        return
    assert tool is None or tool in Registry.default().list_tools()
    assert isinstance(arguments, dict)


def redactor(data: bytes) -> None:
    """A token on a line of its own is cut out, whatever stands around it."""
    before, _, after = data.decode("utf-8", "replace").partition("|")
    assert TOKEN not in redact(f"{before}\n{TOKEN}\n{after}")


TARGETS: Mapping[str, Target] = {
    "documents": Target(documents, lambda: [bytes([n]) + page for page in _pages() for n in range(len(KINDS))]),
    "front-matter": Target(
        front_matter,
        lambda: [*_pages(), b"---\ntitle: x\n---\n", b"***\n\n## layout: a title: b\n", b"***\n\n## layout: \n"],
    ),
    "manifest": Target(manifest, lambda: [_manifest(), b"{}", b"[]", b'{"files": [], "skipped": {}}']),
    "cache-file": Target(cache_file, lambda: [_cache_file(), b"QNKV\x00\x00\x00\x01", b""]),
    "tool-call": Target(
        tool_call, lambda: [b'{"name": null, "arguments": {}}', b'{"name": "system_info", "arguments": {}}', b"[1]"]
    ),
    "redactor": Target(
        redactor, lambda: [b"password: x|y", b"-----BEGIN |", b"mail a@b.de|", b"https://u:p@h/|?a=b", b"10.0.0.1|"]
    ),
}


def _nowhere(_document: Document, _lines: Lines) -> str:
    return "https://example.org/"


def _tail(text: str, body: str) -> list[str]:
    """The last lines of `text` that hold something, as many as `body` has."""
    kept = [line for line in body.splitlines() if line.strip()]
    whole = [line for line in text.splitlines() if line.strip()]
    return whole[len(whole) - len(kept) :]


def _pages() -> list[bytes]:
    return [path.read_bytes()[:3000] for path in sorted((ROOT / "rag" / "corpus").glob("*.md"))[:6]]


@cache
def _folder(name: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))


@cache
def _schemas() -> list[dict[str, object]]:
    return list(Registry.default().schemas())


@cache
def _tier() -> tuple[DiskTier, Path, Snapshot]:
    root = _folder("cache")
    ours = Snapshot(KEY, 0, 4, b"state")
    tier = DiskTier(root, "fuzz", 1_000_000)
    tier.write(ours)
    tier.close()
    return tier, next(root.glob("*/*.kv")), ours


def _cache_file() -> bytes:
    return _tier()[1].read_bytes()


def _manifest() -> bytes:
    encoder = WordHashEncoder()
    return (
        f'{{"format": 4, "model": "word-hash", "model_digest": "{encoder.digest}", "dimension": {encoder.dimension}, '
        '"units": 1, "chunks": 1, "questions": 0, "corpus_commit": "", "corpus_digest": "", "skipped": '
        '[{"path": "a", "reason": "b"}], "files": {"units.jsonl": "00", "../../outside": "00"}}'
    ).encode()
