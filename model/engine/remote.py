"""Answer through any OpenAI-compatible server (vLLM, llama-server, TGI, an Inference Endpoint).

The server applies the chat template, batches and caches; this side streams, stops, retries and reports. One event
loop on one thread serves every generation, so that a Stop closes its connection at once, whatever it waits for: a
closed connection is what tells such a server to stop computing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from typing import Any

import httpx2
from huggingface_hub import AsyncInferenceClient
from huggingface_hub.errors import HfHubHTTPError, TextGenerationError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from model.engine.events import Counts, Finished, FinishReason, TextDelta, Timings
from model.engine.prompt import Prompt
from model.engine.protocol import Generation, Load, ModelInfo, Options, QueueFull

logger = logging.getLogger(__name__)

MOST = 128  # generations under way, more than are let in at once; the server batches and queues by itself
ATTEMPTS = 3  # to get a first answer; nothing is tried again once text has come
SILENCE_S = 60.0  # a server that sends nothing for longer counts as gone; reading a long prompt takes most of it
# A foreign server can refuse, break the connection, or answer with no JSON or outside the protocol.
FAILURES = (HfHubHTTPError, httpx2.HTTPError, TextGenerationError, OSError, ValueError, KeyError, TypeError)
BUSY = (429, 502, 503, 504)  # worth another try
NO_TOOL: dict[str, Any] = {  # servers only know "some tool" and "as you like"; this is how a model says none
    "type": "function",
    "function": {
        "name": "no_check",
        "description": "The request asks for no check of the host.",
        "parameters": {"type": "object", "properties": {}},
    },
}
NO_TOKEN = "none"  # noqa: S105 - without any the client would send this machine's own Hub token to a foreign server


class RemoteEngine:
    """The `Engine` over HTTP; url is the server's base, model its name there, "" for a server that has only one."""

    def __init__(self, url: str, model: str = "", *, token: str = "", most: int = MOST, wait_s: float = 0.5) -> None:
        name = "" if model == "auto" else model
        self.info = ModelInfo(name or "remote", f"{name or 'the model'} at {httpx2.URL(url).host}", 0)
        self.chat_template = self.bos = self.eos = ""
        self._url = url.rstrip("/")
        self._model = name or "default"
        self._token = token or NO_TOKEN
        self._most = most  # generations under way; the next is refused
        self._wait_s = wait_s  # before the second attempt; doubled before the third
        self._running: set[Generation] = set()
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote", daemon=True)
        self._thread.start()

    def submit(self, prompt: Prompt, options: Options | None = None) -> Generation:
        """Start a generation; raises QueueFull when too many are under way."""

        def cancel() -> None:
            task.cancel()

        generation = Generation(cancel)
        with self._lock:
            if len(self._running) >= self._most:
                raise QueueFull()
            self._running.add(generation)
        task = asyncio.run_coroutine_threadsafe(self._run(prompt, options or Options(), generation), self._loop)
        return generation

    def prewarm(self, prompts: list[Prompt]) -> None:
        """Do nothing: the server keeps its own cache."""

    def load(self) -> Load:
        """Return the load of this side's own generations."""
        return Load(len(self._running), 0)

    def close(self) -> None:
        """Cancel everything under way and return when all connections are closed."""
        with self._lock:
            running = list(self._running)
        for generation in running:
            generation.cancel()
        for generation in running:
            for _ in generation:
                pass
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    async def _run(self, prompt: Prompt, options: Options, generation: Generation) -> None:
        progress = _Progress()
        reason: FinishReason = "error"
        error = ""
        try:
            async with asyncio.timeout(options.deadline_s) as limit:
                reason = await self._with_retries(prompt, options, generation, progress)
        except asyncio.CancelledError:
            reason = "cancelled"  # not raised again: only our own caller cancels this task
        except FAILURES as failure:
            if limit.expired():
                reason = "deadline"
            else:
                logger.warning("the model server failed: %s", _status(failure))
                error = f"The model server does not answer ({_status(failure)}); please try again soon."
        self._finish(generation, Finished(reason, progress.counts(), progress.timings(), error=error))

    def _finish(self, generation: Generation, last: Finished) -> None:
        with self._lock:
            self._running.discard(generation)
        generation.put(last)

    async def _with_retries(
        self, prompt: Prompt, options: Options, generation: Generation, progress: _Progress
    ) -> FinishReason:
        attempts = AsyncRetrying(
            retry=retry_if_exception(lambda error: not progress.pieces and _is_passing(error)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(initial=self._wait_s, max=4, jitter=self._wait_s),
            reraise=True,
        )
        return await attempts(self._once, prompt, options, generation, progress)

    async def _once(
        self, prompt: Prompt, options: Options, generation: Generation, progress: _Progress
    ) -> FinishReason:
        """Run one request with a client of its own, because to close the client closes the stream."""
        reason: FinishReason = "stop"
        async with AsyncInferenceClient(base_url=self._url, api_key=self._token, timeout=SILENCE_S) as client:
            async for chunk in await client.chat_completion(**self._request(prompt, options)):
                progress.hear(chunk)
                for choice in chunk.choices or ():
                    reason = "length" if choice.finish_reason == "length" else reason
                    progress.call.hear(choice.delta)
                    if choice.delta.content and not options.tools:
                        progress.piece()
                        generation.put(TextDelta(choice.delta.content))
        if options.tools:
            generation.put(TextDelta(progress.call.text))
        return reason

    def _request(self, prompt: Prompt, options: Options) -> dict[str, Any]:
        sampling = options.sampling
        request: dict[str, Any] = {
            "messages": [{"role": role, "content": text} for role, text in prompt.messages],
            "model": self._model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": options.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
        }
        if options.tools:
            request |= {"tools": [*options.tools, NO_TOOL], "tool_choice": "required"}
        elif sampling.schema:  # under the names that llama-server and TGI read; others are held to JSON at least
            schema = json.loads(sampling.schema)
            request["response_format"] = {"type": "json_object", "schema": schema, "value": schema}
        elif sampling.grammar:
            request["extra_body"] = {"grammar": sampling.grammar}  # llama-server alone reads GBNF
        return request


class _Call:
    """The tool call that comes in pieces; `text` is what an engine under a grammar would have written."""

    def __init__(self) -> None:
        self._name = self._arguments = ""

    def hear(self, delta: Any) -> None:
        for piece in getattr(delta, "tool_calls", None) or ():
            if (piece.index or 0) == 0:  # one call a round; further ones are not looked at
                self._name += piece.function.name or ""
                self._arguments += piece.function.arguments or ""

    @property
    def text(self) -> str:
        name = None if self._name in ("", NO_TOOL["function"]["name"]) else self._name
        return f'{{"name": {json.dumps(name)}, "arguments": {self._arguments or "{}" if name else "{}"}}}'


class _Progress:
    """The seconds and tokens of one generation."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._first: float | None = None
        self._usage: Any = None  # the server's own count, which comes last
        self.pieces = 0  # of text, about a token each
        self.call = _Call()

    def hear(self, chunk: Any) -> None:
        self._usage = getattr(chunk, "usage", None) or self._usage

    def piece(self) -> None:
        self._first = self._first or time.monotonic()
        self.pieces += 1

    def counts(self) -> Counts:
        if self._usage is None:
            return Counts(generated=self.pieces)
        prompt = int(self._usage.prompt_tokens)
        details = getattr(self._usage, "prompt_tokens_details", None) or {}
        cached = int(details.get("cached_tokens") or 0) if isinstance(details, dict) else 0
        return Counts(prompt, prompt - cached, int(self._usage.completion_tokens))

    def timings(self) -> Timings:
        first = None if self._first is None else self._first - self._start
        return Timings(0.0, first, time.monotonic() - self._start)


def _status(error: BaseException) -> str:
    response = getattr(error, "response", None)
    return f"HTTP {response.status_code}" if response is not None else type(error).__name__


def _is_passing(error: BaseException) -> bool:
    """Return True if the fault may be over in a moment."""
    response = getattr(error, "response", None)
    if response is not None:
        return response.status_code in BUSY
    return isinstance(error, httpx2.TransportError)
