"""Ends a command line with its exit code, or with one sentence: never with a traceback.

TRACEBACK=1 shows the traceback all the same, for whoever looks for the fault.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

LONGEST = 600  # characters of a message
LONGEST_SHOWN = 200  # characters of a value that a message repeats
FAILED, INTERRUPTED = 2, 130


def ended(
    command: Callable[[Sequence[str]], object],
    arguments: Sequence[str],
    said: tuple[type[Exception], ...] = (),
    failed: int = FAILED,
) -> int:
    """Run a command over its arguments and return its exit code, `failed` with one line on standard error if it fails.

    said: errors whose message is a sentence for whoever typed the command. What SystemExit carries passes.
    """
    try:
        code = command(arguments)
        sys.stdout.flush()  # a full disk behind it is told of here, not while the interpreter ends
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads the output has seen enough
        _drop(1)
        return failed
    except Exception as error:
        if os.environ.get("TRACEBACK"):
            traceback.print_exc()
        _drop(1) if isinstance(error, OSError) else None
        _say(_sentence(error, said))
        return failed


def shown(text: str) -> str:
    """Return a value as one readable line, whatever it holds."""
    line = text if text.isprintable() else ascii(text)
    return line if len(line) <= LONGEST_SHOWN else line[:LONGEST_SHOWN] + "..."


def _sentence(error: Exception, said: tuple[type[Exception], ...]) -> str:
    text = " ".join(str(error).split())
    text = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    if isinstance(error, said):
        return text
    if isinstance(error, OSError | UnicodeError | MemoryError | RecursionError):
        why = text or type(error).__name__
        return f"what you named cannot be read or written ({why}); check the path, its permissions and the room there"
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    return (
        f"this failed ({type(error).__name__} in {place}: {text}); check what you gave it, or see more with TRACEBACK=1"
    )


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads standard error either
        sys.stderr.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
        sys.stderr.flush()


def _drop(descriptor: int) -> None:
    """Let what still waits to be written go nowhere, so that the interpreter's end does not try again."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
