"""Write a trained LoRA adapter as a GGUF that llama.cpp lays over its base."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from model.catalogue.gguf_header import BASE_SHA256, on_hub
from model.engine.protocol import ModelUnusable
from model.tuning.base import Shapes, served_order

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"  # as peft names them
_PREFIX = "base_model.model."


def write_adapter(folder: Path, shapes: Shapes, out: Path, base: str, base_sha256: str) -> int:
    """Write peft's adapter in `folder` to the GGUF `out`, as half floats; return the number of adapted tensors.

    llama.cpp multiplies by alpha / rank. base: user/name on the Hub of the model that it was trained on, or what else
    is known of it. base_sha256: of the very file. Raises ModelUnusable for an adapter that is not a plain LoRA.
    """
    from gguf import GGUFType, GGUFWriter, LlamaFileType
    from safetensors.numpy import load_file

    config = json.loads((folder / CONFIG).read_text("utf-8"))
    if config.get("use_rslora") or config.get("use_dora") or config.get("bias", "none") != "none":
        raise ModelUnusable(f"{folder} holds no plain LoRA adapter, and llama.cpp knows no other; train it anew")
    halves = load_file(folder / WEIGHTS)
    writer = GGUFWriter(out, shapes.architecture)
    writer.add_type(GGUFType.ADAPTER)
    writer.add_name(out.stem)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_base_model_count(1)
    writer.add_base_model_name(0, base.rpartition("/")[2])
    if on_hub(base):
        writer.add_base_model_repo_url(0, f"https://huggingface.co/{base}")
    writer.add_string(BASE_SHA256, base_sha256)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
    modules = sorted(key.removesuffix(".lora_A.weight") for key in halves if key.endswith(".lora_A.weight"))
    for module in modules:
        served = shapes.tensor_name(module.removeprefix(_PREFIX) + ".weight")
        rows = served_order(halves[f"{module}.lora_B.weight"], shapes.heads(served))
        writer.add_tensor(f"{served}.lora_a", _half(halves[f"{module}.lora_A.weight"]))
        writer.add_tensor(f"{served}.lora_b", _half(rows))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return len(modules)


def _half(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.astype(np.float16))
