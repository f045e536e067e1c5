"""Gives the scripts the end of the project's other commands: an exit code or one sentence, never a traceback."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from rag.command_line import ended

__all__ = ["ended"]
