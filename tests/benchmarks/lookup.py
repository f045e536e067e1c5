"""Whether speculative decoding by prompt lookup would pay: what it would accept on grounded answers, at what cost.

The draft is what followed the latest earlier occurrence of the last `ngram` tokens, in the prompt or the answer so
far. Under greedy sampling acceptance is certain: a draft counts as far as it equals the answer itself. So answers are
written once and replayed. A step over r rows of one sequence costs cost[r]; those are measured, on the model whose
speed matters.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.catalogue.choice import ModelFiles
from model.engine.events import Finished
from model.engine.llama import BatchRow, ContextOptions, Llama
from model.engine.local import LocalEngine
from model.engine.prompt import Prompt
from model.engine.protocol import ModelInfo, Options
from model.kv_cache.prefix_cache import PrefixCache
from model.prompting.assemble import prompt_for, user_message
from model.prompting.conversation import Conversation
from model.prompting.system_prompts import PromptTexts, load_prompt_texts
from model.turn.chat import chosen
from rag.embedding.embedder import Embedder
from rag.reading.rows import read_rows
from rag.search.retriever import Retriever, open_or_build
from tests.given_model import HELP, given_model

ROOT = Path(__file__).parents[2]
MB = 1_000_000
LONGEST_DRAFT = 4
REPEATS = 9  # timings of a step; the median counts


def main(argv: Sequence[str]) -> int:
    """Print what each draft length and n-gram would gain, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks lookup")
    parser.add_argument("--model", type=given_model, required=True, help=f"writes the answers: {HELP}")
    parser.add_argument("--cost-model", type=given_model, help="times the steps; the same where not given")
    parser.add_argument("--questions", type=Path, default=ROOT / "tests" / "evals" / "own_corpus.jsonl")
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    costs = step_costs(options.cost_model or options.model, options.threads)
    written = answers(options)
    print(
        json.dumps(
            {
                "model": options.model.file_name,
                "cost_model": (options.cost_model or options.model).file_name,
                "answers": len(written),
                "cost_of_rows": [round(cost / costs[1], 2) for cost in costs[1:]],
                "settings": [
                    gain(written, ngram, draft, costs) for ngram in (2, 3) for draft in range(1, LONGEST_DRAFT + 1)
                ],
            },
            indent=1,
        )
    )
    return 0


def gain(
    written: Sequence[tuple[list[int], list[int]]], ngram: int, draft: int, costs: Sequence[float]
) -> dict[str, Any]:
    """How much faster all answers together would be written; above 1 is a win."""
    plain = speculated = steps = tokens = 0.0
    for prompt, answer in written:
        rows = replay(prompt, answer, ngram, draft)
        plain += len(answer) * costs[1]
        speculated += sum(costs[count] for count in rows)
        steps, tokens = steps + len(rows), tokens + len(answer)
    return {
        "ngram": ngram,
        "draft": draft,
        "tokens_a_step": round(tokens / steps, 2),
        "speed": round(plain / speculated, 2),
    }


def replay(prompt: Sequence[int], answer: Sequence[int], ngram: int, draft: int) -> list[int]:
    """The rows of each step that writing `answer` would take."""
    known, at, rows = list(prompt), 0, []
    while at < len(answer):
        proposed = lookup(known, ngram, draft)
        accepted = 0
        while accepted < min(len(proposed), len(answer) - at - 1) and proposed[accepted] == answer[at + accepted]:
            accepted += 1
        rows.append(1 + len(proposed))
        known += answer[at : at + accepted + 1]
        at += accepted + 1
    return rows


def lookup(known: Sequence[int], ngram: int, draft: int) -> list[int]:
    """What followed the latest earlier occurrence of the last `ngram` tokens, at most `draft` tokens of it."""
    tail = list(known[-ngram:])
    for start in range(len(known) - ngram - 1, -1, -1):
        if list(known[start : start + ngram]) == tail:
            return list(known[start + ngram : start + ngram + draft])
    return []


def step_costs(model: ModelFiles, threads: int) -> list[float]:
    """Median seconds of a step of r rows behind a prompt of 600 tokens, at index r; index 0 is unused."""
    llama = Llama(model.path, ContextOptions(cells=2048, sequences=2, threads=threads), model.lora)
    prompt = [1000 + i % 500 for i in range(600)]
    for start in range(0, 600, 200):
        llama.decode([BatchRow(prompt[i], i, 0) for i in range(start, start + 200)])
    costs = [0.0]
    for count in range(1, LONGEST_DRAFT + 2):
        took = []
        for _ in range(REPEATS):
            before = time.monotonic()
            llama.decode([BatchRow(1234 + i, 600 + i, 0, logits=True) for i in range(count)])
            took.append(time.monotonic() - before)
            llama.forget(0, 600, -1)
        costs.append(statistics.median(took))
    llama.close()
    return costs


def answers(options: argparse.Namespace) -> list[tuple[list[int], list[int]]]:
    """(prompt, answer) of grounded questions as token ids, written greedily."""
    rows = read_rows(options.questions, "question", "kind")
    questions = [row["question"] for row in rows if row["kind"] != "unanswerable"][: options.limit]
    texts = load_prompt_texts(ROOT / "onboarding" / "prompts")
    context = ContextOptions(cells=4096, threads=options.threads)
    info = ModelInfo("bench", "bench", 0)
    engine = LocalEngine(lambda: Llama(options.model.path, context, options.model.lora), PrefixCache(256 * MB), info)
    tokenizer = Llama(options.model.path, ContextOptions(cells=256, sequences=2))  # the engine's belongs to its thread
    written = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            retriever = open_or_build(ROOT / "rag" / "corpus", Path(folder) / "index", Embedder())
            for question in questions:
                prompt = _prompt(engine, retriever, texts, question)
                events = engine.submit(prompt, Options(options.tokens, deadline_s=600))
                last = next(event for event in events if isinstance(event, Finished))
                read = prompt.encode(lambda text, control: tokenizer.tokenize(text, control=control), context.cells)
                written.append((read.tokens, list(last.tokens)))
    finally:
        engine.close()
        tokenizer.close()
    return written


def _prompt(engine: LocalEngine, retriever: Retriever, texts: PromptTexts, question: str) -> Prompt:
    passages = chosen(retriever.search(question).passages, engine.info)
    asked = user_message(question, passages, cite=texts.cite)
    return prompt_for(engine, Conversation.new(), texts.brief, asked)
