"""Read a corpus: turn a folder, a tar archive or a git URL into documents, and list skipped files with the reason."""

import hashlib
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rag.chunking import markdown
from rag.chunking.chunker import HEADING_CHARS, parser_for
from rag.errors import SourceUnreadable
from rag.reading import frontmatter
from rag.secrets.find import find_secrets
from rag.types import Document, Skipped

MAX_BYTES = 512 * 1024  # larger text files are data, not documentation
CLONE_SECONDS = 300
_IGNORED = {".git", "node_modules", "__pycache__", ".venv"}
_LISTS = {"MANIFEST.tsv"}  # it describes the corpus and belongs to no page
_GIT_URL = re.compile(r"^(https?://|ssh://|git@|git://|file://)")


@dataclass(frozen=True, slots=True)
class Corpus:
    """The documents of a source in path order, its skipped files, and its commit ("" when unknown)."""

    documents: list[Document]
    skipped: list[Skipped]
    commit: str = ""
    origin: str = ""  # address of the repository, for links; "" when there is none
    date: str = ""  # of the commit, as 2026-02-24; "" when unknown


def read_corpus(source: str | Path) -> Corpus:
    """Read every indexable file of a folder, a .tar/.tar.gz archive or a git URL.

    Raises SourceUnreadable when the source does not exist, is no archive, cannot be cloned or holds no document.
    """
    with _as_folder(source) as folder:
        documents: list[Document] = []
        skipped: list[Skipped] = []
        for path in _files(folder):
            read = _read(path, path.relative_to(folder).as_posix())
            if isinstance(read, Document):
                documents.append(read)
            else:
                skipped.append(read)
        if not documents:
            raise SourceUnreadable(f"{source} holds no document that can be indexed; give a folder with .md files")
        return Corpus(documents, skipped, _commit(folder), _origin(folder), _git(folder, "log", "-1", "--format=%cs"))


def is_git_url(source: str) -> bool:
    """Return True when `source` is the address of a git repository rather than a path."""
    return bool(_GIT_URL.match(source))


@contextmanager
def _as_folder(source: str | Path) -> Iterator[Path]:
    if isinstance(source, str) and is_git_url(source):
        with tempfile.TemporaryDirectory() as scratch:
            yield _clone(source, Path(scratch) / "clone")
        return
    path = Path(source)
    if path.is_dir():
        yield path
    elif path.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            yield _unpack(path, Path(scratch))
    else:
        raise SourceUnreadable(f"{source} does not exist; give a folder, a tar archive or a git URL")


def _clone(source: str, target: Path) -> Path:
    """Fetch one commit: the one named behind "#", else the newest of the main branch."""
    url, _, commit = source.partition("#")
    for command in (
        ["init", "--quiet"],
        ["remote", "add", "origin", url],
        ["fetch", "--quiet", "--depth", "1", "origin", "--", commit or "HEAD"],
        ["checkout", "--quiet", "FETCH_HEAD"],
    ):
        _in_clone(source, target, command)
    return target


def _in_clone(source: str, target: Path, command: list[str]) -> None:
    target.mkdir(exist_ok=True)
    whole = ["git", "-C", str(target), *command]
    try:
        done = subprocess.run(whole, capture_output=True, text=True, timeout=CLONE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceUnreadable(f"cloning {source} took over {CLONE_SECONDS} s; clone it, give the folder") from error
    if done.returncode:
        raise SourceUnreadable(f"git cannot clone {source}: {done.stderr.strip()[-300:]}")


def _unpack(archive: Path, target: Path) -> Path:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")  # refuses links and paths that leave the folder
    except (tarfile.TarError, OSError) as error:
        raise SourceUnreadable(f"{archive} is no readable tar archive ({error})") from error
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not path.is_symlink() and not _IGNORED & set(inside) and path.name not in _LISTS:
            yield path


def _read(path: Path, name: str) -> Document | Skipped:
    if not name.isprintable():  # also a name whose bytes are no UTF-8
        return Skipped(ascii(name), "control characters or bytes that are no UTF-8 in its name; rename it")
    if parser_for(name) is None:
        return Skipped(name, f"kind of file not indexed ({path.suffix or 'no suffix'})")
    if path.stat().st_size > MAX_BYTES:
        return Skipped(name, f"larger than {MAX_BYTES // 1024} KiB")
    try:
        data = path.read_bytes()
    except OSError as error:
        return Skipped(name, f"cannot be read ({error.strerror})")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Skipped(name, "UTF-16; save it as UTF-8")
    if b"\0" in data:
        return Skipped(name, "binary")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        return Skipped(name, f"not UTF-8 (byte {error.start})")
    if not text.strip():
        return Skipped(name, "empty")
    if secrets := find_secrets(text):
        return Skipped(name, "may hold a secret: " + ", ".join(f"{s.kind} in line {s.line}" for s in secrets[:3]))
    return _document(name, text, hashlib.sha256(data).hexdigest())


def _document(name: str, text: str, digest: str) -> Document:
    fields, body = frontmatter.split(text)
    return Document(
        path=name,
        text=body,
        title=(next(iter(_strings(fields.get("title"))), "") or _first_heading(name, body) or _from_name(name))[
            :HEADING_CHARS
        ],
        digest=digest,
        topics=_strings(fields.get("topics")),
        questions=_questions(fields.get("questions")),
        sources=_strings(fields.get("sources")),
    )


def _first_heading(name: str, body: str) -> str:
    if PurePosixPath(name).suffix not in {".md", ".markdown"}:
        return ""  # a "# line" elsewhere is a comment
    return next((block.title for block in markdown.blocks(body) if block.kind == "heading" and block.level == 1), "")


def _from_name(name: str) -> str:
    path = PurePosixPath(name)
    words = re.sub(r"[-_.]+", " ", path.stem).strip()
    return f"{words} ({path.name})" if path.suffix in {".yml", ".yaml"} else words.capitalize()


def _strings(value: object) -> tuple[str, ...]:
    """Return the texts of a field without nested values, which YAML aliases can make endless."""
    items = value if isinstance(value, list) else [value]
    return tuple(item.strip() for item in items if isinstance(item, str) and item.strip())


def _questions(value: object) -> dict[str, tuple[str, ...]]:
    """Return heading -> questions; a plain list of questions belongs to the page, under the heading ""."""
    if isinstance(value, dict):
        return {str(heading): asked for heading, listed in value.items() if (asked := _strings(listed))}
    return {"": asked} if (asked := _strings(value)) else {}


def _commit(folder: Path) -> str:
    manifest = folder / "MANIFEST.tsv"
    if manifest.is_file():
        rows = manifest.read_text("utf-8", errors="replace").splitlines()
        if len(rows) > 1 and rows[0].split("\t")[-1] == "commit":
            return rows[1].split("\t")[-1]
    return _git(folder, "rev-parse", "HEAD")


def _origin(folder: Path) -> str:
    address = _git(folder, "remote", "get-url", "origin")
    return address.removesuffix(".git") if address.startswith("https://") else ""


def _git(folder: Path, *arguments: str) -> str:
    if not (folder / ".git").exists():
        return ""  # git would answer for a repository around the folder
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
