"""A GGUF with Granite's architecture, control tokens and turn format, and a few random weights: for token ids."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf

from tests import tiny_llama

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
    words = tiny_llama.Vocabulary(tokens, kinds, merges, end, end, TEMPLATE)
    return tiny_llama.write(path, "granite", words, context, ABOUT)


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


def _strings(reader: Any, key: str) -> list[str]:
    field = reader.fields[key]
    return [bytes(field.parts[at]).decode("utf-8", "replace") for at in field.data]
