"""A stand-in for the Hugging Face Hub on loopback: repositories, LFS objects, commits, and faults on demand.

It speaks the part of the protocol that huggingface_hub uses to publish, without Xet; it checks tokens, parent commits
and the digests of what it is given.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tests.loopback import http_server

TOKEN = "hf_of_the_tests"  # shorter than a real one
CUT = 0  # as a status: close the connection in the middle
LARGE = 1000  # bytes from which a file goes to LFS


@dataclass
class Repository:
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b""}])
    tags: dict[str, str] = field(default_factory=dict)
    private: bool = False
    squashed: int = 0  # commits whose history is gone

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]

    @property
    def sha(self) -> str:
        return f"{self.squashed + len(self.commits):040x}"

    def squash(self) -> None:
        """One commit with what the last one held; its name is a new one."""
        self.squashed += len(self.commits)
        self.commits[:] = self.commits[-1:]


class Hub:
    """What the Hub holds, and which requests fail: `faults` maps a part of "METHOD path" to statuses, first to last."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: dict[str, list[int]] = {}
        self.seen: list[str] = []
        self.meanwhile: list[dict[str, bytes]] = []  # commits that somebody else makes just before ours
        self.is_down = False  # connections are closed without an answer
        self.lost: dict[str, int] = {}  # a part of "METHOD path" -> how many answers get lost on their way
        self.url = ""

    def count(self, part: str) -> int:
        return sum(part in request for request in self.seen)

    def loses(self, request: str) -> bool:
        """Whether the answer to a request, which is carried out, never arrives."""
        for part, left in self.lost.items():
            if part in request and left:
                self.lost[part] = left - 1
                return True
        return False

    def fault(self, request: str) -> int | None:
        for part, statuses in self.faults.items():
            if part in request and statuses:
                return statuses.pop(0)
        return None


@contextmanager
def serve(port: int = 0) -> Iterator[Hub]:
    """A hub on 127.0.0.1, at a free port unless one is given."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with http_server(handler, port) as hub.url:
        yield hub


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        """A file's metadata, as `resolve` gives it."""
        if self.hub.is_down:
            self._cut()
            return
        data, sha = self._resolved()
        self.send_response(200)
        self.send_header("X-Repo-Commit", sha)
        self.send_header("X-Linked-Etag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()

    def _resolved(self) -> tuple[bytes, str]:
        """The file of an address such as /datasets/user/name/resolve/main/path, and its commit."""
        place, _, rest = urlsplit(self.path).path.strip("/").partition("/resolve/")
        name = place if place.startswith(("datasets/", "spaces/")) else f"models/{place}"
        repository = self.hub.repositories[name]
        return repository.files[rest.partition("/")[2]], repository.sha if repository.private else "c" * 40

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def _serve(self, method: str) -> None:
        path = urlsplit(self.path).path
        request = f"{method} {path}"
        self.hub.seen.append(request)
        fault = CUT if self.hub.is_down else self.hub.fault(request)
        if fault == CUT:
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            self._cut()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault:
            self._answer(fault, {"error": "planted"})
        elif (
            not path.startswith("/lfs/") and self.headers.get("Authorization") != f"Bearer {TOKEN}" and method != "GET"
        ):
            self._answer(401, {"error": "Invalid credentials in Authorization header"})
        elif "/resolve/" in path:
            self._file(self._resolved()[0])
        else:
            answer = self._result(method, path.strip("/").split("/"), body)
            if self.hub.loses(request):
                self._cut()
            else:
                self._answer(*answer)

    def _file(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, status: int, tree: Any) -> None:
        data = json.dumps(tree).encode()
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _result(self, method: str, parts: list[str], body: bytes) -> tuple[int, Any]:
        if parts[0] == "lfs":
            return self._stored(parts[1], body)
        if parts == ["api", "whoami-v2"]:
            valid = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            return (200, {"name": "someone"}) if valid else (401, {"error": "Invalid credentials"})
        if parts == ["api", "validate-yaml"]:
            return 200, {"errors": [], "warnings": []}
        if parts[:3] == ["api", "repos", "create"]:
            return self._created(json.loads(body))
        if parts[-3:] == ["lfs", "objects", "batch"]:
            return self._batch(json.loads(body))
        if parts[0] == "api":
            return self._of_repository(parts[1], "/".join(parts[2:4]), parts[4:], body)
        return 404, {"error": "not found"}

    def _created(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        name = f"{wanted.get('type', 'model')}s/{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repositories:
            return 409, {"error": "exists", "url": f"{self.hub.url}/{name}"}
        self.hub.repositories[name] = Repository(
            private=wanted.get("visibility") == "private" or bool(wanted.get("private"))
        )
        return 200, {"url": f"{self.hub.url}/{name}", "name": name.partition("/")[2]}

    def _of_repository(self, kind: str, name: str, rest: list[str], body: bytes) -> tuple[int, Any]:
        repository = self.hub.repositories.get(f"{kind}/{name}")
        if repository is None:
            return 404, {"error": "Repository not found"}
        action = rest[0] if rest else ""
        if action == "revision" and rest[1] not in {"main", repository.sha, *repository.tags}:
            return 404, {"error": "Revision not found"}
        if action in {"", "revision"}:
            return 200, {"id": name, "sha": repository.sha, "private": repository.private, "siblings": [], "tags": []}
        if action == "tree":
            return 200, [_entry(path, data) for path, data in sorted(repository.files.items())]
        if action == "paths-info":
            return 200, []
        if action == "preupload":
            return 200, {"files": [_mode(file) for file in json.loads(body)["files"]]}
        if action == "super-squash":
            repository.squash()
            return 200, {}
        if action == "tag":
            return self._tagged(repository, json.loads(body)["tag"], rest[1])
        return self._committed(repository, name, [json.loads(line) for line in body.splitlines()])

    def _tagged(self, repository: Repository, tag: str, revision: str) -> tuple[int, Any]:
        if tag in repository.tags:
            return 409, {"error": "tag exists"}
        repository.tags[tag] = revision
        return 200, {}

    def _batch(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        def row(one: dict[str, Any]) -> dict[str, Any]:
            if one["oid"] in self.hub.objects:
                return one
            return {**one, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}}

        return 200, {"transfer": "basic", "objects": [row(one) for one in wanted["objects"]]}

    def _stored(self, oid: str, body: bytes) -> tuple[int, Any]:
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "digest differs"}
        self.hub.objects[oid] = body
        return 200, {}

    def _committed(self, repository: Repository, name: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        if self.hub.meanwhile:
            repository.commits.append({**repository.files, **self.hub.meanwhile.pop(0)})
        header = lines[0]["value"]
        if header.get("parentCommit") not in {None, repository.sha}:
            return 412, {"error": "a commit has happened since"}
        files = dict(repository.files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            else:
                del files[value["path"]]
        repository.commits.append(files)
        url = f"{self.hub.url}/{name}/commit/{repository.sha}"
        return 200, {"success": True, "commitOid": repository.sha, "commitUrl": url, "hookOutput": ""}


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    large = file["size"] >= LARGE and b"\0" in base64.b64decode(file["sample"])
    return {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}


def _entry(path: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": blob}
    if len(data) >= LARGE and b"\0" in data[:512]:
        pointer = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        entry |= {"oid": "f" * 40, "lfs": pointer}
    return entry
