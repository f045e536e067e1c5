"""Compute a BERT sentence encoder with llama.cpp: the vectors of sentence-transformers without torch.

Covers models like all-MiniLM-L6-v2: mean pooling, WordPiece, F32 safetensors. The tokenizers library reads the model's
own tokenizer; llama.cpp only computes. Matrices in half precision leave a cosine of 0.99999 to the vectors of
sentence-transformers, so an index built with one serves the other.
"""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from rag.embedding.bert_gguf import write_gguf
from rag.embedding.llama_runtime import c, first_error, forget_errors, start
from rag.errors import ModelMissing

TOKENS = 512  # per batch; larger batches pad more and compute no faster on two cores
TEXTS = 16  # per batch


class Bert:
    """The loaded encoder, for one thread at a time. Raises ModelMissing when the files make no encoder."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the model in `folder`, in the layout of sentence-transformers; ~0.5 s."""
        try:
            self._tokenizer = _tokenizer(folder)
            model = _load(folder)
        except (OSError, ValueError, KeyError) as error:
            raise ModelMissing(f"{folder} is no usable BERT model ({error}); install it again") from error
        self._context, self._batch = _context(model), c.llama_batch_init(TOKENS, 0, 1)
        self.dimension = int(c.llama_model_n_embd(model))
        self._threads = threads
        # Not at interpreter exit, when another thread may still compute.
        weakref.finalize(self, _free, model, self._context, self._batch).atexit = False

    def encode(self, texts: Sequence[str], few: bool) -> np.ndarray:
        """Return float32 vectors of shape (len(texts), dimension), each of length 1; `few` uses one thread."""
        threads = 1 if few else self._threads
        c.llama_set_n_threads(self._context, threads, threads)
        tokens = [self._tokenizer.encode(text).ids for text in texts]
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for batch in _batches(tokens):
            vectors[batch] = self._compute([tokens[number] for number in batch])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def is_word(self, word: str) -> bool:
        """Return True when the vocabulary holds `word` whole."""
        return len(self._tokenizer.encode(word, add_special_tokens=False).ids) == 1

    def _compute(self, texts: Sequence[Sequence[int]]) -> np.ndarray:
        batch, row = self._batch, 0
        for sequence, tokens in enumerate(texts):
            for position, token in enumerate(tokens):
                batch.token[row], batch.pos[row], batch.n_seq_id[row] = token, position, 1
                batch.seq_id[row][0], batch.logits[row] = sequence, True
                row += 1
        batch.n_tokens = row
        if result := c.llama_encode(self._context, batch):
            raise MemoryError(f"{row} tokens could not be embedded (llama.cpp's result is {result})")
        pointers = [c.llama_get_embeddings_seq(self._context, sequence) for sequence in range(len(texts))]
        return np.stack([np.ctypeslib.as_array(pointer, (self.dimension,)) for pointer in pointers])


def _batches(tokens: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return text numbers in batches of at most TOKENS tokens and TEXTS texts, short texts together."""
    batches: list[list[int]] = []
    room = 0
    for number in sorted(range(len(tokens)), key=lambda number: len(tokens[number])):
        if not batches or len(tokens[number]) > room or len(batches[-1]) == TEXTS:
            batches.append([])
            room = TOKENS
        batches[-1].append(number)
        room -= len(tokens[number])
    return batches


def _tokenizer(folder: Path) -> Tokenizer:
    """Return the model's tokenizer, which cuts a text off at the length of its training."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    longest = json.loads((folder / "sentence_bert_config.json").read_text("utf-8"))["max_seq_length"]
    tokenizer.enable_truncation(min(int(longest), TOKENS))
    return tokenizer


def _load(folder: Path) -> object:
    """Load the weights through a temporary file; writing it takes no longer than checking a kept one."""
    start()
    params = c.llama_model_default_params()
    params.n_gpu_layers, params.use_mmap = 0, False
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "encoder.gguf"
        write_gguf(folder, path)
        forget_errors()
        model = c.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ValueError(first_error())
    return model


def _context(model: object) -> object:
    params = c.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = TOKENS
    params.n_seq_max, params.kv_unified = TEXTS, True
    params.embeddings, params.pooling_type = True, c.LLAMA_POOLING_TYPE_MEAN
    params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_ENABLED  # skips what one text of a batch must not see of another
    params.no_perf = True
    context = c.llama_init_from_model(model, params)
    if not context:
        c.llama_model_free(model)
        raise ModelMissing(f"there is not enough memory for the encoder ({first_error()}); free some 200 MB")
    return context


def _free(model: object, context: object, batch: object) -> None:
    c.llama_batch_free(batch)
    c.llama_free(context)
    c.llama_model_free(model)
