"""Fingerprint of every twelve-word run of the upstream documentation, without its text.

Upstream's licence is unclear, so its text may not be in this repository, and the pages of `rag/corpus`
may not share a sentence with it. The fingerprint lets a clean clone check that: each run of twelve words
becomes a 40-bit hash, from which no text can be recovered.

    python -m tests.data.make_upstream_shingles SNAPSHOT...   # folders or .tar.gz; writes upstream_shingles.bin

File format: zlib-compressed little-endian uint32, the differences between the sorted hashes (the first
difference is the first hash). 250,000 runs take 0.9 MB. A foreign run collides with one chance in five
million; a page that meets such a collision needs one word changed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np

RUN_WORDS = 12  # shorter runs are found in any two texts on one subject, longer ones miss reworded ends
HASH_BYTES = 5  # 40 bits: at 200,000 runs a foreign run collides with probability 2e-7
SHINGLES = Path(__file__).with_name("upstream_shingles.bin")
NOT_UPSTREAM = "MANIFEST.tsv"  # describes the snapshot, is no part of it


def words(text: str) -> list[str]:
    """Return the lower-case words of `text`; punctuation and layout vanish, `list_vms` stays one word."""
    return re.findall(r"\w+", text.lower())


def runs(text: str) -> Iterator[str]:
    """Yield every run of `RUN_WORDS` words in `text`, joined by single spaces; nothing for shorter texts."""
    found = words(text)
    for start in range(len(found) - RUN_WORDS + 1):
        yield " ".join(found[start : start + RUN_WORDS])


def run_hash(run: str) -> int:
    """Return the 40-bit hash of one run, the same on every machine and Python version."""
    return int.from_bytes(blake2b(run.encode(), digest_size=HASH_BYTES).digest(), "big")


def fingerprint(texts: Iterable[str]) -> np.ndarray:
    """Return the sorted unique hashes, (n,) uint64, of every run of every text."""
    return np.array(sorted({run_hash(run) for text in texts for run in runs(text)}), dtype=np.uint64)


def save(hashes: np.ndarray, path: Path) -> None:
    """Write sorted `hashes` to `path`; raises OverflowError when two neighbours lie 2^32 apart."""
    gaps = np.diff(hashes, prepend=np.uint64(0))
    if gaps.size and int(gaps.max()) > np.iinfo(np.uint32).max:
        raise OverflowError(f"{hashes.size} hashes are too few for 32-bit gaps; index more text")
    path.write_bytes(zlib.compress(gaps.astype("<u4").tobytes(), level=9))


def load(path: Path = SHINGLES) -> frozenset[int]:
    """Return the hashes stored in `path`; raises FileNotFoundError when it was never made."""
    gaps = np.frombuffer(zlib.decompress(path.read_bytes()), dtype="<u4")
    return frozenset(np.cumsum(gaps, dtype=np.uint64).tolist())


def snapshot_texts(snapshot: Path) -> Iterator[str]:
    """Yield the text of every file in a snapshot folder or tar archive, undecodable bytes replaced."""
    if snapshot.is_dir():
        for path in sorted(snapshot.rglob("*")):
            if path.is_file() and path.name != NOT_UPSTREAM:
                yield path.read_text(encoding="utf-8", errors="replace")
        return
    with tarfile.open(snapshot) as archive:
        for member in archive:
            handle = archive.extractfile(member) if member.isfile() else None
            if handle is not None and Path(member.name).name != NOT_UPSTREAM:
                yield handle.read().decode("utf-8", errors="replace")


def main() -> None:
    """Write the fingerprint of the snapshots named on the command line."""
    parser = argparse.ArgumentParser(description="Fingerprint the upstream documentation.")
    parser.add_argument("snapshot", type=Path, nargs="+", help="folders or .tar.gz of the upstream documentation")
    parser.add_argument("--out", type=Path, default=SHINGLES, help="file to write (default: %(default)s)")
    arguments = parser.parse_args()
    hashes = fingerprint(text for snapshot in arguments.snapshot for text in snapshot_texts(snapshot))
    save(hashes, arguments.out)
    sys.stdout.write(f"{hashes.size} runs, {arguments.out.stat().st_size} bytes: {arguments.out}\n")


if __name__ == "__main__":
    main()
