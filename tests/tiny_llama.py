"""A GGUF of a few thousand random weights in full precision, of each architecture that adapters are trained for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

WIDTH, HEADS, KEY_HEADS, MLP, BLOCKS = 64, 4, 2, 96, 2
BYTES = [chr(b) if 33 <= b < 127 else chr(256 + b) for b in range(256)]  # near enough to GPT-2's letters for bytes
CONTROL = ["<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Vocabulary:
    """Tokens, what kind each is, how they merge, and how a conversation is written with them."""

    tokens: Sequence[str]
    kinds: Sequence[int]  # 1 text, 3 control, 4 defined by a user
    merges: Sequence[str]
    bos: int
    eos: int
    template: str = TEMPLATE


BYTEWISE = Vocabulary(
    [*BYTES, *CONTROL], [1] * len(BYTES) + [3] * len(CONTROL), ["a b"], len(BYTES), len(BYTES) + 1
)  # fmt: skip


def write(
    path: Path, architecture: str = "llama", words: Vocabulary = BYTEWISE, context: int = 512, about: str = "Tiny"
) -> Path:
    """Write it and return its path. context: the most tokens that the file says the model reads."""
    dice = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_description(about)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(5000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(words.tokens))
    if architecture == "granite":
        scales = {"attention.scale": 0.2, "embedding_scale": 3.0, "residual_scale": 0.5, "logit_scale": 2.0}
        for name, scale in scales.items():
            writer.add_float32(f"granite.{name}", scale)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    writer.add_token_merges(words.merges)
    writer.add_bos_token_id(words.bos)
    writer.add_eos_token_id(words.eos)
    writer.add_add_bos_token(False)
    writer.add_chat_template(words.template)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, (dice.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32))

    keys = WIDTH // HEADS * KEY_HEADS
    tensor("token_embd.weight", len(words.tokens), WIDTH)
    if architecture not in ("llama", "granite"):
        tensor("output.weight", len(words.tokens), WIDTH)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for block in range(BLOCKS):
        at = f"blk.{block}"
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{at}.{name}.weight", (1 + 0.1 * dice.standard_normal(WIDTH)).astype(np.float32))
        for name, rows in (("attn_q", WIDTH), ("attn_k", keys), ("attn_v", keys)):
            tensor(f"{at}.{name}.weight", rows, WIDTH)
            if architecture == "qwen2":
                tensor(f"{at}.{name}.bias", rows)
        tensor(f"{at}.attn_output.weight", WIDTH, WIDTH)
        tensor(f"{at}.ffn_gate.weight", MLP, WIDTH)
        tensor(f"{at}.ffn_up.weight", MLP, WIDTH)
        tensor(f"{at}.ffn_down.weight", WIDTH, MLP)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
