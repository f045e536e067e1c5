"""Read a corpus: turn a folder, a tar archive or a git URL into documents, and list skipped files with the reason."""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from urllib.request import urlopen

from rag.chunking import markdown
from rag.chunking.chunker import HEADING_CHARS, parser_for
from rag.chunking.splitting import clipped
from rag.errors import SourceUnreadable
from rag.reading import frontmatter
from rag.secrets.find import find_secrets
from rag.types import Difference, Document, Skipped

MAX_BYTES = 512 * 1024  # larger text files are data, not documentation
FETCH_SECONDS = 300
DEEPEST = 100  # folders in one another; deeper ones are nobody's pages, and some tools give up there
LONGEST_NAME = 300  # characters of a skipped file's name
MOST_SOURCES, LONGEST_CLAIM = 50, 300  # entries and characters of front matter that each passage carries along
DAMAGED = (
    tarfile.TarError,
    OSError,
    EOFError,
    LZMAError,
    zlib.error,
    KeyError,
    ValueError,
    OverflowError,
    RecursionError,
)
_IGNORED = {".git", "node_modules", "__pycache__", ".venv"}
_LISTS = {"MANIFEST.tsv"}  # it describes the corpus and belongs to no page
_GIT = ("git", "-c", "log.showSignature=false", "-c", "core.fsmonitor=false")  # no program that a repository names
_ADDRESS = re.compile(r"^(https?://|ssh://|git@|git://|file://)")


@dataclass(frozen=True, slots=True)
class Corpus:
    """The documents of a source in path order, its skipped files, and its commit ("" when unknown)."""

    documents: list[Document]
    skipped: list[Skipped]
    commit: str = ""
    origin: str = ""  # address of the repository, for links; "" when there is none
    date: str = ""  # of the commit, as 2026-02-24; "" when unknown


def read_corpus(source: str | Path) -> Corpus:
    """Read every indexable file of a folder, a .tar/.tar.gz archive, its https:// address, or a git URL.

    Raises SourceUnreadable when the source does not exist, is no archive, cannot be cloned or holds no document.
    """
    with _opened(source) as opened:
        documents: list[Document] = []
        skipped: list[Skipped] = []
        skipped.extend(opened.skipped)
        for path, reason in _found(opened.folder):
            name = path.relative_to(opened.folder).as_posix()
            read = Skipped(_shown(name), reason) if reason else _read(path, name)
            if isinstance(read, Document):
                documents.append(read)
            else:
                skipped.append(read)
        if not documents:
            raise SourceUnreadable(f"{source} holds no document that can be indexed; give a folder with .md files")
        commit = opened.commit or _listed_commit(opened.folder)
        if opened.is_unpacked:
            return Corpus(documents, skipped, commit, "", opened.date)
        date = _git(opened.folder, "log", "-1", "--format=%cs")
        return Corpus(
            documents, skipped, commit or _git(opened.folder, "rev-parse", "HEAD"), _origin(opened.folder), date
        )


def is_address(source: str) -> bool:
    """Return True when `source` is the address of a git repository or an archive rather than a path."""
    return bool(_ADDRESS.match(source))


@dataclass(frozen=True, slots=True)
class _Opened:
    """A source as a folder, with what its archive says of its commit."""

    folder: Path
    commit: str = ""
    date: str = ""
    skipped: tuple[Skipped, ...] = ()  # members of an archive that were left in it
    is_unpacked: bool = False  # a stranger's repository inside an archive may name programs that git would run


@contextmanager
def _opened(source: str | Path) -> Iterator[_Opened]:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if isinstance(source, str) and is_address(source):
            if source.startswith("https://") and source.endswith((".tar.gz", ".tgz", ".tar")):
                yield _unpack(_download(source, scratch / "archive"), scratch / "files")
            else:
                yield _Opened(_clone(source, scratch / "clone"))
        elif Path(source).is_dir():
            yield _Opened(Path(source))
        elif Path(source).is_file():
            yield _unpack(Path(source), scratch / "files")
        else:
            raise SourceUnreadable(f"{source} does not exist; give a folder, a tar archive or a git URL")


def _clone(url: str, target: Path) -> Path:
    command = ["git", "clone", "--quiet", "--depth", "1", "--", url, str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceUnreadable(f"cloning {url} took over {FETCH_SECONDS} s; clone it and give the folder") from error
    if done.returncode:
        raise SourceUnreadable(f"git cannot clone {url}: {done.stderr.strip()[-300:]}")
    return target


def _download(url: str, target: Path) -> Path:
    try:
        with urlopen(url, timeout=FETCH_SECONDS) as answer, target.open("wb") as file:  # noqa: S310 - https:// only
            shutil.copyfileobj(answer, file)
    except (OSError, ValueError, HTTPException) as error:
        raise SourceUnreadable(f"{url} cannot be fetched ({error}); fetch it yourself and give the file") from error
    return target


def _unpack(archive: Path, target: Path) -> _Opened:
    """Unpack an archive without its pipes, devices and links elsewhere.

    That of a git commit, as GitHub serves it, carries the commit and its time.
    """
    skipped: list[Skipped] = []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name.count("/") > DEEPEST:
                    skipped.append(Skipped(_shown(member.name), f"folders nest deeper than {DEEPEST} levels"))
                    continue
                try:
                    tar.extract(member, target, filter="data")  # refuses paths that leave the folder
                except (tarfile.SpecialFileError, tarfile.AbsoluteLinkError, tarfile.LinkOutsideDestinationError):
                    skipped.append(Skipped(_shown(member.name), "a device or a link out of the archive"))
            commit = tar.pax_headers.get("comment", "")
            members = tar.getmembers()
    except DAMAGED as error:
        raise SourceUnreadable(f"{archive} is no readable tar archive ({_one_line(error)})") from error
    inside = list(target.iterdir()) if target.is_dir() else []
    folder = inside[0] if len(inside) == 1 and inside[0].is_dir() else target
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        return _Opened(folder, skipped=tuple(skipped), is_unpacked=True)
    return _Opened(folder, commit, _day(members[0].mtime), tuple(skipped), is_unpacked=True)


def _day(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _found(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield (path, "") for each file in path order, and (path, reason) for what nobody looks into.

    A link is skipped: it leads to what is read already, or to what was not given.
    """
    folders, found = [folder], []
    while folders:
        above = folders.pop()
        for path in sorted(above.iterdir()) if _may_list(above) else ():
            inside = path.relative_to(folder).parts
            if path.name in _IGNORED | _LISTS:
                continue
            if path.is_symlink():
                found.append((path, "a link; give the file or folder that it leads to"))
            elif path.is_file():
                found.append((path, ""))
            elif path.is_dir() and len(inside) >= DEEPEST:
                found.append((path, f"folders nest deeper than {DEEPEST} levels"))
            elif path.is_dir():
                folders.append(path)
                if not _may_list(path):
                    found.append((path, "a folder that cannot be read; check its permissions"))
    yield from sorted(found)


def _may_list(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)


def _read(path: Path, name: str) -> Document | Skipped:
    if not name.isprintable():  # also a name whose bytes are no UTF-8
        return Skipped(_shown(name), "control characters or bytes that are no UTF-8 in its name; rename it")
    if parser_for(name) is None:
        return Skipped(name, f"kind of file not indexed ({path.suffix or 'no suffix'})")
    if path.stat().st_size > MAX_BYTES:
        return Skipped(name, f"larger than {MAX_BYTES // 1024} KiB")
    try:
        data = path.read_bytes()
    except OSError as error:
        return Skipped(name, f"cannot be read ({error.strerror})")
    try:
        text = _decoded(data)
    except ValueError as error:
        return Skipped(name, str(error))
    if secrets := find_secrets(text):
        return Skipped(name, "may hold a secret: " + ", ".join(f"{s.kind} in line {s.line}" for s in secrets[:3]))
    return _document(name, text, hashlib.sha256(data).hexdigest())


def _shown(name: str) -> str:
    """Return a name as one readable line; a very deep one by its end."""
    return (name if name.isprintable() else ascii(name))[-LONGEST_NAME:]


def _decoded(data: bytes) -> str:
    """Return a file's text with line ends as LF; ValueError says why it holds none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("UTF-16; save it as UTF-8")
    if b"\0" in data:
        raise ValueError("binary")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from error
    if not text.strip():
        raise ValueError("empty")
    return text


def _document(name: str, text: str, digest: str) -> Document:
    fields, body = frontmatter.split(text)
    return Document(
        path=name,
        text=body,
        title=clipped(
            " ".join(next(iter(_strings(fields.get("title"))), "").split())
            or _first_heading(name, body)
            or _from_name(name),
            HEADING_CHARS,
        ),
        digest=digest,
        topics=_strings(fields.get("topics")),
        questions=_questions(fields.get("questions")),
        sources=_strings(fields.get("sources"))[:MOST_SOURCES],
        differs=_differs(fields.get("differs")),
    )


def _first_heading(name: str, body: str) -> str:
    if PurePosixPath(name).suffix not in {".md", ".markdown"}:
        return ""  # a "# line" elsewhere is a comment
    return next((block.title for block in markdown.blocks(body) if block.kind == "heading" and block.level == 1), "")


def _from_name(name: str) -> str:
    path = PurePosixPath(name)
    words = re.sub(r"[-_.]+", " ", path.stem).strip()
    return f"{words} ({path.name})" if path.suffix in {".yml", ".yaml", ".py", ".sh"} else words.capitalize()


def _strings(value: object) -> tuple[str, ...]:
    """Return the texts of a field without nested values, which YAML aliases can make endless."""
    items = value if isinstance(value, list) else [value]
    return tuple(item.strip() for item in items if isinstance(item, str) and item.strip())


def _questions(value: object) -> dict[str, tuple[str, ...]]:
    """Return heading -> questions; a plain list of questions belongs to the page, under the heading ""."""
    if isinstance(value, dict):
        return {str(heading): asked for heading, listed in value.items() if (asked := _strings(listed))}
    return {"": asked} if (asked := _strings(value)) else {}


def _differs(value: object) -> dict[str, tuple[Difference, ...]]:
    """Return heading -> what upstream's files say otherwise, from heading -> file -> its claim."""
    if not isinstance(value, dict):
        return {}
    return {
        str(heading): tuple(
            Difference(str(path), says[:LONGEST_CLAIM]) for path, says in files.items() if isinstance(says, str)
        )
        for heading, files in value.items()
        if isinstance(files, dict)
    }


def _listed_commit(folder: Path) -> str:
    manifest = folder / "MANIFEST.tsv"
    if manifest.is_file():
        rows = manifest.read_text("utf-8", errors="replace").splitlines()
        if len(rows) > 1 and rows[0].split("\t")[-1] == "commit":
            return rows[1].split("\t")[-1]
    return ""


def _origin(folder: Path) -> str:
    address = _git(folder, "remote", "get-url", "origin")
    return address.removesuffix(".git") if address.startswith("https://") else ""


def _git(folder: Path, *arguments: str) -> str:
    if not (folder / ".git").exists():
        return ""  # git would answer for a repository around the folder
    done = subprocess.run([*_GIT, "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
