"""An engine past this machine: any OpenAI-compatible server (vLLM, llama-server, TGI, an Inference Endpoint).

The server applies the chat template, batches and caches; this side streams, stops, retries and reports.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import httpx2
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, TextGenerationError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from model.events import Counts, Finished, FinishReason, TextDelta, Timings
from model.generation import Generation, Load, ModelInfo, Options, QueueFull
from model.prompt import Prompt

logger = logging.getLogger(__name__)

ATTEMPTS = 3  # to get a first answer; nothing is tried again once text has come
CONNECT_S = 10.0
FAILURES = (HfHubHTTPError, httpx2.HTTPError, InferenceTimeoutError, TextGenerationError, OSError)
BUSY = (429, 502, 503, 504)  # worth another try


class RemoteEngine:
    """An `Engine` over HTTP; url is the server's base, model its name there, "" for a server that has only one."""

    def __init__(self, url: str, model: str = "", *, token: str | None = None, most: int = 32) -> None:
        name = "" if model == "auto" else model
        self.info = ModelInfo(name or "remote", f"{name or 'the model'} at {httpx2.URL(url).host}", 0)
        self.chat_template = self.bos = self.eos = ""
        self._model = name or "default"
        self._client = InferenceClient(base_url=url.rstrip("/"), token=token, timeout=CONNECT_S * 6)
        self._most = most  # generations under way; the next is refused
        self._running: set[Generation] = set()
        self._average_s = 10.0
        self._lock = threading.Lock()

    def submit(self, prompt: Prompt, options: Options | None = None) -> Generation:
        """Start a generation; raises QueueFull when too many are under way."""
        generation = Generation(lambda: None)
        with self._lock:
            if len(self._running) >= self._most:
                raise QueueFull(self._average_s)
            self._running.add(generation)
        arguments = (prompt, options or Options(), generation)
        threading.Thread(target=self._run, args=arguments, name="remote", daemon=True).start()
        return generation

    def prewarm(self, prompts: list[Prompt]) -> None:
        """Nothing: the server keeps its own cache."""

    def load(self) -> Load:
        """What this side knows: its own generations."""
        return Load(len(self._running), 0, 0.0 if len(self._running) < self._most else self._average_s)

    def close(self) -> None:
        """Cancel everything under way."""
        for generation in list(self._running):
            generation.cancel()

    def _run(self, prompt: Prompt, options: Options, generation: Generation) -> None:
        clock = _Clock(options.deadline_s)
        reason: FinishReason = "stop"
        error = ""
        try:
            with contextlib.closing(self._stream(prompt, options)) as pieces:
                for text, finish in pieces:
                    if generation.cancelled or clock.over():
                        reason = "cancelled" if generation.cancelled else "deadline"
                        break
                    reason = "length" if finish == "length" else reason
                    if text:
                        clock.token()
                        generation.put(TextDelta(text))
        except FAILURES as failure:
            logger.warning("the remote engine failed: %s", type(failure).__name__)
            reason, error = "error", f"The model server does not answer ({_status(failure)}); please try again soon."
        timings = clock.timings()
        with self._lock:
            self._running.discard(generation)
            self._average_s = 0.7 * self._average_s + 0.3 * timings.total_s
        generation.put(Finished(reason, Counts(generated=clock.tokens), timings, error=error))

    def _stream(self, prompt: Prompt, options: Options) -> Generator[tuple[str, str], None, None]:
        """Pairs of (text, finish reason or ""); the first chunk is waited for inside the retries."""
        retrying = Retrying(
            retry=retry_if_exception(_worth_retrying),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(initial=0.5, max=4),
            reraise=True,
        )
        chunks, first = retrying(self._begin, prompt, options)
        if first is not None:
            yield _piece(first)
        for chunk in chunks:
            yield _piece(chunk)

    def _begin(self, prompt: Prompt, options: Options) -> tuple[Iterator[Any], Any]:
        sampling = options.sampling
        stream = iter(
            self._client.chat_completion(
                [{"role": role, "content": text} for role, text in prompt.messages],
                model=self._model,
                stream=True,
                max_tokens=options.max_tokens,
                temperature=sampling.temperature,
                seed=sampling.seed,
                extra_body={"grammar": sampling.grammar} if sampling.grammar else None,
            )
        )
        return stream, next(stream, None)


class _Clock:
    """Seconds and tokens of one generation."""

    def __init__(self, deadline_s: float) -> None:
        self._start = time.monotonic()
        self._deadline_s = deadline_s
        self._first: float | None = None
        self.tokens = 0

    def token(self) -> None:
        self._first = self._first or time.monotonic()
        self.tokens += 1

    def over(self) -> bool:
        return time.monotonic() - self._start > self._deadline_s

    def timings(self) -> Timings:
        first = None if self._first is None else self._first - self._start
        return Timings(0.0, first, time.monotonic() - self._start)


def _piece(chunk: Any) -> tuple[str, str]:
    choices = getattr(chunk, "choices", None) or []
    if not choices:
        return "", ""
    return choices[0].delta.content or "", choices[0].finish_reason or ""


def _status(error: BaseException) -> str:
    response = getattr(error, "response", None)
    return f"HTTP {response.status_code}" if response is not None else type(error).__name__


def _worth_retrying(error: BaseException) -> bool:
    response = getattr(error, "response", None)
    if response is not None:
        return response.status_code in BUSY
    return isinstance(error, httpx2.TransportError)
