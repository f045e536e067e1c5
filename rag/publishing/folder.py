"""Check a folder that is to be sent to the Hub, without asking it: card, tables and checksums.

The Hub's own validation of a card needs the Hub. Here its client reads the card, which finds broken YAML; what the Hub
would refuse or not show beyond that is looked for by name.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from huggingface_hub import DatasetCard, ModelCard, RepoCard, SpaceCard

from rag.errors import RagError

CARDS: dict[str, type[RepoCard]] = {"model": ModelCard, "dataset": DatasetCard, "space": SpaceCard}
NEEDED = {"model": ("license", "base_model"), "dataset": ("license", "configs"), "space": ("title", "sdk")}
SUMS = "SHA256SUMS"


class FolderUnsound(RagError):
    """The error of a folder that the Hub would refuse or not show; the message names the file and what is wrong."""


def check_folder(kind: Literal["model", "dataset", "space"], folder: Path) -> None:
    """Raise FolderUnsound unless card, Parquet files and checksums of a repository's folder are sound."""
    card = _card(kind, folder)
    if absent := [key for key in NEEDED[kind] if not card.get(key)]:
        raise FolderUnsound(f"README.md of {folder} lacks {', '.join(absent)} in its front matter; add it")
    named = {path for config in card.get("configs") or () for _, path in _splits(config)}
    if gone := sorted(path for path in named if not any(folder.glob(path))):
        raise FolderUnsound(f"README.md of {folder} names {gone[0]}, which is not there; mend its configs")
    for config in card.get("configs") or ():
        _check_tables(folder, config)
    if (folder / SUMS).is_file():
        _check_sums(folder)


def _card(kind: str, folder: Path) -> dict[str, Any]:
    try:
        card = CARDS[kind].load(folder / "README.md")
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise FolderUnsound(f"README.md of {folder} has no front matter that can be read ({why}); mend it") from error
    return dict(card.data.to_dict())


def _splits(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield split and path of a config's files; a bare path is the split train."""
    files = config.get("data_files") or ()
    for one in [files] if isinstance(files, str) else files:
        split, paths = ("train", one) if isinstance(one, str) else (one["split"], one["path"])
        for path in [paths] if isinstance(paths, str) else paths:
            yield split, path


def _check_tables(folder: Path, config: dict[str, Any]) -> None:
    """Read every table of a config back: each has rows, and all have the same columns, as one data set needs them."""
    import pyarrow as pa  # a Space has no tables, and publishing one does without
    import pyarrow.parquet as pq

    first: tuple[str, Any] | None = None
    for _, path in _splits(config):
        for file in sorted(folder.glob(path)) if path.endswith(".parquet") else ():
            name = file.relative_to(folder).as_posix()
            try:
                table = pq.read_table(file)
            except (OSError, pa.ArrowException) as error:
                raise FolderUnsound(f"{name} cannot be read back ({error}); write it again") from error
            if not table.num_rows:
                raise FolderUnsound(f"{name} has no rows; leave its split out of README.md, or fill it")
            first = first or (name, table.schema)
            if not table.schema.equals(first[1]):
                raise FolderUnsound(f"{name} has other columns than {first[0]}; one config has one kind of row")


def _check_sums(folder: Path) -> None:
    for line in (folder / SUMS).read_text("utf-8").splitlines():
        wanted, _, name = line.partition("  ")
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise FolderUnsound(f"{SUMS} names {name}, which cannot be read ({error.strerror})") from error
        if found != wanted:
            raise FolderUnsound(f"{name} is not what {SUMS} says; write the folder again")
