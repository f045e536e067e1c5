"""Read the header of a GGUF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.engine.protocol import ModelUnusable


@dataclass(frozen=True, slots=True)
class Header:
    """The facts that a GGUF states about itself."""

    architecture: str
    quantisation: str
    context: int  # tokens; 0 where the file names none, as in an adapter
    template: str
    is_adapter: bool


def read_header(path: Path) -> Header:
    """Return the header of a GGUF; its vocabulary takes a few seconds. Raises ModelUnusable for any other file."""
    from gguf import GGUFReader, LlamaFileType  # only publishing needs it

    try:
        reader = GGUFReader(path)
    except (OSError, ValueError, IndexError) as error:
        raise ModelUnusable(f"{path.name} is no GGUF that can be read ({error}); make it again") from error

    def value(key: str, default: Any) -> Any:
        field = reader.get_field(key)
        return default if field is None else field.contents()

    architecture = str(value("general.architecture", "unknown"))
    kind = value("general.file_type", None)
    return Header(
        architecture,
        LlamaFileType(kind).name.removeprefix("MOSTLY_") if kind is not None else "unknown",
        int(value(f"{architecture}.context_length", 0)),
        str(value("tokenizer.chat_template", "")),
        value("general.type", "model") == "adapter",
    )
