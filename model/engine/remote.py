"""Answer through any OpenAI-compatible server (vLLM, llama-server, TGI, an Inference Endpoint).

The server applies the chat template, batches and caches; this side streams, stops, retries and reports. It is a
stranger: redirects are not followed, what it sends is bounded, and whatever it does, each generation ends with its
reason. One event loop on one thread serves every generation, so that a Stop closes its connection at once, whatever it
waits for: a closed connection is what tells such a server to stop computing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx2
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from model.engine.events import Counts, Finished, FinishReason, TextDelta, Timings
from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import NO_ANSWER, Generation, Load, ModelInfo, ModelUnusable, Options, QueueFull
from model.streaming.control_tags import without_control_tags
from model.streaming.server_fault import ServerFault, broken, unanswered
from model.streaming.server_stream import choices, chunks, count, delta
from model.streaming.thoughts import Thoughts

logger = logging.getLogger(__name__)

MOST = 128  # generations under way, more than are let in at once; the server batches and queues by itself
ATTEMPTS = 3  # to get a first answer; nothing is tried again once text has come
SILENCE_S = 60.0  # a server that sends nothing for longer counts as gone; reading a long prompt takes most of it
CONNECT_S = 10.0
THOUGHT_TOKENS = 1024  # more for a server whose model thinks before it answers
TOKEN_CHARS = 64  # the longest text of a token; a server that sends more than fits its limit is left
NO_TEXT = "The model server sent no text; please try again soon."
ASKS_TOO_MUCH = (400, 422, 500)  # statuses by which servers say that their template refuses a system message
NO_TOOL: dict[str, Any] = {  # servers only know "some tool" and "as you like"; this is how a model says none
    "type": "function",
    "function": {"name": "no_check", "description": "The request asks for no check of the host.",
                 "parameters": {"type": "object", "properties": {}}},
}  # fmt: skip


def checked_url(text: str) -> httpx2.URL:
    """Return the address to which a chat is posted, for the base address of a server. Raises ModelUnusable."""
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, TypeError, ValueError):
        url = httpx2.URL("")
    is_port = url.port is None or 0 < url.port < 2**16
    if not is_port or url.scheme not in ("http", "https") or not url.host or not text.isprintable() or " " in text:
        raise ModelUnusable(
            f"ENGINE_URL={text} is not the address of a server; write it like http://127.0.0.1:8000/v1."
        )
    path = url.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return url.copy_with(path=path)


class RemoteEngine:
    """The `Engine` over HTTP; url is the server's base, model its name there, "" for a server that has only one.

    Raises ModelUnusable for an address that is none.
    """

    def __init__(
        self, url: str, model: str = "", *, token: str = "", most: int = MOST, wait_s: float = 0.5,
        clean: Callable[[str], str] = str,
    ) -> None:  # fmt: skip
        """clean: what a visitor's own words become before they leave for the server."""
        self._clean = clean
        name = "" if model == "auto" else model
        self._url = checked_url(url)
        self.info = ModelInfo(name or "remote", f"{name or 'the model'} at {self._url.host}", 0)
        self.chat_template = self.bos = self.eos = ""
        self._model = name or "default"
        self._headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._folds = False  # its template refuses a system message
        self._thinks = False  # its model has thought before an answer
        # Whether a text may begin within a thought. Until one answer has shown that, an answer is passed on as a whole.
        self._may_open = True
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
        return Load(len(self._running), 0, 0.0 if self._thread.is_alive() else math.inf)

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
        progress = _Progress(Thoughts(may_open=self._may_open and not options.is_bound), options.max_tokens)
        reason: FinishReason = "error"
        error = ""
        try:
            async with asyncio.timeout(options.deadline_s):
                reason = await self._with_retries(prompt, options, generation, progress)
        except asyncio.CancelledError:
            reason = "cancelled"  # not raised again: only our own caller cancels this task
        except TimeoutError:
            reason = "deadline"
        except ServerFault as fault:
            logger.warning("the model server %s: %s", self._url.host, fault)
            error = str(fault)
        except Exception as failure:  # whatever it is, the visitor must not wait for ever
            logger.exception("the model server %s", self._url.host)
            error = str(broken(type(failure).__name__))
        self._learn(progress.thoughts, reason, options)
        for piece in progress.thoughts.rest():
            generation.put(TextDelta(piece))
            progress.pieces += 1
        if reason in ("stop", "length") and not progress.pieces and not options.tools:
            reason, error = "error", NO_ANSWER if progress.thoughts.found else NO_TEXT
        self._finish(generation, Finished(reason, progress.counts(), progress.timings(), error=error))

    def _learn(self, thoughts: Thoughts, reason: FinishReason, options: Options) -> None:
        """Remember how this server's answers begin."""
        self._thinks = self._thinks or thoughts.found
        if thoughts.lacked_opening:
            self._may_open = self._thinks = True
        elif reason == "stop" and not options.is_bound and not self._thinks:
            self._may_open = False

    def _finish(self, generation: Generation, last: Finished) -> None:
        with self._lock:
            self._running.discard(generation)
        generation.put(last)

    async def _with_retries(
        self, prompt: Prompt, options: Options, generation: Generation, progress: _Progress
    ) -> FinishReason:
        def is_passing(error: BaseException) -> bool:
            return isinstance(error, ServerFault) and error.passes and not progress.heard

        attempts = AsyncRetrying(
            retry=retry_if_exception(is_passing),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(initial=self._wait_s, max=4, jitter=self._wait_s),
            reraise=True,
        )
        try:
            return await attempts(self._once, prompt, options, generation, progress)
        except ServerFault as fault:
            if fault.status not in ASKS_TOO_MUCH or self._folds or prompt.messages[0][0] != "system":
                raise
            return await self._folded(fault, prompt, options, generation, progress)

    async def _folded(
        self, fault: ServerFault, prompt: Prompt, options: Options, generation: Generation, progress: _Progress
    ) -> FinishReason:
        """Ask once more with the system message in the visitor's first; some templates, e.g. Gemma 2's, refuse one."""
        self._folds = True
        try:
            return await self._once(prompt, options, generation, progress)
        except ServerFault as again:
            self._folds = again.status == 0  # else it was not for the system message
            raise (again if self._folds else fault) from again

    async def _once(
        self, prompt: Prompt, options: Options, generation: Generation, progress: _Progress
    ) -> FinishReason:
        """Run one request with a client of its own, because to close the client closes the stream."""
        reason: FinishReason = "stop"
        patience = httpx2.Timeout(SILENCE_S, connect=CONNECT_S)
        try:
            async with (
                httpx2.AsyncClient(headers=self._headers, timeout=patience, follow_redirects=False) as client,
                client.stream("POST", self._url, json=self._request(prompt, options)) as response,
            ):
                async for chunk in chunks(response):
                    progress.hear(chunk)
                    for choice in choices(chunk):
                        reason = "length" if choice.get("finish_reason") == "length" else reason
                        progress.call.hear(delta(choice))
                        if not options.tools and (text := progress.take(delta(choice).get("content"))):
                            generation.put(TextDelta(text))
                    if progress.is_over:
                        return "length"
        except (httpx2.HTTPError, OSError) as error:
            raise unanswered(error, SILENCE_S) from error
        if options.tools:
            generation.put(TextDelta(progress.call.text))
        return reason

    def _request(self, prompt: Prompt, options: Options) -> dict[str, Any]:
        sampling = options.sampling
        request: dict[str, Any] = {
            "messages": self._messages(prompt.worded(self._words)),
            "model": self._model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": options.max_tokens + (THOUGHT_TOKENS if self._thinks and not options.is_bound else 0),
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
            request["grammar"] = sampling.grammar  # llama-server alone reads GBNF
        return request

    def _words(self, segment: PromptSegment) -> str:
        """Return what the server is sent of a segment: nothing of it but our own rules is a control token there."""
        text = self._clean(segment.text) if segment.private else segment.text
        return text if segment.role == "system" else without_control_tags(text)

    def _messages(self, messages: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
        if self._folds and messages[0][0] == "system":
            (_, system), (role, first), *later = messages
            messages = ((role, f"{system}\n\n{first}"), *later)
        return [{"role": role, "content": text} for role, text in messages]


class _Call:
    """The tool call that comes in pieces; `text` is what an engine under a grammar would have written."""

    def __init__(self) -> None:
        self._name = self._arguments = ""

    def hear(self, delta: Mapping[str, Any]) -> None:
        """Take what a choice adds; one call a round, further ones are not looked at."""
        pieces = delta.get("tool_calls")
        for piece in pieces if isinstance(pieces, list) else ():
            function = piece.get("function") if isinstance(piece, Mapping) and not piece.get("index") else None
            if isinstance(function, Mapping):
                self._name += _text(function.get("name"))
                self._arguments += _text(function.get("arguments"))

    @property
    def text(self) -> str:
        """The call as JSON."""
        name = None if self._name in ("", NO_TOOL["function"]["name"]) else self._name
        return f'{{"name": {json.dumps(name)}, "arguments": {self._arguments or "{}" if name else "{}"}}}'


class _Progress:
    """The text, seconds and tokens of one generation."""

    def __init__(self, thoughts: Thoughts, max_tokens: int) -> None:
        self._start = time.monotonic()
        self._first: float | None = None
        self._usage: object = None  # the server's own count, which comes last
        self._chars = 0
        self._max_tokens = max_tokens
        self.heard = 0  # pieces of text, thoughts included: about a token each
        self.pieces = 0  # of the answer
        self.thoughts = thoughts
        self.call = _Call()

    def hear(self, chunk: Mapping[str, Any]) -> None:
        """Take a chunk's count of tokens, if it has one."""
        self._usage = chunk.get("usage") or self._usage

    def take(self, content: object) -> str:
        """Take a piece of text; return what it adds to the answer. Raises ServerFault for what is no text."""
        piece = _text(content)
        if not piece:
            return ""
        self._first = self._first or time.monotonic()
        self.heard += 1
        self._chars += len(piece)
        text = self.thoughts.feed(piece)
        self.pieces += bool(text)
        return text

    @property
    def is_over(self) -> bool:
        """True where more has come than was asked for: a server that knows no end."""
        most = self._max_tokens + THOUGHT_TOKENS
        return self.pieces > 2 * self._max_tokens or self.heard > most or self._chars > most * TOKEN_CHARS

    def counts(self) -> Counts:
        """Return the tokens: the server's count where it states one, else a token a piece."""
        prompt, cached = (
            count(self._usage, "prompt_tokens"),
            count(self._usage, "prompt_tokens_details", "cached_tokens"),
        )
        written = count(self._usage, "completion_tokens")
        prompt = prompt or 0
        return Counts(prompt, max(0, prompt - (cached or 0)), self.heard if written is None else written)

    def timings(self) -> Timings:
        """Return the seconds so far."""
        first = None if self._first is None else self._first - self._start
        return Timings(0.0, first, time.monotonic() - self._start)


def _text(content: object) -> str:
    """Return a text that a server sends, as such or in parts; raise ServerFault for anything else but null."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    parts: Iterable[object] = content if isinstance(content, list) else (content,)
    texts = [part.get("text") for part in parts if isinstance(part, Mapping) and part.get("type") == "text"]
    if not isinstance(content, list) or not all(isinstance(text, str) for text in texts):
        raise broken("a text that is none")
    return "".join(map(str, texts))
