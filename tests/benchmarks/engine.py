"""Time to first token, decoding together, pauses and stopping, of the engine alone."""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from model.engine.events import Finished, TextDelta
from model.engine.llama import ContextOptions, Llama
from model.engine.local import EngineOptions, LocalEngine
from model.engine.prompt import Prompt, PromptSegment
from model.engine.protocol import Generation, ModelInfo, Options, Sampling
from model.kv_cache.prefix_cache import DiskTier, PrefixCache
from model.prompting.template import ChatTemplate
from tests.benchmarks.workload import Message, prompt, workload
from tests.given_model import HELP, given_model

MB = 1_000_000
LETTERS = "root ::= [a-z ] root"  # every token then is text at once, and none ends it


def main(argv: Sequence[str]) -> int:
    """Run the workload; print JSON, or a short table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks engine")
    parser.add_argument("--model", type=given_model, required=True, help=HELP)
    parser.add_argument("--visitors", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--peers", type=Path, help="the peers' script, to run its very texts")
    parser.add_argument("--kv", default="f16", choices=["f16", "q8_0"])
    parser.add_argument("--repack", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--composed", action="store_true", help="read the passages ahead and lay them")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        result = Bench(options, Path(folder)).run()
    print(json.dumps(result, indent=None if options.json else 1))
    return 0


class Bench:
    """One run over one model file."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._system, self._message = workload(options.visitors, options.turns, options.peers)

    def run(self) -> dict[str, Any]:
        """All parts in turn; seconds, tokens and bytes."""
        engine = self._open()
        self._warm(engine, self._conversation([], []))
        ahead_s = self._read_ahead(engine) if self._options.composed else 0.0
        rows = list(self._turns(engine))
        result: dict[str, Any] = {
            "model": self._options.model.file_name,
            "sha256": self._options.model.digests(),
            "machine": _machine(self._options.threads),
            "first_token_sum_s": round(sum(row["first_token_s"] for row in rows), 2),
            "read_ahead_s": round(ahead_s, 1),
            "rows": rows,
            "warm_lead_first_token_s": self._warm_lead(engine),
            "decode_tokens_per_s": self._decode_together(engine),
            **self._pause_and_stop(engine),
            "rss_mb": round(psutil.Process().memory_info().rss / MB),
        }
        engine.close()
        result["restart_read_tokens"] = self._restart()
        result["restored_equals_computed"] = self._compare_restored()
        reads = [row for row in rows if row["read_tokens"] > 64]
        if reads:  # none where passages are laid
            rate = sum(row["read_tokens"] for row in reads) / sum(row["first_token_s"] for row in reads)
            result["prefill_tokens_per_s"] = round(rate, 2)
        return result

    def _open(self, folder: Path | None = None) -> LocalEngine:
        context = ContextOptions(
            8192,
            threads=self._options.threads,
            kv_type=self._options.kv,
            repack=self._options.repack,
            flash=not self._options.composed,
        )
        disk = DiskTier(folder or self._folder, f"{self._options.model.digests()} {context}", 2000 * MB)
        cache = PrefixCache(512 * MB, disk)
        info = ModelInfo("bench", "bench", 0)
        options = EngineOptions(composed=self._options.composed)
        engine = LocalEngine(
            lambda: Llama(self._options.model.path, context, self._options.model.lora), cache, info, options
        )
        self._template = ChatTemplate(engine.chat_template, engine.bos, engine.eos)
        return engine

    def _conversation(self, messages: Sequence[Message], answers: Sequence[tuple[int, ...]]) -> Prompt:
        return prompt(self._template, self._system, messages or [Message("")], answers)

    def _warm(self, engine: LocalEngine, *prompts: Prompt) -> None:
        engine.prewarm(list(prompts))
        while not engine.is_warm():
            time.sleep(0.1)

    def _read_ahead(self, engine: LocalEngine) -> float:
        """Read every passage of the workload once; return the seconds."""
        start, options = time.monotonic(), self._options
        whole = [
            self._conversation([self._message(visitor, turn)], [])
            for visitor in range(options.visitors)
            for turn in range(options.turns)
        ]
        self._warm(engine, *(one.alone(part) for one in whole for part in one.segments if part.passage))
        return time.monotonic() - start

    def _turns(self, engine: LocalEngine) -> Iterator[dict[str, Any]]:
        asked: dict[int, list[Message]] = {v: [] for v in range(self._options.visitors)}
        answers: dict[int, list[tuple[int, ...]]] = {v: [] for v in range(self._options.visitors)}
        for turn in range(self._options.turns):
            for visitor in asked:
                asked[visitor].append(self._message(visitor, turn))
                last = _finish(engine.submit(self._conversation(asked[visitor], answers[visitor]), self._limit()))
                answers[visitor].append(last.tokens)
                row = {"turn": turn, "visitor": visitor, **_figures(last)}
                print(row, file=sys.stderr, flush=True)
                yield row

    def _limit(self) -> Options:
        return Options(max_tokens=self._options.tokens, ignore_end=True, deadline_s=1000)

    def _warm_lead(self, engine: LocalEngine) -> float:
        """A question whose lead passage is warm and the only one."""
        message = self._message(0, self._options.turns + 3)
        lead = replace(message, rest="", question="")
        self._warm(engine, self._conversation([lead], []))
        last = _finish(engine.submit(self._conversation([replace(message, rest="")], []), self._limit()))
        return round(last.timings.first_token_s or 0.0, 2)

    def _decode_together(self, engine: LocalEngine, visitors: int = 4, tokens: int = 24) -> float:
        """Total tokens a second while four visitors' answers are written at once."""
        options = Options(max_tokens=tokens, ignore_end=True, deadline_s=1000)
        stamps: list[float] = []

        def read(generation: Generation) -> None:
            for event in generation:
                if isinstance(event, Finished):
                    stamps.append(time.monotonic() - (event.timings.total_s - (event.timings.first_token_s or 0)))
                    stamps.append(time.monotonic())

        questions = [self._conversation([Message(f"Short question {i}?")], []) for i in range(visitors)]
        threads = [threading.Thread(target=read, args=(engine.submit(q, options),)) for q in questions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return round(visitors * (tokens - 1) / (max(stamps) - min(stamps)), 2)

    def _pause_and_stop(self, engine: LocalEngine) -> dict[str, float]:
        """A reader's longest pause while a prompt of ~1,000 tokens is read; then that prefill is stopped."""
        # Held to letters: a model with random weights writes many bytes that are no characters, and so no events.
        options = Options(120, Sampling(temperature=1.0, seed=1, grammar=LETTERS), deadline_s=1000)
        reader = engine.submit(self._conversation([Message("Tell me more.")], []), options)
        events = iter(reader)
        next(event for event in events if isinstance(event, TextDelta))
        stamps = [time.monotonic()]
        text = " ".join(
            self._message(0, turn).rest for turn in range(self._options.turns + 5, self._options.turns + 13)
        )
        long = Prompt((PromptSegment(text[: 1000 * 6], boundary=True), PromptSegment("?", private=True)))
        other = engine.submit(long, self._limit())
        for event in events:
            if isinstance(event, TextDelta):
                stamps.append(time.monotonic())
        pause = max(b - a for a, b in itertools.pairwise(stamps))
        time.sleep(1.0)
        return {"longest_pause_s": round(pause, 2), "stop_until_idle_s": _stop(other)}

    def _restart(self) -> int:
        """Tokens read for the first question again, by a new engine over the same cache folder."""
        engine = self._open()
        last = _finish(engine.submit(self._conversation([self._message(0, 0)], []), self._limit()))
        engine.close()
        return last.counts.read

    def _compare_restored(self, tokens: int = 64) -> bool:
        """Whether an answer behind a restored system prompt and lead passage is the one behind computed ones, to the token."""
        question = self._conversation([self._message(1, 0)], [])
        options = Options(max_tokens=tokens, ignore_end=True, deadline_s=1000)
        written = []
        for _ in range(2):  # over an empty folder, then over what that left there
            engine = self._open(self._folder / "compared")
            written.append(_finish(engine.submit(question, options)))
            engine.close()
        computed, restored = written
        return computed.tokens == restored.tokens and restored.counts.read < computed.counts.read


def _stop(generation: Generation) -> float:
    """Seconds from cancelling until the process uses next to no CPU."""
    process, start = psutil.Process(), time.monotonic()
    generation.cancel()
    while time.monotonic() - start < 5:
        before = sum(process.cpu_times()[:2])
        time.sleep(0.05)
        if sum(process.cpu_times()[:2]) - before < 0.02:
            break
    return round(time.monotonic() - start, 2)


def _machine(threads: int) -> str:
    """Return how many threads of which processor, for a table that compares machines."""
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    except OSError:  # no Linux
        rows = {}
    named = {key.strip(): value.strip() for key, value in rows.items()}.get("model name") or platform.processor()
    return f"{threads} threads of {named or 'a processor without a name'} ({platform.machine()})"


def _finish(generation: Generation) -> Finished:
    return next(event for event in generation if isinstance(event, Finished))


def _figures(last: Finished) -> dict[str, Any]:
    return {
        "first_token_s": round(last.timings.first_token_s or 0.0, 2),
        "total_s": round(last.timings.total_s, 2),
        "prompt_tokens": last.counts.prompt,
        "read_tokens": last.counts.read,
    }
