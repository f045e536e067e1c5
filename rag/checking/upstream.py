"""Read a checkout or an archive of upstream, and look up what a page says of it."""

import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from rag.errors import SourceUnreadable
from rag.reading.documents import DAMAGED

CODE, DOCUMENTS, NOWHERE = "code", "documents", ""
_DOCUMENTS = {".md", ".mdc", ".markdown", ".html", ".cursorrules"}
_DATA = {".lock", ".pyc", ".png"}  # a lock file is full of numbers that are no ports
_CLONE = re.compile(r"^(?:(?:/opt|/root|~|\$HOME|\$\{HOME\}|/home/[^/]+)/)?qubinode_navigator(?:/|$)|^\$PWD/")
_MOUNTED = re.compile(r"^/opt/airflow/(?=dags|plugins|scripts|logs|config)")  # by airflow/docker-compose.yml
_HOME = re.compile(r"^(?:\$HOME|\$\{HOME\}|~|/root|\.\.\.|…)/")
_PLACEHOLDER = re.compile(
    r"<[^>]*>|\$?\{[^}]*\}|\$[A-Za-z_]\w*|…|\.\.\.|\*+|(?<![^/=])[A-Z][A-Z0-9_]+(?![^/:])|(?<![^/])(?:X|N)(?![^/])"
)
_PORT = re.compile(r"port\w*\b[^\n\d]{0,40}?\b(\d{2,5})\b|(?<=[\w}\])]):(\d{2,5})\b|\b(\d{2,5})(?=:\d|/tcp|/udp)", re.I)


@dataclass(frozen=True, eq=False)
class Upstream:
    """The files of one state of upstream by path; a link holds the path that it points to, as in git."""

    files: Mapping[str, bytes]

    @cached_property
    def texts(self) -> dict[str, str]:
        """The files that are UTF-8 text and no data."""
        return {path: text for path, data in self.files.items() if (text := _text(path, data))}

    @cached_property
    def _bodies(self) -> dict[str, str]:
        by_kind: dict[str, list[str]] = {CODE: [], DOCUMENTS: []}
        for path, text in self.texts.items():
            by_kind[DOCUMENTS if _suffix(path) in _DOCUMENTS else CODE].append(text)
        return {kind: "\n".join(texts) for kind, texts in by_kind.items()}

    @cached_property
    def _words(self) -> dict[str, set[str]]:
        return {kind: set(re.findall(r"\w+", body)) for kind, body in self._bodies.items()}

    @cached_property
    def _ends(self) -> dict[str, str]:
        """Every end of every path, of files and folders -> one whole path that ends so."""
        ends: dict[str, str] = {}
        for path in self.files:
            parts = PurePosixPath(path).parts
            for last in range(1, len(parts) + 1):
                for first in range(last):
                    ends.setdefault("/".join(parts[first:last]), "/".join(parts[:last]))
        return ends

    @cached_property
    def stems(self) -> set[str]:
        """The names of the files without what stands behind the first dot."""
        return {PurePosixPath(path).name.lstrip(".").partition(".")[0] for path in self.files}

    @cached_property
    def ports(self) -> dict[str, set[str]]:
        """The numbers that stand where a port stands, of code and of documents."""
        return {
            kind: {number for hit in _PORT.findall(body) for number in hit if number}
            for kind, body in self._bodies.items()
        }

    @cached_property
    def containers(self) -> set[str]:
        """The names that podman-compose gives the services of each compose file: FOLDER_SERVICE_1."""
        found = set()
        for path, text in self.texts.items():
            if re.fullmatch(r"(?:docker-)?compose[\w.-]*\.ya?ml", PurePosixPath(path).name):
                folder = PurePosixPath(path).parent.name
                services = re.split(r"^services:\s*$", text, maxsplit=1, flags=re.M)[-1]
                found |= {f"{folder}_{name}_1" for name in re.findall(r"^  ([\w-]+):", services, re.M)}
        return found

    def file(self, name: str) -> str:
        """Return the path of the file or folder that `name` is, or ends in; "" when there is none."""
        end = _end(name)
        if end == ".":
            return end  # the clone itself
        if end in self.files or end in self._ends:
            return end if end in self.files else self._ends[end]
        if not _PLACEHOLDER.search(end):
            return ""
        literal = _PLACEHOLDER.split(end)
        if not any(len(part.strip("/.")) > 2 for part in literal):
            return ""  # nothing but placeholders matches everything
        shape = re.compile((".*" if "**" in end else "[^/]*").join(map(re.escape, literal)))
        return next((self._ends[one] for one in self._ends if shape.fullmatch(one)), "")

    def only_file(self, name: str) -> str:
        """Return the path of the one file that `name` is, or alone ends in; "" for a folder, a pattern or two files."""
        end = _end(name)
        found = [path for path in self.files if path == end or path.endswith(f"/{end}")]
        return end if end in self.files else found[0] if len(found) == 1 else ""

    def path(self, name: str) -> str:
        """Return where a path is found: in the tree (CODE), else as a string up to a placeholder."""
        if self.file(name):
            return CODE
        return self._in_texts(name) or self._in_texts(_HOME.sub("", name))

    def _in_texts(self, name: str) -> str:
        folder, _, last = name.rstrip("/").rpartition("/")
        if folder and self._made(folder, last):
            return CODE
        start, *more = _PLACEHOLDER.split(name)
        found = self.string(name.rstrip("/")) or (self.string(f"{start}*") if more and len(start) > 3 else NOWHERE)
        first, _, rest = name.removeprefix("/").partition("/")
        routed = name.startswith("/") and rest and self.string(f'"/{first}"') == self.string(f'"/{rest}"') == CODE
        return CODE if routed else found  # a route of a router with a prefix

    def _made(self, folder: str, name: str) -> bool:
        """Return True for a file that code writes into a folder of the tree: no script and not a file that moved."""
        around = folder.rpartition("/")[2]
        written = "." in name[1:] and not name.endswith((".sh", ".py")) and name not in self._ends
        return written and self.string(name) == CODE and (bool(self.file(around)) or self.string(around) == CODE)

    def string(self, value: str) -> str:
        """Return where `value` stands as a whole word; one that ends in *, _ or - may go on."""
        start = value.rstrip("*")
        return self._string(start, value[-1] in "*_-") if start else NOWHERE

    @cache  # noqa: B019 - it lives as long as the command
    def _string(self, value: str, prefix: bool) -> str:
        for kind, body in self._bodies.items():
            if value.isidentifier() and not prefix:
                # "`MCP_TOOLS_DAGS`, `_LOGS`": the end of a name that stands before it
                if value in self._words[kind] or (
                    value[0] == "_" and value.isupper() and any(one.endswith(value) for one in self._words[kind])
                ):
                    return kind
            elif _stands_in(value, body, prefix):
                return kind
        return NOWHERE

    def says(self, path: str, words: str) -> bool:
        """Return True when a file holds the words, white space and marks aside."""
        held, wanted = (re.sub(r"[\s`*|]+", "", text) for text in (self.texts.get(self.file(path), ""), words))
        return wanted in held

    def in_script(self, script: str, word: str) -> bool:
        """Return True when an upstream script of that file name holds the word."""
        name = PurePosixPath(self.file(script)).name
        scripts = [text for path, text in self.texts.items() if PurePosixPath(path).name == name]
        return any(_stands_in(word, text, prefix=False) for text in scripts)

    def target(self, folder: str, name: str) -> bool:
        """Return True when the Makefile of `folder` has the target; any Makefile when the folder has none."""
        end = self.file(folder) if folder else ""
        paths = [path for path in self.texts if PurePosixPath(path).name == "Makefile"]
        here = [path for path in paths if str(PurePosixPath(path).parent) == end] or paths
        return any(re.search(rf"^{re.escape(name)}\s*:(?!=)", self.texts[path], re.M) for path in here)


MOST_BYTES = 20_000_000  # of one file; no program or document is larger


def read_upstream(source: str | Path) -> Upstream:
    """Read a folder or a tar archive. Raises SourceUnreadable when it is neither or holds no file."""
    path = Path(source)
    if not str(source) or not path.exists():
        raise SourceUnreadable(f"{source} does not exist; give a checkout of upstream or a tar archive of one")
    files = dict(_folder(path) if path.is_dir() else _archive(path))
    if not files:
        raise SourceUnreadable(f"{source} holds no file; give a checkout of upstream or a tar archive of one")
    return Upstream(dict(sorted(files.items())))


def _folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if ".git" in name.parts:
            continue
        if path.is_symlink():
            yield name.as_posix(), os.fsencode(path.readlink())
        elif path.is_file() and path.stat().st_size <= MOST_BYTES:
            yield name.as_posix(), path.read_bytes()


def _archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Read the members in memory, so that no name of theirs can reach a path here; drop a folder around them all."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.issym():
                    files[name] = os.fsencode(member.linkname)
                elif member.isfile() and member.size <= MOST_BYTES and (data := tar.extractfile(member)):
                    files[name] = data.read()
    except DAMAGED as error:
        raise SourceUnreadable(f"{path} is no readable tar archive; give a folder or an archive") from error
    tops = {name.partition("/")[0] for name in files}
    around = f"{tops.pop()}/" if len(tops) == 1 and all("/" in name for name in files) else ""
    return ((name.removeprefix(around), data) for name, data in files.items())


def _end(name: str) -> str:
    """Return a path as it reads from the top of the clone, without a line number; "." for the clone."""
    end = re.sub(r"(:\d+(-\d+)?|#.*)$", "", _MOUNTED.sub("airflow/", _CLONE.sub("./", name))).rstrip("/")
    return re.sub(r"^(\.\.?/)+", "", end)


def _suffix(path: str) -> str:
    name = PurePosixPath(path).name
    return PurePosixPath(name).suffix or name


def _text(path: str, data: bytes) -> str:
    if _suffix(path) in _DATA or b"\0" in data:
        return ""
    return data.decode("utf-8", errors="replace")


def _stands_in(value: str, text: str, prefix: bool) -> bool:
    """Return True when `value` stands in `text` and no letter, digit, _ or - goes on before or behind it."""
    at = text.find(value)
    while at >= 0:
        before, behind = text[at - 1 : at], text[at + len(value) : at + len(value) + 1]
        if text[at - 2 : at] == ":-":  # the default of a shell variable, ${NAME:-value}
            before = ""
        if not (_goes_on(before) and _goes_on(value[0])) and (prefix or not (_goes_on(behind) and _goes_on(value[-1]))):
            return True
        at = text.find(value, at + 1)
    return False


def _goes_on(character: str) -> bool:
    return character.isalnum() or character in {"_", "-"}
