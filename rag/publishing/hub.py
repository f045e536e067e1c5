"""Send a folder to the Hugging Face Hub: the dataset, a model or the Space.

`send` compares first and reads back afterwards, so that a second run sends nothing and resumes a first one that was
cut off. It deletes files only inside the folders that a target owns. Covers: wrong tokens, rate limits, a Hub that
fails, is cut off, silent or forbidden (HF_HUB_OFFLINE), somebody else's commit in between, credentials and personal
data in text files, uncommitted changes. Does not cover: the content of binary files, and two publishers of one
repository that alternate.
"""

import fnmatch
import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Literal

import httpx2
from huggingface_hub import HfApi, get_session
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from rag.errors import RagError, SecretFound
from rag.publishing.folder import check_folder
from rag.secrets.find import find_secrets

ATTEMPTS = 4
LONGEST_WAIT_S = 60.0
DIGESTS = frozenset({"Hex High Entropy String"})  # cards and lock files are full of sha256
CONFLICTS = frozenset({409, 412})  # somebody else committed between the comparison and the upload
TROUBLE = frozenset({408, 429, 500, 502, 503, 504})  # it passes; the client waits and tries again during an upload
SILENCE = {"connect": 10.0, "read": 60.0, "write": 60.0, "pool": 60.0}  # s; by itself the client waits for ever
# What reading the Hub ends with where it refuses, fails, cannot be reached or is something else, such as a login page.
UNREAD = (HfHubHTTPError, httpx2.HTTPError, OSError, ValueError, KeyError, TypeError, AttributeError)
_BINARY = b"\0"
_RESUME = "run the same command again, it resumes"


class PublishRefused(RagError):
    """Nothing was sent; the message names what to do first."""


class HubFailed(RagError):
    """The Hub did not take the files; the same command resumes."""


class _Again(Exception):
    """The Hub may take the files at the next try."""


@dataclass(frozen=True, slots=True)
class Target:
    """A repository on the Hub, and the folders in it that hold only our files ("" for the whole repository)."""

    repo: str  # user/name
    kind: Literal["model", "dataset", "space"]
    owned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences between a folder and the Hub; paths have / between folders."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    same: int
    parent: str = ""  # the Hub's newest commit; "" when there is no repository yet

    @property
    def none(self) -> bool:
        """Return True when there is nothing to send."""
        return not (self.added or self.changed or self.deleted)

    def __str__(self) -> str:
        rows = [("+", self.added), ("~", self.changed), ("-", self.deleted)]
        lines = [f"{sign} {path}" for sign, paths in rows for path in paths]
        return "\n".join([*lines, f"{len(lines)} to change, {self.same} unchanged"])


def client(token_needed: bool = True) -> HfApi:
    """Return the Hub's client with the token of HF_TOKEN, at HF_ENDPOINT. Raises PublishRefused without a token."""
    token = os.environ.get("HF_TOKEN", "")
    if token_needed and not token:
        raise PublishRefused("set HF_TOKEN to a token that may write, or leave out --send")
    hooks = get_session().event_hooks
    if _limit not in hooks["request"]:
        get_session().event_hooks = {**hooks, "request": [*hooks["request"], _limit]}
    return HfApi(token=token or False)


def _limit(request: httpx2.Request) -> None:
    """End the waiting of a request that says nothing of it; several of the Hub's calls ask for none by name."""
    given = request.extensions.get("timeout") or {}
    request.extensions["timeout"] = SILENCE | {key: limit for key, limit in given.items() if limit is not None}


def local_files(folder: Path) -> list[str]:
    """Return the sorted paths of the files below `folder`, with / between folders."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def compare(api: HfApi, target: Target, folder: Path) -> Changes:
    """Return the differences between `folder` and the Hub, by git and LFS digests. Raises HubFailed."""
    try:
        parent, remote = _remote(api, target)
    except UNREAD as error:
        raise HubFailed(f"{target.repo} could not be read ({_short(error)}); {_advice(error)}") from error
    local = local_files(folder)
    added = tuple(path for path in local if path not in remote)
    changed = tuple(path for path in local if path in remote and not _same(folder / path, remote[path]))
    deleted = tuple(path for path in sorted(remote) if path not in local and _owned(path, target))
    return Changes(added, changed, deleted, len(local) - len(added) - len(changed), parent)


def preview(target: Target, folder: Path) -> str:
    """Return the changes that `send` would make, as Markdown, or that and why the Hub could not be asked.

    Needs no token and no network. Raises FolderUnsound as `check_folder` does.
    """
    check_folder(target.kind, folder)
    try:
        changes = str(compare(client(token_needed=False), target, folder))
    except HubFailed as error:
        changes = (
            f"written and checked, not compared with the Hub: {error}\n{len(local_files(folder))} file(s) would be sent"
        )
    return f"### {target.kind} {target.repo}\n\n```\n{changes}\n```"


def published(target: Target, folder: Path, message: str, *, sends: bool) -> str:
    """Send a folder that `check_folder` finds sound and return what changed, or only what would; see `preview`."""
    if not sends:
        return preview(target, folder)
    check_folder(target.kind, folder)
    return str(send(client(), target, folder, message))


def has_tag(api: HfApi, target: Target, tag: str) -> bool:
    """Return True when the repository has a tag of that name; False also without a repository. Raises HubFailed."""
    try:
        return bool(api.revision_exists(target.repo, tag, repo_type=target.kind))
    except UNREAD as error:
        raise HubFailed(f"{target.repo} could not be read ({_short(error)}); {_advice(error)}") from error


def send(api: HfApi, target: Target, folder: Path, message: str, pause_s: float = 1.0) -> Changes:
    """Make the repository equal to `folder`; return the changes, compared before the first try.

    Raises PublishRefused for a token without the right, and HubFailed after ATTEMPTS tries or when the repository
    differs afterwards.
    """
    _check_token(api)
    tries = Retrying(
        retry=retry_if_exception_type(_Again),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=pause_s, max=LONGEST_WAIT_S),
        reraise=True,
    )
    try:
        tries(_create, api, target)
        first = compare(api, target, folder)
        tries(_send_once, api, target, folder, message)
    except _Again as error:
        raise HubFailed(f"{target.repo} was not updated ({error}); {_RESUME}") from error
    if not (left := compare(api, target, folder)).none:
        raise HubFailed(f"read back, {target.repo} differs from what was sent:\n{left}")
    return first


def _send_once(api: HfApi, target: Target, folder: Path, message: str) -> None:
    changes = compare(api, target, folder)
    if changes.none:  # also after a commit whose answer was lost
        return
    with _judged(again=CONFLICTS):
        api.upload_folder(
            repo_id=target.repo,
            repo_type=target.kind,
            folder_path=folder,
            allow_patterns=[escape(path) for path in (*changes.added, *changes.changed)],
            delete_patterns=[escape(path) for path in changes.deleted],
            commit_message=message,
            parent_commit=changes.parent or None,
        )


def _create(api: HfApi, target: Target) -> None:
    with _judged(again=TROUBLE):
        sdk = "docker" if target.kind == "space" else None
        api.create_repo(target.repo, repo_type=target.kind, space_sdk=sdk, exist_ok=True)


@contextmanager
def _judged(again: frozenset[int]) -> Iterator[None]:
    """Raise _Again for the statuses in `again`, HubFailed for other trouble, PublishRefused for a refusal."""
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in again:
            raise _Again(_short(error)) from error
        if status in TROUBLE:
            raise HubFailed(f"the Hub is in trouble ({_short(error)}); {_RESUME}") from error
        raise PublishRefused(f"the Hub refused ({_short(error)}); check the token's rights") from error
    except (httpx2.HTTPError, ConnectionError, TimeoutError) as error:
        raise HubFailed(f"the connection broke ({_short(error)}); {_advice(error)}") from error


def _check_token(api: HfApi) -> None:
    try:
        api.whoami()
    except HfHubHTTPError as error:
        if error.response.status_code in {401, 403}:
            raise PublishRefused("the token is not valid; set HF_TOKEN to one that may write") from error
        raise HubFailed(f"the Hub does not answer ({_short(error)}); run the same command again") from error
    except UNREAD as error:
        raise HubFailed(f"the Hub cannot be reached ({_short(error)}); {_advice(error)}") from error


def _remote(api: HfApi, target: Target) -> tuple[str, dict[str, RepoFile]]:
    try:
        sha = api.repo_info(target.repo, repo_type=target.kind).sha or ""
        if not sha:
            return "", {}
        tree = api.list_repo_tree(target.repo, repo_type=target.kind, revision=sha, recursive=True)
        return sha, {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    except RepositoryNotFoundError:
        return "", {}


def _same(path: Path, remote: RepoFile) -> bool:
    if remote.size != path.stat().st_size:
        return False
    with path.open("rb") as file:
        if remote.lfs is not None:
            return hashlib.file_digest(file, "sha256").hexdigest() == remote.lfs.sha256
        blob = hashlib.sha1(b"blob %d\0" % remote.size, usedforsecurity=False)
        blob.update(file.read())
    return blob.hexdigest() == remote.blob_id


def _owned(path: str, target: Target) -> bool:
    return path != ".gitattributes" and any(
        not folder or path == folder or path.startswith(f"{folder}/") for folder in target.owned
    )


def _short(error: Exception) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else ""
    return f"{type(error).__name__} {status}".strip()


def _advice(error: Exception) -> str:
    """Return what to do about a Hub that could not be read."""
    if isinstance(error, OfflineModeIsEnabled):
        return "unset it to ask the Hub"
    if isinstance(error, HFValidationError):
        return "name the repository as user/name"
    if isinstance(error, HfHubHTTPError) and error.response.status_code in {401, 403}:
        return "set HF_TOKEN to a token that may read it"
    if isinstance(error, HfHubHTTPError) and error.response.status_code in TROUBLE:
        return _RESUME
    return f"check the network and HF_ENDPOINT, then {_RESUME}"


def refuse_private(folder: Path, ignored: frozenset[str] = DIGESTS, skip: Sequence[str] = ()) -> None:
    """Raise SecretFound when a text file below `folder` may hold a credential or personal data.

    `ignored` lists kinds of finding and `skip` patterns of paths that are known to be harmless.
    """
    for path, text in _texts(folder, skip):
        for hit in find_secrets(text, strict=True):
            if hit.kind not in ignored:
                raise SecretFound(f"{path}, line {hit.line}, may hold a {hit.kind}; nothing was sent, mend the file")


def _texts(folder: Path, skip: Sequence[str]) -> Iterator[tuple[str, str]]:
    for path in local_files(folder):
        data = (folder / path).read_bytes() if not any(fnmatch.fnmatch(path, one) for one in skip) else _BINARY
        if _BINARY not in data[:8000]:
            yield path, data.decode("utf-8", "replace")


def refuse_dirty(checkout: Path) -> None:
    """Raise PublishRefused unless `checkout` is a git checkout without uncommitted changes."""
    command = ["git", "-C", str(checkout), "status", "--porcelain"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PublishRefused(f"{checkout} is no git checkout; publish from one, so that it can be traced")
    if done.stdout.strip():
        raise PublishRefused(f"{done.stdout.splitlines()[0][3:]} is not committed; commit or stash it first")
