"""Makes small LoRA adapters as GGUF: low-rank tensors for a model's projections, random or zero. For tests.

python -m tests.lora OUT.gguf [--rank 4 --scale 0.1 --seed 1]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np

SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"
WIDTH, KEYS, BLOCKS = 576, 192, 30  # SmolLM2-135M's
PROJECTIONS = {"attn_q": (WIDTH, WIDTH), "attn_v": (WIDTH, KEYS)}  # name -> inputs, outputs


def write_adapter(
    path: Path,
    *,
    scale: float = 0.1,
    rank: int = 4,
    seed: int = 1,
    base: str = SMOL,
    architecture: str = "llama",
    blocks: int = BLOCKS,
    projections: dict[str, tuple[int, int]] = PROJECTIONS,
    kind: str = "lora",
    invocation: Sequence[int] = (),
    base_sha256: str = "",
) -> Path:
    """Write an adapter and return its path. scale: standard deviation of the values of B, 0 for one without effect.

    base: user/name on the Hub that its header names, "" for none. invocation: tokens that make it an activated LoRA.
    """
    dice = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", kind)
    writer.add_float32("adapter.lora.alpha", float(rank))
    if base:
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, base.rpartition("/")[2])
        writer.add_base_model_repo_url(0, f"https://huggingface.co/{base}")
    if base_sha256:
        writer.add_string("general.base_model.0.sha256", base_sha256)
    if invocation:
        writer.add_array("adapter.alora.invocation_tokens", list(invocation))
    for block in range(blocks):
        for name, (inputs, outputs) in projections.items():
            a = dice.standard_normal((rank, inputs)) / np.sqrt(inputs)
            b = scale * dice.standard_normal((outputs, rank))
            writer.add_tensor(f"blk.{block}.{name}.weight.lora_a", a.astype(np.float32))
            writer.add_tensor(f"blk.{block}.{name}.weight.lora_b", b.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def main() -> None:
    """Write an adapter for SmolLM2-135M and print its path."""
    parser = argparse.ArgumentParser(prog="python -m tests.lora")
    parser.add_argument("out", type=Path)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(write_adapter(options.out, scale=options.scale, rank=options.rank, seed=options.seed))


if __name__ == "__main__":
    main()
