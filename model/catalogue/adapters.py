"""Judge a LoRA adapter before it is put on a model: that it is one, is whole, and was trained on this model.

llama.cpp compares architecture, names and shapes of the tensors. What it does not see is judged here: an adapter of
another model of the same shapes (base for instruct), numbers that are none, and an adapter that only counts behind its
own invocation tokens. A header names its base by `general.base_model.0.repo_url` (a repository of the Hub) and, in what
our own training writes, by `general.base_model.0.sha256` (the very file).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.catalogue.entries import Entry
from model.catalogue.gguf_header import Header, check_gguf, header_of, open_reader
from model.engine.protocol import ModelUnusable

logger = logging.getLogger(__name__)

AGAIN = "make it again, or leave it out of MODEL="
ALORA = "adapter.alora.invocation_tokens"


@dataclass(frozen=True, slots=True)
class Adapter:
    """The file of a LoRA adapter, with its entry in the catalogue if it has one."""

    path: Path
    entry: Entry | None = None

    @property
    def name(self) -> str:
        """The catalogue's name, or that of the file."""
        return self.entry.name if self.entry else self.path.stem


def read_adapter(path: Path) -> Header:
    """Return the header of a sound LoRA adapter; every tensor is read. Raises ModelUnusable for any other file."""
    check_gguf(path)
    reader = open_reader(path)
    header = header_of(reader)
    if not header.is_adapter:
        raise ModelUnusable(f"{path.name} is a model and no adapter; give MODEL= its path alone, without a +.")
    if reader.get_field(ALORA):
        raise ModelUnusable(
            f"{path.name} is an activated LoRA, which counts only behind its own words; give a plain LoRA adapter, or "
            "leave it out of MODEL=."
        )
    if not reader.tensors:
        raise ModelUnusable(f"{path.name} holds no weights; {AGAIN}.")
    if broken := next((tensor.name for tensor in reader.tensors if not _is_finite(tensor)), ""):
        raise ModelUnusable(f"{path.name} is damaged ({broken} holds values that are no numbers); {AGAIN}.")
    return header


def require_base(adapter: Path, trained_on: Sequence[str], model: str, known_as: Sequence[str]) -> None:
    """Raise ModelUnusable where an adapter names another model than this one.

    trained_on: user/name on the Hub of what the adapter says it was trained on. known_as: the same of the model; where
    either is empty nothing is known, and tensors decide. Copies under another user keep the name, so names count.
    """
    if not (trained_on and known_as):
        logger.warning("whether %s was trained on %s is not known; its tensors fit", adapter.name, model)
    wanted, found = {_plain(name) for name in trained_on}, {_plain(name) for name in known_as}
    if wanted and found and not wanted & found:
        raise ModelUnusable(
            f"{adapter.name} was trained on {', '.join(trained_on)}, and {model} is {', '.join(known_as)}; give the "
            f"model that it was trained on, as in MODEL=BASE+{adapter.name}."
        )


def _plain(repository: str) -> str:
    return repository.rpartition("/")[2].casefold().removesuffix("-gguf")


def _is_finite(tensor: object) -> bool:
    from gguf.quants import dequantize

    return bool(np.isfinite(dequantize(tensor.data, tensor.tensor_type)).all())  # type: ignore[attr-defined]
