"""Model files with something wrong, made from a sound one. As a script: opens each of them, one JSON line a file.

A process of its own, because what is tried is whether llama.cpp survives them.
"""

from __future__ import annotations

import json
import random
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from model.catalogue.adapters import Adapter
from model.catalogue.entries import EMBEDDED, Entry, catalogue
from model.catalogue.load import EngineLimits, open_engine
from model.engine.protocol import ModelUnusable

LIMITS = EngineLimits(cells=256, disk_bytes=0)
METADATA_END = 1_500_000  # bytes of SmolLM2's file that are not yet tensors
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 98362432\n"
HTML = b"<!doctype html><html><head><title>401 Unauthorized</title></head></html>"

Make = Callable[[Path, Path], object]  # sound file, path to make


def put(at: int, data: bytes) -> Make:
    """The sound file with `data` at a place."""

    def make(sound: Path, path: Path) -> None:
        shutil.copyfile(sound, path)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    return make


def cut(size: int) -> Make:
    """The first `size` bytes, or all but the last -size."""
    return lambda sound, path: path.write_bytes(sound.read_bytes()[:size])


def swap(old: bytes, new: bytes) -> Make:
    """The first occurrence of a text exchanged for one as long."""
    return lambda sound, path: path.write_bytes(sound.read_bytes().replace(old, new, 1))


def flip(seed: int, start: int, end: int, count: int = 40) -> Make:
    """Bits flipped at random places of a stretch."""

    def make(sound: Path, path: Path) -> None:
        dice, data = random.Random(seed), bytearray(sound.read_bytes())
        for at in (dice.randrange(start, end) for _ in range(count)):
            data[at] ^= 1 << dice.randrange(8)
        path.write_bytes(data)

    return make


BAD: dict[str, Make] = {
    "missing": lambda _sound, _path: None,
    "a folder": lambda _sound, path: path.mkdir(),
    "empty": lambda _sound, path: path.write_bytes(b""),
    "three bytes": cut(3),
    "the magic alone": cut(4),
    "a Git LFS pointer": lambda _sound, path: path.write_bytes(LFS),
    "an HTML page": lambda _sound, path: path.write_bytes(HTML),
    "a wrong magic": put(0, b"GGML"),
    "zeros behind the magic": lambda _sound, path: path.write_bytes(b"GGUF" + bytes(5000)),
    "version 0": put(4, struct.pack("<I", 0)),
    "version 4 billion": put(4, struct.pack("<I", 2**32 - 1)),
    "a huge count of tensors": put(8, struct.pack("<Q", 2**62)),
    "a negative count of tensors": put(8, struct.pack("<q", -1)),
    "a huge count of keys": put(16, struct.pack("<Q", 2**62)),
    "a huge key": put(24, struct.pack("<Q", 2**61)),
    "an unknown architecture": swap(b"llama", b"lama2"),
    "cut in the metadata": cut(50_000),
    "cut before the tensors": cut(METADATA_END),
    "cut in half": cut(49_000_000),
    "the last bytes missing": cut(-64),
    **{f"rotten metadata {seed}": flip(seed, 24, METADATA_END) for seed in range(6)},
    **{f"rotten header {seed}": flip(seed, 4, 4000, 8) for seed in range(6)},
}
# Of a sound adapter: some 20 kB of metadata and tensors' names, then numbers.
BAD_ADAPTERS: dict[str, Make] = {
    **{name: BAD[name] for name in list(BAD)[: list(BAD).index("an unknown architecture") + 1]},
    "cut in the metadata": cut(200),
    "cut in the names": cut(5000),
    "cut in half": cut(400_000),
    "the last bytes missing": cut(-64),
    **{f"rotten metadata {seed}": flip(seed, 24, 600) for seed in range(4)},
    **{f"rotten names {seed}": flip(seed, 600, 8000) for seed in range(6)},
    **{f"rotten header {seed}": flip(seed, 4, 600, 4) for seed in range(6)},
}
ROTTEN = flip(1, 20_000_000, 90_000_000)  # tensor data: loads, and answers with nonsense


def main(sound: Path, folder: Path, adapter: Path | None = None) -> None:
    """Open every bad file twice: as somebody's own file, and as the locked model; or every bad adapter on a sound model."""
    if adapter:
        for name, path in made(adapter, folder, BAD_ADAPTERS):
            print(json.dumps({"name": name, "own": said(sound, None, Adapter(path))}), flush=True)
        return
    for name, path in made(sound, folder):
        print(
            json.dumps({"name": name, "own": said(path, None), "locked": said(path, catalogue()[EMBEDDED])}), flush=True
        )


def made(sound: Path, folder: Path, bad: dict[str, Make] = BAD) -> Iterator[tuple[str, Path]]:
    """Each bad file in turn; only one exists at a time."""
    for number, (name, make) in enumerate(bad.items()):
        path = folder / f"{number}.gguf"
        make(sound, path)
        yield name, path
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def said(path: Path, entry: Entry | None, adapter: Adapter | None = None) -> str:
    """The refusal's sentence, "" where the file was opened."""
    try:
        data = (adapter.path if adapter else path).parent / "data"
        open_engine(path, data, LIMITS, entry, adapter).close()
    except ModelUnusable as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
