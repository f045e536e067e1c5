"""Read a GGUF's weights into a transformers model, and name its tensors both ways.

The adapter learns on the very weights that it will be served with: those of the quantised file, as floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from model.catalogue.gguf_header import open_reader
from model.engine.protocol import ModelUnusable

# Whether llama.cpp turns neighbouring rows of queries and keys by position, where transformers turns the two halves of
# a head: then the rows lie in another order.
INTERLEAVED = {"llama": True, "granite": True, "qwen2": False}
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SCALES = {
    "attention.scale": "attention_multiplier",
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "logit_scale": "logits_scaling",
}


@dataclass(frozen=True, slots=True)
class Shapes:
    """The architecture of a GGUF, and what its metadata say of its shapes."""

    architecture: str
    fields: Mapping[str, Any]  # without the architecture's name in front

    @property
    def interleaved(self) -> bool:
        """True where rows of queries and keys lie in llama.cpp's own order."""
        return INTERLEAVED[self.architecture]

    def heads(self, name: str) -> int:
        """Return the number of heads whose rows the tensor of that name holds in llama.cpp's order, 0 for none."""
        if not self.interleaved:
            return 0
        of_queries = int(self.fields["attention.head_count"])
        of_keys = int(self.fields.get("attention.head_count_kv", of_queries))
        return of_queries if ".attn_q." in name else of_keys if ".attn_k." in name else 0

    def tensor_name(self, module: str) -> str:
        """Return llama.cpp's name of a parameter, such as "model.layers.0.self_attn.q_proj.weight"."""
        names = _tensor_names(self.architecture, int(self.fields["block_count"]))
        name = names.get_name(module, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ModelUnusable(f"{module} has no place in a GGUF of {self.architecture}; tune another base")
        return str(name)


@cache
def _tensor_names(architecture: str, blocks: int) -> Any:
    from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, get_tensor_name_map

    return get_tensor_name_map(next(a for a in MODEL_ARCH if MODEL_ARCH_NAMES.get(a) == architecture), blocks)


def served_order(rows: np.ndarray, heads: int) -> np.ndarray:
    """Return the rows of queries or keys, [heads * size, any], in llama.cpp's order; as they are for 0 heads."""
    return _halves_swapped(rows, (heads, 2, -1)) if heads else rows


def trained_order(rows: np.ndarray, heads: int) -> np.ndarray:
    """Return the rows of queries or keys, [heads * size, any], in transformers' order; as they are for 0 heads."""
    return _halves_swapped(rows, (heads, -1, 2)) if heads else rows


def _halves_swapped(rows: np.ndarray, split: tuple[int, int, int]) -> np.ndarray:
    order = np.arange(len(rows)).reshape(split).swapaxes(1, 2).ravel()
    return rows[order]


def require_known(architecture: str, path: Path) -> None:
    """Raise ModelUnusable where adapters are not trained for the architecture of a base."""
    if architecture not in INTERLEAVED:
        raise ModelUnusable(
            f"{path.name} has the architecture {architecture}, and adapters are trained for {', '.join(INTERLEAVED)}; "
            "name another base"
        )


def open_base(path: Path) -> tuple[Any, Shapes]:
    """Return a GGUF's reader, and what it says of its shapes. Raises ModelUnusable for one that cannot be tuned."""
    reader = open_reader(path)
    architecture = str(reader.fields["general.architecture"].contents())
    require_known(architecture, path)
    start = f"{architecture}."
    fields = {
        key.removeprefix(start): field.contents() for key, field in reader.fields.items() if key.startswith(start)
    }
    scaled = any(key.startswith("rope.scaling") for key in fields)
    if scaled or any(tensor.name.startswith("rope_freqs") for tensor in reader.tensors):
        raise ModelUnusable(f"{path.name} scales its positions, which training does not know; name another base")
    return reader, Shapes(architecture, fields)


def load_base(path: Path, dtype: Any) -> tuple[Any, Shapes]:
    """Return a transformers model with the weights of a GGUF in the torch type `dtype`, and its shapes.

    Raises ModelUnusable for an architecture that is not known, or a tensor that is missing.
    """
    import torch
    from gguf import dequantize
    from transformers import AutoConfig, AutoModelForCausalLM

    reader, shapes = open_base(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    config = AutoConfig.for_model(shapes.architecture, **_config(shapes, tensors))
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
    weights = {}
    for name in empty.state_dict():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        served = shapes.tensor_name(name)
        if served not in tensors:
            raise ModelUnusable(f"{path.name} lacks {served}; fetch it again")
        rows = dequantize(tensors[served].data, tensors[served].tensor_type)
        weights[name] = torch.tensor(trained_order(rows, shapes.heads(served)), dtype=dtype)
    model = type(empty).from_pretrained(None, config=config, state_dict=weights, dtype=dtype)
    model.name_or_path = ""  # else peft asks the Hub for a model of the name "None"
    return model, shapes


def _config(shapes: Shapes, tensors: Mapping[str, Any]) -> dict[str, Any]:
    given, heads = shapes.fields, int(shapes.fields["attention.head_count"])
    config = {
        "vocab_size": int(tensors["token_embd.weight"].shape[1]),
        "hidden_size": given["embedding_length"],
        "intermediate_size": given["feed_forward_length"],
        "num_hidden_layers": given["block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": given.get("attention.head_count_kv", heads),
        "max_position_embeddings": given["context_length"],
        "rms_norm_eps": given["attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": given.get("rope.freq_base", 10000.0)},
        "tie_word_embeddings": "output.weight" not in tensors,
    }
    return config | {theirs: given[ours] for ours, theirs in SCALES.items() if ours in given}
