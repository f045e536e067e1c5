"""Convert a sentence-transformers folder with a BERT encoder into the GGUF file that llama.cpp loads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFWriter, PoolingType, get_tensor_name_map
from safetensors import safe_open

SUFFIXES = (".weight", ".bias")


def write_gguf(folder: Path, path: Path) -> None:
    """Write the encoder in `folder` to `path`: block matrices in F16, all other tensors unchanged.

    The file holds no vocabulary, because texts arrive as token ids. Its keys are those of llama.cpp's `bert`
    architecture. Raises OSError, or KeyError or ValueError for a folder with another kind of model.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
        raise ValueError(f"a model of type {config['model_type']} with {config['hidden_act']}")
    writer = GGUFWriter(path, MODEL_ARCH_NAMES[MODEL_ARCH.BERT])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.MEAN)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_token_type_count(config["type_vocab_size"])
    _add_tensors(writer, folder / "model.safetensors", config["num_hidden_layers"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tensors(writer: GGUFWriter, weights: Path, blocks: int) -> None:
    names = get_tensor_name_map(MODEL_ARCH.BERT, blocks)
    with safe_open(weights, "numpy") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - no mapping
            known = names.get_name(name, try_suffixes=SUFFIXES)
            if known is None:
                continue  # the pooler, which mean pooling does not use, and the list of positions
            tensor = tensors.get_tensor(name)
            halved = known.startswith("blk.") and tensor.ndim == 2
            writer.add_tensor(known, tensor.astype(np.float16) if halved else tensor)
