"""What `--model` of an eval or a benchmark names, as MODEL= does: NAME or FILE.gguf, with +ADAPTER for a LoRA adapter."""

from __future__ import annotations

import argparse
from pathlib import Path

from model.catalogue.choice import ModelFiles, model_files
from model.engine.protocol import ModelUnusable

MODELS = Path(__file__).parents[1] / ".data" / "models"
HELP = "NAME or FILE.gguf, with +ADAPTER for a LoRA adapter"


def given_model(text: str) -> ModelFiles:
    """Return the files, for `type=` of an argument; what is not here is fetched."""
    try:
        return model_files(text, MODELS)
    except ModelUnusable as error:
        raise argparse.ArgumentTypeError(str(error)) from error
