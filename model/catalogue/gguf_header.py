"""Tell whether a file is a GGUF, and read the header of one."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.engine.protocol import ModelUnusable

MAGIC = b"GGUF"
# Where a GGUF says which repository of the Hub it was made from; converters differ.
SOURCES = ("general.source.huggingface.repository", "general.source.repo_url", "general.source.url", "general.repo_url")
BASE_SHA256 = "general.base_model.0.sha256"  # our own training writes it
_ADAPTER = b"general.type" + struct.pack("<IQ", 8, len(b"adapter")) + b"adapter"  # key, type of a text, length, text
_AHEAD = 1 << 16  # bytes; converters write it first
_HUB = re.compile(r"(?:https://(?:huggingface\.co|hf\.co)/)?([\w.-]+/[\w.-]+?)(?:\.git)?/?")


@dataclass(frozen=True, slots=True)
class Header:
    """The facts that a GGUF states about itself."""

    architecture: str
    quantisation: str
    context: int  # tokens; 0 where the file names none, as in an adapter
    template: str
    is_adapter: bool
    base_models: tuple[str, ...] = ()  # user/name on the Hub of what it was trained on
    base_sha256: str = ""  # of the very file that it was trained on


def check_gguf(path: Path) -> None:
    """Raise ModelUnusable with the likely cause for a file that is no GGUF; llama.cpp checks the rest at load."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise ModelUnusable(
            f"{path} cannot be read ({error.strerror}); give MODEL= the path of a GGUF file."
        ) from error
    if head.startswith(b"version https://git-lfs"):
        raise ModelUnusable(f"{path} is a Git LFS pointer, not the model; fetch it with: git lfs pull")
    if not head.startswith(MAGIC):
        raise ModelUnusable(f"{path} is not a GGUF file; give MODEL= the path of a GGUF model or a catalogue name.")


def says_adapter(path: Path) -> bool:
    """Return whether a GGUF says of itself, ahead of everything large, that it is an adapter; cheap for any file."""
    with path.open("rb") as file:
        return _ADAPTER in file.read(_AHEAD)


def read_header(path: Path) -> Header:
    """Return the header of a GGUF; a model's vocabulary takes seconds. Raises ModelUnusable for any other file."""
    return header_of(open_reader(path))


def open_reader(path: Path) -> Any:
    """Return gguf's reader over a file. Raises ModelUnusable for one that it cannot read."""
    from gguf import GGUFReader  # most starts need none

    try:
        return GGUFReader(path)
    except (OSError, ValueError, IndexError, KeyError, MemoryError, OverflowError) as error:
        raise ModelUnusable(
            f"{path.name} is no GGUF that can be read ({error}); fetch it or make it again, or choose another MODEL=."
        ) from error


def header_of(reader: Any) -> Header:
    """Return what an open GGUF says of itself."""
    from gguf import LlamaFileType

    def value(key: str, default: Any) -> Any:
        field = reader.get_field(key)
        return default if field is None else field.contents()

    architecture = str(value("general.architecture", "unknown"))
    kind = value("general.file_type", None)
    bases = [value(f"general.base_model.{i}.repo_url", "") for i in range(int(value("general.base_model.count", 0)))]
    return Header(
        architecture,
        LlamaFileType(kind).name.removeprefix("MOSTLY_") if kind is not None else "unknown",
        int(value(f"{architecture}.context_length", 0)),
        str(value("tokenizer.chat_template", "")),
        value("general.type", "model") == "adapter",
        tuple(name for base in bases if (name := on_hub(str(base)))),
        str(value(BASE_SHA256, "")),
    )


def on_hub(text: str) -> str:
    """Return user/name of a repository that an address or a name stands for, "" for anything else."""
    found = _HUB.fullmatch(text.strip())
    return found[1] if found else ""
