"""llama.cpp's own server on the engine's workload, in this process: four slots, its defaults otherwise.

Seconds to the first token are the server's own `timings.prompt_ms`: with random weights the first tokens may be bytes
that are no character yet, and no text arrives for them.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import xllamacpp

from model.catalogue.choice import ModelFiles
from tests.benchmarks.workload import Message, workload
from tests.given_model import HELP, given_model

SLOTS, CELLS = 4, 4096  # cells of each slot, as large as a conversation may grow here


def main(argv: Sequence[str]) -> int:
    """Run the workload; print JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks server")
    parser.add_argument("--model", type=given_model, required=True, help=HELP)
    parser.add_argument("--visitors", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--peers", type=Path, help="the peers' script, to run its very texts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    system, message = workload(options.visitors, options.turns, options.peers)
    server = Server(options.model, options.threads)
    rows = list(_turns(server, options, system, message))
    read = [row for row in rows if row["read_tokens"] > 64]
    result = {
        "model": options.model.file_name,
        "sha256": options.model.digests(),
        "first_token_sum_s": round(sum(row["first_token_s"] for row in rows), 2),
        "rows": rows,
        "prefill_tokens_per_s": round(
            sum(row["read_tokens"] for row in read) / sum(row["first_token_s"] for row in read), 2
        ),
        "decode_tokens_per_s": _decode_together(server, system),
    }
    print(json.dumps(result, indent=None if options.json else 1))
    return 0


class Server:
    """The server in this process."""

    def __init__(self, model: ModelFiles, threads: int) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(model.path)
        if model.lora:
            adapter = xllamacpp.CommonAdapterLoraInfo()
            adapter.path, adapter.scale = str(model.lora), 1.0
            params.lora_adapters = [adapter]
        params.n_ctx, params.n_parallel = SLOTS * CELLS, SLOTS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        self._server = xllamacpp.Server(params)

    def ask(
        self, messages: Sequence[dict[str, str]], tokens: int, *, leaves: bool = False
    ) -> tuple[str, dict[str, float], float, float]:
        """The text, the server's timings, and when it started and ended; `leaves` goes away at the first words."""
        text, timings, start = "", dict[str, float](), time.monotonic()

        def hear(chunk: object) -> bool:
            nonlocal text
            for part in chunk if isinstance(chunk, list) else [chunk]:
                read = _read(part)
                choice = (read.get("choices") or [{}])[0]
                text += (choice.get("delta") or {}).get("content") or ""
                timings.update(read.get("timings") or {})
            if leaves and text:
                timings.setdefault("prompt_ms", 1000 * (time.monotonic() - start))
                return True
            return False

        request = {"messages": list(messages), "max_tokens": tokens, "stream": True, "temperature": 0.0}
        self._server.handle_chat_completions(request | {"ignore_eos": True, "cache_prompt": True}, hear)
        return text, timings, start, time.monotonic()


def _turns(server: Server, options: argparse.Namespace, system: str, message: Any) -> Iterator[dict[str, Any]]:
    history = {v: [{"role": "system", "content": system}] for v in range(options.visitors)}
    for turn in range(options.turns):
        for visitor, messages in history.items():
            messages.append({"role": "user", "content": _whole(message(visitor, turn))})
            text, timings, start, end = server.ask(messages, options.tokens)
            messages.append({"role": "assistant", "content": text or "yes"})
            row = {
                "turn": turn,
                "visitor": visitor,
                "first_token_s": round(timings["prompt_ms"] / 1000, 2),
                "total_s": round(end - start, 2),
                "read_tokens": int(timings["prompt_n"]),
            }
            print(row, file=sys.stderr, flush=True)
            yield row


def _decode_together(server: Server, system: str, tokens: int = 24) -> float:
    """Total tokens a second while four visitors' answers are written at once."""
    stamps: list[float] = []

    def read(number: int) -> None:
        asked = [{"role": "system", "content": system}, {"role": "user", "content": f"Short question {number}?"}]
        _, timings, _, end = server.ask(asked, tokens)
        stamps.extend((end - timings["predicted_ms"] / 1000, end))

    for visitors in ([0], range(SLOTS)):  # the first reads what all share
        stamps.clear()
        threads = [threading.Thread(target=read, args=(number,)) for number in visitors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return round(SLOTS * (tokens - 1) / (max(stamps) - min(stamps)), 2)


def _whole(message: Message) -> str:
    return message.opening + message.lead + message.rest + message.question


def _read(part: object) -> dict[str, Any]:
    if isinstance(part, dict):
        return part
    try:
        read = json.loads(part) if isinstance(part, str | bytes) else {}
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
