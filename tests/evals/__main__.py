"""`python -m tests.evals NAME ...` runs main(argv) of tests/evals/NAME.py."""

import importlib
import sys
from pathlib import Path

from model.engine.protocol import ModelUnusable
from rag.command_line import ended
from rag.errors import RagError


def names() -> list[str]:
    """Return the names of the evaluations that lie beside this file."""
    files = Path(__file__).parent.glob("[!_]*.py")
    return sorted(path.stem for path in files if "\ndef main(" in path.read_text("utf-8"))


def run(arguments: list[str]) -> int:
    """Run the evaluation named first with the arguments after it; return its exit code."""
    if not arguments or arguments[0] not in names():
        sys.stderr.write(f"usage: python -m tests.evals {{{'|'.join(names())}}} [options]\n")
        return 2
    module = importlib.import_module(f"tests.evals.{arguments[0]}")
    return ended(module.main, arguments[1:], (RagError, ModelUnusable))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
