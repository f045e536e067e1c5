"""A GGUF with Granite's architecture, control tokens and turn format, and next to no weights: for token ids."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np

ROLE, END_ROLE, END_TEXT = "<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"
CONTROL = (ROLE, END_ROLE, END_TEXT, "<|pad|>", "<|fim_prefix|>", "<|tool_call|>")
DEFINED = (
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "<think>",
)  # as a converter stores tags that are no control
TEMPLATE = (
    "{% for m in messages %}<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}<|end_of_text|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
)
ABOUT = "Made in a test"
WIDTH, HEADS, MLP = 64, 2, 64


def write(path: Path, sound: Path, context: int = 2048) -> Path:
    """Write it with the vocabulary of another model's file, `sound`, and Granite's tokens behind that.

    context: the most tokens that the file says the model reads.
    """
    reader = gguf.GGUFReader(sound)
    tokens, merges = _strings(reader, "tokenizer.ggml.tokens"), _strings(reader, "tokenizer.ggml.merges")
    # The other model's control tokens become text: what they say must not be special here.
    kinds = [1] * len(tokens) + [3] * len(CONTROL) + [4] * len(DEFINED)
    tokens += [*CONTROL, *DEFINED]
    end = tokens.index(END_TEXT)
    writer = gguf.GGUFWriter(path, "granite")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    for name, scale in (
        ("attention.scale", 0.1),
        ("embedding_scale", 1.0),
        ("residual_scale", 1.0),
        ("logit_scale", 1.0),
    ):
        writer.add_float32(f"granite.{name}", scale)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    writer.add_description(ABOUT)
    _add_weights(writer, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def with_template(path: Path, made: Path, template: str) -> Path:
    """Write `path` as a copy of a file that `write` made, with another chat template; "" for none."""
    new = template.encode()
    filler = ABOUT.encode() + b" " * (-(len(new) - len(TEMPLATE.encode())) % 32)  # keeps the weights aligned
    data = made.read_bytes().replace(
        _entry("tokenizer.chat_template", TEMPLATE.encode()),
        _entry("tokenizer.chat_template" if template else "tokenizer.chat_templatf", new),
        1,
    )
    path.write_bytes(
        data.replace(_entry("general.description", ABOUT.encode()), _entry("general.description", filler), 1)
    )
    return path


def _entry(key: str, value: bytes) -> bytes:
    """A text in a GGUF's metadata: length and name of its key, the number of the type, its length and itself."""
    return b"".join((struct.pack("<Q", len(key)), key.encode(), struct.pack("<IQ", 8, len(value)), value))


def _add_weights(writer: Any, vocabulary: int) -> None:
    shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
    shapes |= {"ffn_gate": (MLP, WIDTH), "ffn_up": (MLP, WIDTH), "ffn_down": (WIDTH, MLP)}
    writer.add_tensor("token_embd.weight", np.full((vocabulary, WIDTH), 0.01, np.float16))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(WIDTH, np.float32))
    for name, shape in shapes.items():
        writer.add_tensor(f"blk.0.{name}.weight", np.full(shape, 0.01, np.float16))


def _strings(reader: Any, key: str) -> list[str]:
    field = reader.fields[key]
    return [bytes(field.parts[at]).decode("utf-8", "replace") for at in field.data]
