"""Wrap one llama.cpp context with a language model in a small, typed surface.

Call every method of `Llama` from the one thread that made it; only `abort` may be called from any thread, and only it
is safe while a decode runs.
"""

from __future__ import annotations

import ctypes
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from model.engine.protocol import ModelUnusable, Sampling
from model.kv_cache.state import Rotation, UnknownState, turns
from rag.embedding.llama_runtime import c, first_error, forget_errors, json_schema_to_gbnf, start

logger = logging.getLogger(__name__)

MAX_BATCH = 512  # rows of one decode call; larger ones read no faster on two cores and abort later
MICRO_BATCH = 128  # rows computed together: attention needs memory for each of them against every cell
LEAST_CELLS = 1024  # the system prompt, a question, a passage and an answer: with fewer nothing can be asked
REPEAT_WINDOW = 64  # tokens back in which a repetition counts
DECODED, NO_SLOT, ABORTED = 0, 1, 2  # results of llama_decode; below zero are errors
FAR = 1000  # positions over which a rotation is proven
OTHER_BASE = " (hint: maybe wrong base model?)"  # llama.cpp's own words
KV_TYPES = {"f16": c.GGML_TYPE_F16, "q8_0": c.GGML_TYPE_Q8_0}


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """The options under which a context is made."""

    cells: int = 8192  # KV cells shared by all sequences
    sequences: int = 24  # sequence ids: running, parked and one for restoring
    threads: int = 2
    kv_type: str = "f16"  # or "q8_0": half the bytes
    # Flash attention adds up cells in their order, so that restored states give the same to the last bit; without it a
    # step of few rows takes half the time (docs/developers.md). q8_0 needs it.
    flash: bool = True
    repack: bool = False  # llama.cpp's weight repacking: off reads Q4_K prompts 1.2-1.4 x faster on AVX2


@dataclass(frozen=True, slots=True)
class BatchRow:
    """The row of a token in a batch: at `position` of sequence `sequence`; `logits` asks for a prediction after it."""

    token: int
    position: int
    sequence: int
    logits: bool = False


class Llama:
    """The model and context of one GGUF, with the LoRA adapter of another on it if one is given.

    Raises ModelUnusable if the files or the memory do not allow them, and for an adapter of another model.
    """

    def __init__(self, path: Path, options: ContextOptions, adapter: Path | None = None) -> None:
        start()
        forget_errors()
        self._model = _load_model(path, options)
        self._vocab = c.llama_model_get_vocab(self._model)
        self._abort_flag = ctypes.create_string_buffer(2)
        try:
            lora = _load_adapter(self._model, adapter, path) if adapter else None
            self._context, self.cells = self._make_context(options)
        except ModelUnusable:
            c.llama_model_free(self._model)  # and the adapter with it
            raise
        if lora:
            c.llama_set_adapters_lora(
                self._context, (c.llama_adapter_lora_p_ctypes * 1)(lora), 1, (ctypes.c_float * 1)(1)
            )
        self.options = options
        self._memory = c.llama_get_memory(self._context)
        self._batch = c.llama_batch_init(MAX_BATCH, 0, 1)
        self.trained_context = int(c.llama_model_n_ctx_train(self._model))
        self.chat_template = (c.llama_model_chat_template(self._model, None) or b"").decode("utf-8", "replace")
        self.can_shift = bool(c.llama_memory_can_shift(self._memory))
        self.special_tokens = self._special(c.LLAMA_TOKEN_ATTR_CONTROL | c.LLAMA_TOKEN_ATTR_USER_DEFINED)
        tags = map(re.escape, self._special(c.LLAMA_TOKEN_ATTR_USER_DEFINED).values())
        self._tags = re.compile("|".join(tags) or r"(?!)")
        self.rotation = self._proven_rotation()

    def _make_context(self, options: ContextOptions) -> tuple[object, int]:
        """Return the context and its number of cells; halve them until they fit the memory, down to LEAST_CELLS."""
        cells = options.cells
        while cells >= min(LEAST_CELLS, options.cells):
            params = _context_params(options, cells)
            params.abort_callback = _flag_is_set
            params.abort_callback_data = ctypes.addressof(self._abort_flag)
            context = c.llama_init_from_model(self._model, params)
            if context:
                return context, cells
            logger.warning("a context of %d cells does not fit the memory, trying %d", cells, cells // 2)
            cells //= 2
        raise ModelUnusable("There is not enough memory for the model's context; choose a smaller model (MODEL=).")

    def close(self) -> None:
        """Free the context and the weights; no method may be called afterwards."""
        c.llama_batch_free(self._batch)
        c.llama_free(self._context)
        c.llama_model_free(self._model)

    def _proven_rotation(self) -> Rotation | None:
        """Return how keys turn with their position, or None where states of this model cannot be moved.

        A token that stands alone attends to itself only, so its states at two positions differ by the rotation alone.
        """
        try:
            stated = self._stated_rotation()
            status = self.decode([BatchRow(0, 0, 0), BatchRow(0, FAR, 1)])
            here, there = self.save(0), self.save(1)
            proven = status == DECODED and turns(stated, here, there, FAR)
        except (UnknownState, ValueError) as error:
            logger.info("states of this model stay where they were computed: %s", error)
            return None
        finally:
            self.forget(0)
            self.forget(1)
        return stated if proven else None

    def _stated_rotation(self) -> Rotation:
        """Return the rotation that the model's metadata state. Raises ValueError where they state none."""
        kind = c.llama_model_rope_type(self._model)
        if kind not in (c.LLAMA_ROPE_TYPE_NORM, c.LLAMA_ROPE_TYPE_NEOX):
            raise ValueError(f"rope type {kind}")
        name = self.metadata("general.architecture")
        heads = int(self.metadata(f"{name}.attention.head_count"))
        head = int(self.metadata(f"{name}.attention.key_length") or c.llama_model_n_embd(self._model) // heads)
        turning = int(self.metadata(f"{name}.rope.dimension_count") or head)
        base = float(self.metadata(f"{name}.rope.freq_base") or 10000.0)
        scale = c.llama_model_rope_freq_scale_train(self._model)
        return Rotation(head, turning, base, scale, halves=kind == c.LLAMA_ROPE_TYPE_NEOX)

    def metadata(self, key: str) -> str:
        """Return what the model's file says under a key, "" where it says nothing."""
        buffer = ctypes.create_string_buffer(256)
        size = c.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if size >= 0 else ""

    # --- text -----------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """Return the token ids of `text`; only with `control` may its role tags become control tokens."""
        if control:
            return self._tokenized(text, control)
        # llama.cpp turns a tag that a model defines into its token even in plain text: cut apart, it stays text.
        cuts = [0, *(match.start() + 1 for match in self._tags.finditer(text)), len(text)]
        return [token for start, end in pairwise(cuts) for token in self._tokenized(text[start:end], control)]

    def _tokenized(self, text: str, control: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (c.llama_token * room)()
        count = c.llama_tokenize(self._vocab, data, len(data), buffer, room, False, control)
        if count < 0:
            raise ValueError(f"{len(data)} bytes of text could not be tokenised")
        return list(buffer[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes a token stands for; a control token has none."""
        buffer = ctypes.create_string_buffer(256)
        size = c.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(size, 0)]

    def _special(self, attributes: int) -> dict[int, str]:
        """Return the tokens with one of the attributes that are tags; the others are letters and white space."""
        vocab = self._vocab
        found = [t for t in range(c.llama_vocab_n_tokens(vocab)) if c.llama_vocab_get_attr(vocab, t) & attributes]
        texts = {token: self.control_text(token) for token in found}
        return {token: text for token, text in texts.items() if text.startswith("<") and len(text) > 2}

    def is_end(self, token: int) -> bool:
        """Return True if the token ends an answer."""
        return bool(c.llama_vocab_is_eog(self._vocab, token))

    def control_text(self, token: int) -> str:
        """Return a token as the chat template writes it, e.g. "<|im_end|>"."""
        raw = c.llama_vocab_get_text(self._vocab, token) if token >= 0 else b""
        return (raw or b"").decode("utf-8", "replace")

    @property
    def bos(self) -> str:
        """The text of the begin-of-sequence token, "" where there is none."""
        return self.control_text(c.llama_vocab_bos(self._vocab))

    @property
    def eos(self) -> str:
        """The text of the end-of-sequence token."""
        return self.control_text(c.llama_vocab_eos(self._vocab))

    # --- computing ------------------------------------------------------------------------------------

    def decode(self, rows: Sequence[BatchRow]) -> int:
        """Compute up to MAX_BATCH rows at once; return DECODED, NO_SLOT, ABORTED or a negative error."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, row in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = row.token, row.position, 1
            batch.seq_id[i][0], batch.logits[i] = row.sequence, row.logits
        return int(c.llama_decode(self._context, batch))

    def abort(self) -> None:
        """Make a running decode return ABORTED within some 50 ms, and every later one until `clear_abort`."""
        self._abort_flag[0] = b"\x01"

    def clear_abort(self) -> None:
        """Let the next decode run."""
        self._abort_flag[0] = b"\x00"

    def new_sampler(self, sampling: Sampling) -> object:
        """Return a sampler chain, to be freed by `free_sampler`; raise ValueError for a grammar that does not parse."""
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        if bound := sampling.grammar or (schema_grammar(sampling.schema) if sampling.schema else ""):
            grammar = c.llama_sampler_init_grammar(self._vocab, bound.encode(), b"root")
            if not grammar:
                c.llama_sampler_free(chain)
                raise ValueError("the grammar is not valid GBNF")
            c.llama_sampler_chain_add(chain, grammar)
        if sampling.repeat_penalty != 1.0:
            size = c.llama_vocab_n_tokens(self._vocab)
            c.llama_sampler_chain_add(
                chain, c.llama_sampler_init_penalties(size, REPEAT_WINDOW, sampling.repeat_penalty, 0.0, 0.0)
            )
        if sampling.temperature <= 0:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_greedy())
            return chain
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_k(40))
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_top_p(sampling.top_p, 1))
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_temp(sampling.temperature))
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_dist(sampling.seed))
        return chain

    def sample(self, sampler: object, row: int) -> int:
        """Return the next token after row `row` of the last batch."""
        return int(c.llama_sampler_sample(sampler, self._context, row))

    def free_sampler(self, sampler: object) -> None:
        """Free what `new_sampler` made."""
        c.llama_sampler_free(sampler)

    # --- the KV cache ---------------------------------------------------------------------------------

    def share(self, source: int, target: int, start: int, end: int) -> None:
        """Let `target` use `source`'s cells of positions [start, end): no bytes are copied."""
        c.llama_memory_seq_cp(self._memory, source, target, start, end)

    def forget(self, sequence: int, start: int = -1, end: int = -1) -> None:
        """Take positions [start, end) out of a sequence; -1 is open."""
        c.llama_memory_seq_rm(self._memory, sequence, start, end)

    def shift(self, sequence: int, start: int, end: int, by: int) -> None:
        """Move positions [start, end) of a sequence by `by`; keys are rotated at the next decode."""
        c.llama_memory_seq_add(self._memory, sequence, start, end, by)

    def save(self, sequence: int) -> bytes:
        """Return a sequence's KV state in llama.cpp's own format."""
        size = c.llama_state_seq_get_size(self._context, sequence)
        data = np.empty(size, dtype=np.uint8)
        pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        written = c.llama_state_seq_get_data(self._context, pointer, size, sequence)
        return data[:written].tobytes()

    def restore(self, sequence: int, data: bytes) -> bool:
        """Restore what `save` returned; return False if no cells are free. Pass only bytes of this installation."""
        array = np.frombuffer(data, dtype=np.uint8)
        pointer = array.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        return bool(c.llama_state_seq_set_data(self._context, pointer, len(data), sequence))


def schema_grammar(schema: str) -> str:
    """Return the GBNF grammar of a JSON schema given as JSON text."""
    return str(json_schema_to_gbnf(schema))


def _load_model(path: Path, options: ContextOptions) -> object:
    params = c.llama_model_default_params()
    params.n_gpu_layers = 0
    params.use_extra_bufts = options.repack
    model = c.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelUnusable(
            f"{path.name} cannot be loaded ({first_error()}); download it again or choose another MODEL=."
        )
    return model


def _load_adapter(model: object, adapter: Path, base: Path) -> object:
    """Return the LoRA adapter, which is freed with the model. Raises ModelUnusable with what llama.cpp says of it."""
    forget_errors()
    if lora := c.llama_adapter_lora_init(model, str(adapter).encode()):
        return lora
    why = first_error().rpartition("lora adapter: ")[2].removesuffix(OTHER_BASE)
    raise ModelUnusable(
        f"{adapter.name} cannot be put on {base.name} ({why}); give the model that it was trained on, as in "
        f"MODEL=BASE+{adapter.name}, or make the adapter again."
    )


def _context_params(options: ContextOptions, cells: int) -> c.llama_context_params:
    params = c.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = cells, MAX_BATCH, MICRO_BATCH
    params.n_seq_max, params.kv_unified = options.sequences, True
    params.n_threads = params.n_threads_batch = options.threads
    params.type_k = params.type_v = KV_TYPES[options.kv_type]
    flash = options.flash or options.kv_type != "f16"
    params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else c.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.no_perf = True
    return params


# llama.cpp polls the abort callback before every graph node, over a thousand times a step. A Python callback would
# take the interpreter lock each time and wait for whoever holds it; C's strlen reads the flag without it: length 0
# while the first byte is NUL, 1 after `abort`.
_flag_is_set = c.ggml_abort_callback(ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value or 0)
