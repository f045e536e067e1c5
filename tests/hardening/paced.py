"""The whole application over a language model that takes as long as it is told: `python -m tests.hardening.paced`.

Everything but llama.cpp is real: the engine, its queue, the page, the gate. Read from the environment beside what
app.py reads: PACED_S, seconds of one answer; PACED_ALONE=1, four answers at once then take four times as long.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator, Sequence

import uvicorn

from app import Around, create_app
from model.engine.llama import ABORTED, DECODED, BatchRow, ContextOptions, Llama
from model.engine.local import EngineOptions, LocalEngine
from model.engine.protocol import ModelInfo, Sampling
from model.engine.scripted import CHATML
from model.kv_cache.prefix_cache import PrefixCache
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts
from onboarding.edge.admission import Admission
from onboarding.edge.rate_limits import RateLimits, Rates
from onboarding.settings import Settings

WORDS = "That is what the sources say , and there is no more to it .".split()
READING = 2  # steps of an answer that read its prompt, about
END = len(WORDS)
MB = 1_000_000


class PacedLlama(Llama):
    """What the engine asks of llama.cpp, with words for tokens and a clock for a computation."""

    def __init__(self, answer_s: float, *, alone: bool = False) -> None:
        self.options = ContextOptions(cells=8192)
        self.cells = self.trained_context = 8192
        self.chat_template, self.can_shift = CHATML, True
        self._step_s = answer_s / (END + READING)
        self._alone = alone
        self._aborted = threading.Event()

    bos, eos = "", "<|im_end|>"

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        return [1000 + zlib.crc32(word.encode("utf-8", "replace")) % 1_000_000 for word in text.split()] or [1000]

    def piece(self, token: int) -> bytes:
        return f"{WORDS[token]} ".encode()

    def is_end(self, token: int) -> bool:
        return token == END

    def decode(self, rows: Sequence[BatchRow]) -> int:
        sequences = len({row.sequence for row in rows})
        return ABORTED if self._aborted.wait(self._step_s * (sequences if self._alone else 1)) else DECODED

    def abort(self) -> None:
        self._aborted.set()

    def clear_abort(self) -> None:
        self._aborted.clear()

    def new_sampler(self, sampling: Sampling) -> object:
        return iter(range(END + 1))

    def sample(self, sampler: object, row: int) -> int:
        assert isinstance(sampler, Iterator)
        return int(next(sampler))

    def free_sampler(self, sampler: object) -> None:
        pass

    def share(self, source: int, target: int, start: int, end: int) -> None:
        pass

    def forget(self, sequence: int, start: int = -1, end: int = -1) -> None:
        pass

    def shift(self, sequence: int, start: int, end: int, by: int) -> None:
        pass

    def save(self, sequence: int) -> bytes:
        return b"state"

    def restore(self, sequence: int, data: bytes) -> bool:
        return True

    def close(self) -> None:
        pass


def open_paced(answer_s: float, *, alone: bool = False, options: EngineOptions | None = None) -> LocalEngine:
    """The real engine over a `PacedLlama`."""
    info = ModelInfo("paced", f"A clock of {answer_s} s", 0)
    return LocalEngine(lambda: PacedLlama(answer_s, alone=alone), PrefixCache(MB), info, options)


class PacedParts(Parts):
    """All parts, with the paced engine for a model."""

    def _load_first_model(self) -> None:
        self._serve(open_paced(float(os.environ["PACED_S"]), alone=os.environ.get("PACED_ALONE") == "1"))

    def _load_default_model(self) -> None:
        pass  # none follows


def main() -> None:
    settings = Settings.from_env()
    around = Around(admission=Admission(RateLimits(Rates(settings.asks))), trust=settings.trust)
    app = create_app(Guide(PacedParts(settings.parts)), around)
    uvicorn.run(app, host="127.0.0.1", port=settings.port, log_level="warning", proxy_headers=False)


if __name__ == "__main__":
    main()
