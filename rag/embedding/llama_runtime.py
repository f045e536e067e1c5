"""Import llama.cpp for the chat model and the encoder; no other module imports `llama_cpp`."""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from pathlib import Path

# libgomp reads this once, at load. By default its threads spin at every barrier, and as soon as the web server wants
# one of the two cores, decoding falls from tens of tokens a second to one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import llama_cpp
from llama_cpp import llama_cpp as c
from llama_cpp.llama_grammar import json_schema_to_gbnf

__all__ = ["VERSION", "c", "first_error", "forget_errors", "json_schema_to_gbnf", "start"]

logger = logging.getLogger(__name__)

VERSION = f"llama-cpp-python {llama_cpp.__version__}"
MAX_ERRORS = 10  # the first error of a load is the cause, the rest follow from it

_starting = threading.Lock()
_errors: list[str] = []  # messages at level error since the last `forget_errors`


def start() -> None:
    """Silence llama.cpp's log and let it choose its code for this CPU. Call it before loading a model."""
    with _starting:
        c.llama_log_set(_log, ctypes.c_void_p())
        _load_backends()
        c.llama_backend_init()


def first_error() -> str:
    """Return the first error since `forget_errors`, in llama.cpp's words."""
    return _errors[0] if _errors else "llama.cpp gave no reason"


def forget_errors() -> None:
    """Forget all errors; call it before a load."""
    _errors.clear()


def _load_backends() -> None:
    """Let ggml choose the code for this CPU where the library comes with several backends.

    By default ggml looks for backends beside the Python executable. The call goes through libllama's own handle,
    because a second copy of libggml would keep a registry of its own.
    """
    library = c._lib
    library.ggml_backend_reg_count.restype = ctypes.c_size_t
    if not library.ggml_backend_reg_count():
        library.ggml_backend_load_all_from_path(str(Path(llama_cpp.__file__).parent / "lib").encode())


def _note(level: int, text: bytes, _data: object) -> None:
    if level == 4:  # GGML_LOG_LEVEL_ERROR
        message = text.decode("utf-8", "replace").strip()
        _errors[:] = [*_errors, message][:MAX_ERRORS]
        logger.debug("llama.cpp: %s", message)


_log = c.llama_log_callback(_note)
