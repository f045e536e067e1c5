"""Keep snapshots of KV state by the tokens that lead to them, in RAM and on disk; the least recently used go first.

A snapshot holds positions [start, end) only; another snapshot holds what comes before. So a lead passage costs the
bytes of its own tokens, not those of the system prompt before it. llama.cpp's state loader is not safe against hostile
bytes: it gets a file only when the keyed checksum (BLAKE2b, key file of mode 0600 beside the cache) proves that this
installation wrote it for this very model, library and context. A key that others can read or write, or that is no
random number, proves nothing: a new one takes its place, and what the old one proved is computed afresh.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import queue
import re
import secrets
import struct
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.kv_cache.state import is_packed, packed
from model.private_files import (
    OTHERS,
    OpenToOthers,
    private_folder,
    read_private,
    regular_files,
    set_aside,
    write_private,
)

logger = logging.getLogger(__name__)

MAGIC = b"QNKV\x00\x00\x00\x01"  # name and format version
MAC_BYTES = 32
KEY_BYTES = 32  # of this installation's secret
KEY = re.compile("[0-9a-f]{32}")  # the name of a snapshot's file
HEADER = struct.Struct("<8s32s16sIIQ")  # magic, checksum, key, start, end, bytes of data


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The KV state of positions [start, end) of any prompt whose first `end` tokens hash to `key`."""

    key: bytes  # 16 bytes, see prefix_keys
    start: int
    end: int
    data: bytes  # as llama.cpp gives it, or packed by `model.kv_cache.state`
    exact: bool = True  # False where something before it was cut out or laid; such a one never reaches the disk

    @property
    def is_exact(self) -> bool:
        """True where it is what would be computed, to the last bit."""
        return self.exact and not is_packed(self.data)

    def packed(self) -> Snapshot:
        """Return it in a fifth of the bytes, and no longer to the last bit."""
        return replace(self, data=packed(self.data))


def prefix_keys(tokens: Sequence[int], ends: Iterable[int]) -> dict[int, bytes]:
    """Return for each length in `ends` the key of tokens[:length]: BLAKE2b over the ids as little-endian int32."""
    data = np.asarray(tokens, dtype="<i4").tobytes()
    digest, keys, at = hashlib.blake2b(digest_size=16), {}, 0
    for end in sorted(set(ends)):
        digest.update(data[4 * at : 4 * end])
        keys[end], at = digest.copy().digest(), end
    return keys


class PrefixCache:
    """The two tiers as one cache. Call it from the engine's thread; disk writes run on a thread of their own."""

    def __init__(self, ram_limit: int, disk: DiskTier | None = None) -> None:
        self.ram_limit = ram_limit  # bytes
        self._ram: OrderedDict[bytes, Snapshot] = OrderedDict()
        self._ram_bytes = 0
        self._last = 0  # bytes of the last snapshot
        self._disk = disk

    def __contains__(self, key: bytes) -> bool:
        return key in self._ram or (self._disk is not None and key in self._disk)

    def use(self, key: bytes) -> bool:
        """Return True where a state is kept, and count it as used now."""
        if self._disk and key in self._disk:
            self._disk.use(key)
        return key in self

    @property
    def ram_room(self) -> int:
        """The bytes that RAM can take before a snapshot has to go."""
        return self.ram_limit - self._ram_bytes

    def get(self, key: bytes) -> Snapshot | None:
        """Return the snapshot, or None when neither tier has a valid one; move a disk hit into RAM."""
        if snapshot := self._ram.get(key):
            self._ram.move_to_end(key)
            return snapshot
        snapshot = self._disk.read(key) if self._disk else None
        if snapshot:
            self._keep(snapshot)
        return snapshot

    @property
    def is_full(self) -> bool:
        """True where one more snapshot like the last would push out another."""
        last = self._disk.last if self._disk else self._last
        return last > (self._disk.room if self._disk else self.ram_room)

    def put(self, snapshot: Snapshot, *, private: bool, compact: bool = False) -> None:
        """Keep a snapshot, packed if `compact`; keep one of what a visitor typed (`private`) in RAM only."""
        snapshot = snapshot.packed() if compact else snapshot
        self._keep(snapshot)
        self._last = len(snapshot.data)
        if self._disk and not private:
            self._disk.write(snapshot)

    def drop(self, key: bytes) -> None:
        """Remove a snapshot that cannot be used from both tiers."""
        if snapshot := self._ram.pop(key, None):
            self._ram_bytes -= len(snapshot.data)
        if self._disk:
            self._disk.drop(key)

    def _keep(self, snapshot: Snapshot) -> None:
        size = len(snapshot.data)
        if size > self.ram_limit or snapshot.key in self._ram:
            return
        while self._ram_bytes + size > self.ram_limit:
            _, oldest = self._ram.popitem(last=False)
            self._ram_bytes -= len(oldest.data)
        self._ram[snapshot.key] = snapshot
        self._ram_bytes += size

    def close(self) -> None:
        """Return when the disk writes under way are done."""
        if self._disk:
            self._disk.close()


class DiskTier:
    """The snapshots in files `<folder>/<fingerprint>/<key>.kv`, shared by processes, at most `limit` bytes in all.

    `fingerprint` names everything a state depends on: model file hash, quantisation, KV type, context settings,
    library version. The tier never reads the files of another fingerprint; they age out like the rest.
    """

    def __init__(self, folder: Path, fingerprint: str, limit: int) -> None:
        self.limit = limit
        self._root = private_folder(folder)
        self._folder = private_folder(folder / hashlib.blake2b(fingerprint.encode(), digest_size=8).hexdigest())
        self._mac_key = _installation_key(folder / "key")
        self._fingerprint = fingerprint.encode()
        self._known = {
            bytes.fromhex(path.stem) for path in regular_files(self._folder, ".kv") if KEY.fullmatch(path.stem)
        }
        self._useful: dict[bytes, int] = {}  # bytes of what was stored or asked for since the start: the rest may go
        self.last = 0  # bytes of the last file
        self._queue: queue.SimpleQueue[Snapshot | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="prefix-cache-writer", daemon=True)
        self._writer.start()

    def __contains__(self, key: bytes) -> bool:
        return key in self._known

    def read(self, key: bytes) -> Snapshot | None:
        """Return the snapshot if its file exists and its checksum proves it ours, else None; remove any other file."""
        path = self._path(key)
        try:
            raw = read_private(path, self.limit)
        except OpenToOthers as error:
            logger.warning("%s; dropped, it will be computed afresh", error)
            raw = b""
        except OSError:
            self._known.discard(key)
            return None
        snapshot = self._open(key, raw)
        if snapshot is None:
            logger.warning("%s is damaged or not ours; dropped, it will be computed afresh", path.name)
            self.drop(key)
            return None
        _touch(path)
        return snapshot

    def drop(self, key: bytes) -> None:
        """Remove a file, or forget it where that is forbidden."""
        self._known.discard(key)
        self._useful.pop(key, None)
        with suppress(OSError):
            self._path(key).unlink(missing_ok=True)

    @property
    def room(self) -> int:
        """The bytes that are left until a file of use has to go; those of other models and older texts go first."""
        return self.limit - sum(self._useful.copy().values())

    def use(self, key: bytes) -> None:
        """Count a file as of use, and as used now."""
        try:
            self._useful[key] = self._path(key).stat().st_size
        except OSError:
            self._known.discard(key)
            return
        _touch(self._path(key))

    def write(self, snapshot: Snapshot) -> None:
        """Queue a snapshot for the writer and return at once. A full disk loses the snapshot and nothing else."""
        self._queue.put(snapshot)

    def close(self) -> None:
        """Return when everything handed to `write` is stored."""
        self._queue.put(None)
        self._writer.join(timeout=10)

    def _write_all(self) -> None:
        while (snapshot := self._queue.get()) is not None:
            if snapshot.key in self._known:
                continue
            try:
                self._store(snapshot)
                self.last = self._useful[snapshot.key] = HEADER.size + len(snapshot.data)
                self._known.add(snapshot.key)
                self._make_room()
            except Exception as error:  # the thread must live: what it does not store would pile up in memory
                why = getattr(error, "strerror", None) or type(error).__name__
                logger.warning("a prefix snapshot could not be stored (%s); answers go on without it", why)

    def _store(self, snapshot: Snapshot) -> None:
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as file:
            try:
                file.write(self._header(snapshot))
                file.write(snapshot.data)
                file.close()
                os.replace(file.name, self._path(snapshot.key))
            except OSError:
                Path(file.name).unlink(missing_ok=True)
                raise

    def _make_room(self) -> None:
        """Remove the files used longest ago, of any fingerprint, until the limit holds."""
        files = sorted((stat.st_mtime_ns, stat.st_size, path) for path, stat in _files(self._root))
        excess = sum(size for _, size, _ in files) - self.limit
        for _, size, path in files:
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            if path.parent == self._folder and len(path.stem) == 32:
                self._known.discard(bytes.fromhex(path.stem))
                self._useful.pop(bytes.fromhex(path.stem), None)
            excess -= size

    def _header(self, snapshot: Snapshot) -> bytes:
        mac = self._mac(snapshot.key, snapshot.start, snapshot.end, snapshot.data)
        return HEADER.pack(MAGIC, mac, snapshot.key, snapshot.start, snapshot.end, len(snapshot.data))

    def _open(self, key: bytes, raw: bytes) -> Snapshot | None:
        if len(raw) < HEADER.size:
            return None
        magic, mac, stored_key, start, end, size = HEADER.unpack_from(raw)
        data = raw[HEADER.size :]
        if magic != MAGIC or stored_key != key or size != len(data):
            return None
        if not hmac.compare_digest(mac, self._mac(key, start, end, data)):
            return None
        return Snapshot(key, start, end, data)

    def _mac(self, key: bytes, start: int, end: int, data: bytes) -> bytes:
        mac = hashlib.blake2b(self._fingerprint, key=self._mac_key, digest_size=MAC_BYTES)
        mac.update(struct.pack("<16sIIQ", key, start, end, len(data)))
        mac.update(data)
        return mac.digest()

    def _path(self, key: bytes) -> Path:
        return self._folder / f"{key.hex()}.kv"


def _files(root: Path) -> list[tuple[Path, os.stat_result]]:
    """Return this cache's files of all fingerprints; what links lead to is not of them."""
    found = []
    for folder in root.iterdir():
        for path in regular_files(folder, ".kv"):
            with contextlib.suppress(OSError):  # another process removed it
                found.append((path, path.lstat()))
    return found


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:  # a read-only cache that came with an image
        logger.debug("%s keeps its old time of use", path.name)


def _installation_key(path: Path) -> bytes:
    """Return this installation's secret; create it at first use, one for processes that start together."""
    if not path.exists() and not path.is_symlink():
        with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # mode 0600 by default
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            try:
                os.link(file.name, path)
            except FileExistsError:
                logger.debug("another process made the cache key first")
    if (key := _sound_key(path)) is None:
        logger.warning("the key of the prefix cache is not private or damaged; a new one takes its place")
        if path.is_dir():
            set_aside(path)
        key = secrets.token_bytes(KEY_BYTES)
        write_private(path, key)
    return key


def _sound_key(path: Path) -> bytes | None:
    """Return the key that the file holds; None for one that others know or could have written, or that is no key."""
    try:
        if path.lstat().st_mode & OTHERS:
            return None
        key = read_private(path, KEY_BYTES)
    except OSError:
        return None
    # Of 32 random bytes fewer than 16 different ones are seen once in 10**16 keys; a file of zeros has one.
    return key if len(key) == KEY_BYTES and len(set(key)) >= KEY_BYTES // 2 else None
