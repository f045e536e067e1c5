"""Print the path of the embedding model's weights, without loading them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from command_line import ended

from rag.embedding.embedder import CARRIER


def main(_argv: Sequence[str]) -> None:
    """Print the path; SystemExit where there are no weights."""
    spec = importlib.util.find_spec(CARRIER)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    found = [path for folder in folders for path in folder.rglob("*.safetensors")]
    if not found:
        sys.exit(f"{CARRIER} holds no weights; run: make setup")
    print(found[0])


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
