"""What laying passages costs an answer, on judged questions: facts, marked sentences, the first token's distribution.

    python -m tests.evals composed --model FILE.gguf --arms full3 laid3 full1 laid1 [--limit N] [--answers FILE] [--json]

An arm is `full` (all is read) or `laid` (passages were read alone, see `Sequences.lay_passage`), the number of passages,
`-last` where the lead stands last, and `@16` where states are kept as they were computed instead of packed. Every arm is
compared with the first one: intervals of 95 %, questions drawn again. Answers are greedy and judged as the page judges
them. Each is written as it ends, so that a second run goes on where the first one stopped, on another day as well.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.checking.answer_filter import AnswerFilter
from model.checking.gate import Gate, Judged
from model.checking.verdict import SentenceChecker
from model.engine.events import Finished, TextDelta
from model.engine.llama import ContextOptions, Llama
from model.engine.local import EngineOptions, LocalEngine
from model.engine.protocol import ModelInfo, Options, Sampling
from model.kv_cache.prefix_cache import PrefixCache, Snapshot
from model.prompting.assemble import heading, place, prompt_for, user_message
from model.prompting.conversation import Conversation
from model.prompting.system_prompts import PromptTexts, load_prompt_texts
from model.statements.evidence import Given
from model.turn.chat import chosen
from rag.embedding.embedder import Embedder
from rag.embedding.llama_runtime import c
from rag.reading.rows import read_rows
from rag.search.retriever import open_or_build
from rag.types import Passage
from tests.evals.facts import stated
from tests.evals.figures import Row, parser
from tests.given_model import HELP, given_model

HERE = Path(__file__).parent
CORPUS, PROMPTS = HERE.parents[1] / "rag" / "corpus", HERE.parents[1] / "onboarding" / "prompts"
QUESTIONS = [HERE / f"{name}.jsonl" for name in ("own_fresh", "visitors_fresh", "offered")]
RAM = 6_000_000_000  # bytes of states that all arms share
DRAWS = 2000  # of the questions, for an interval
LIKELIEST = 64  # first tokens whose probabilities are kept; the others count as one
_ARM = re.compile(r"(full|laid)([1-9])(-last)?(@16)?")


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to give a model the passages of a question."""

    name: str
    laid: bool
    passages: int
    lead_last: bool
    packed: bool

    @classmethod
    def parse(cls, name: str) -> Arm:
        """Return the arm of a name. Raises ValueError."""
        found = _ARM.fullmatch(name)
        if not found:
            raise ValueError(f"{name}: an arm is full1, laid3, laid3-last or laid3@16")
        return cls(name, found[1] == "laid", int(found[2]), bool(found[3]), not found[4])


class _Passages(PrefixCache):
    """Keeps passages for every arm, in the way that one asks for; forgets conversations, which belong to one arm."""

    packs = True

    def put(self, snapshot: Snapshot, *, private: bool, compact: bool = False) -> None:
        if not private and snapshot.is_exact:
            super().put(snapshot, private=False)

    def get(self, key: bytes) -> Snapshot | None:
        found = super().get(key)
        return found.packed() if found and self.packs else found


class _Listening(Llama):
    """Keeps the likeliest first tokens of every answer, in the order in which the answers were asked for."""

    def __init__(self, path: Path, options: ContextOptions, adapter: Path | None = None) -> None:
        super().__init__(path, options, adapter)
        self.first: dict[int, dict[str, float]] = {}  # number of the answer -> token -> natural logarithm
        self._answers: dict[int | None, int] = {}
        self._vocabulary = c.llama_vocab_n_tokens(self._vocab)

    def new_sampler(self, sampling: Sampling) -> object:
        sampler = super().new_sampler(sampling)
        self._answers[_address(sampler)] = len(self.first) + len(self._answers)
        return sampler

    def sample(self, sampler: object, row: int) -> int:
        number = self._answers.pop(_address(sampler), None)
        if number is not None:
            logits = c.llama_get_logits_ith(self._context, row)
            self.first[number] = likeliest(np.ctypeslib.as_array(logits, (self._vocabulary,)))
        return super().sample(sampler, row)


def _address(sampler: Any) -> int:
    return int(ctypes.cast(sampler, ctypes.c_void_p).value or 0)


def main(argv: Sequence[str]) -> int:
    """Answer what is not answered yet, print the figures of all arms."""
    options = _parser().parse_args(argv)
    arms = [Arm.parse(name) for name in options.arms]
    embedder, texts = Embedder(), load_prompt_texts(PROMPTS)
    retriever = open_or_build(CORPUS, options.index or options.data / "index", embedder)
    rows = [row for path in options.questions for row in read_rows(path, "question") if row.get("answer_facts")][
        : options.limit
    ]
    found = {row["question"]: retriever.search(row["question"], 5) for row in rows}
    rows = [row for row in rows if found[row["question"]].passages]
    options.answers.mkdir(parents=True, exist_ok=True)
    cache = _Passages(RAM)
    for arm in arms:
        _answer_all(arm, rows, found, cache, texts, options)
    answers = {arm.name: _read(options.answers, arm) for arm in arms}
    judged = {
        name: [_judge(row, found[row["question"]], given[row["question"]], embedder) for row in rows]
        for name, given in answers.items()
    }
    first = {name: [given[row["question"]]["first"] for row in rows] for name, given in answers.items()}
    figures = compare(judged, first) | {"model": options.model.file_name, "questions": len(rows)}
    print(json.dumps(figures, indent=None if options.json else 1))
    return 0


def _answer_all(
    arm: Arm, rows: Sequence[Row], found: dict[str, Any], cache: _Passages, texts: PromptTexts,
    options: argparse.Namespace,
) -> None:  # fmt: skip
    """Write the answers that an arm lacks, one JSON object a line."""
    known = _read(options.answers, arm)
    rows = [row for row in rows if row["question"] not in known]
    if not rows:
        return
    cache.packs = arm.packed
    context = ContextOptions(options.visitors * 1400, threads=options.threads, flash=not arm.laid)
    listening: list[_Listening] = []

    def opened() -> Llama:
        listening.append(_Listening(options.model.path, context, options.model.lora))
        return listening[0]

    model = ModelInfo("eval", "eval", 0, passages=arm.passages)
    settings = EngineOptions(slots=options.visitors, waiting=len(rows) + 1, composed=arm.laid)
    engine = LocalEngine(opened, cache if arm.laid else PrefixCache(10**8), model, settings)
    start = time.monotonic()
    try:
        given = [chosen(found[row["question"]].passages, model) for row in rows]
        asked = [user_message(row["question"], read[::-1] if arm.lead_last else read, cite=texts.cite)
                 for row, read in zip(rows, given, strict=True)]  # fmt: skip
        prompts = [prompt_for(engine, Conversation.new(), texts.brief, one) for one in asked]
        if arm.laid:
            alone = {part.text: one.alone(part) for one in prompts for part in one.segments if part.passage}
            engine.prewarm(list(alone.values()))
            while not engine.is_warm():
                time.sleep(0.1)
        limit = Options(max_tokens=options.tokens, sampling=Sampling(repeat_penalty=1.05), deadline_s=3600)
        generations = [engine.submit(one, limit) for one in prompts]
        for number, (row, generation) in enumerate(zip(rows, generations, strict=True)):
            text = ""
            for event in generation:
                text += event.text if isinstance(event, TextDelta) else ""
                last = event
            assert isinstance(last, Finished)
            counts = {"read": last.counts.read, "prompt": last.counts.prompt, "tokens": len(last.tokens)}
            answer = {"question": row["question"], "text": text, "reason": last.reason, **counts}
            with _file(options.answers, arm).open("a", encoding="utf-8") as file:
                file.write(json.dumps(answer | {"first": listening[0].first[number]}) + "\n")
            sys.stderr.write(f"\r{arm.name} {number + 1}/{len(rows)} {time.monotonic() - start:.0f} s ")
    finally:
        engine.close()


def _file(folder: Path, arm: Arm) -> Path:
    return folder / f"{arm.name}.jsonl"


def _read(folder: Path, arm: Arm) -> dict[str, dict[str, Any]]:
    path = _file(folder, arm)
    return {answer["question"]: answer for answer in read_rows(path, "question")} if path.exists() else {}


def _judge(row: Row, result: Any, answer: dict[str, Any], embedder: Embedder) -> dict[str, Any]:
    """Return the facts that the text states, and how many of its sentences stand, are marked and are left out."""
    given: list[Passage] = chosen(result.passages, ModelInfo("", "", 0))
    # Every arm is judged by the passages of the widest one: what an answer knows from none of them is marked.
    evidence = Given(tuple(f"{place(passage)}\n{passage.text}" for passage in given), (), row["question"])
    said = AnswerFilter()
    said.say(result.extract)
    said.expect(evidence, [heading(p) for p in given], Gate(SentenceChecker(evidence, before=said.answer)))
    pieces = [*said.feed(answer["text"]), *said.flush()]
    gate = said.gate
    assert gate is not None
    shown = "".join(piece for piece in pieces if isinstance(piece, str))
    facts = row["answer_facts"]
    return {
        "facts": stated(facts, shown, embedder.encode),
        "read": stated(facts, f"{result.extract}\n\n{shown}", embedder.encode),
        "standing": gate.standing,
        "marked": sum(isinstance(piece, Judged) and piece.kind == "not_found" for piece in pieces),
        "left_out": gate.left_out,
        "tokens": answer["tokens"],
        "fresh": answer["read"],
    }


def compare(judged: dict[str, list[dict[str, Any]]], first: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return each arm's figures, and its differences from the first arm with their intervals.

    first: what `likeliest` returned of each answer.
    """
    base = next(iter(judged))
    figures: dict[str, Any] = {}
    for name, items in judged.items():
        one: dict[str, Any] = {measure: round(take(items), 3) for measure, take in MEASURES.items()}
        one["sentences"] = sum(item["standing"] for item in items)
        one["facts_counted"] = sum(len(item["facts"]) for item in items)
        if name != base:
            one["against_" + base] = {
                measure: difference(take, items, judged[base]) for measure, take in MEASURES.items()
            }
            one["kl_median"], one["kl_p90"] = _divergences(first[base], first[name])
        figures[name] = one
    return {"arms": figures}


def _facts(items: Sequence[dict[str, Any]], name: str) -> float:
    hits = [hit for item in items for hit in item[name]]
    return sum(hits) / len(hits) if hits else 0.0


def _of_sentences(items: Sequence[dict[str, Any]], name: str) -> float:
    shown = sum(item["standing"] + (item["left_out"] if name == "left_out" else 0) for item in items)
    return sum(item[name] for item in items) / shown if shown else 0.0


MEASURES: dict[str, Callable[[Sequence[dict[str, Any]]], float]] = {
    "facts_in_text": lambda items: _facts(items, "facts"),
    "facts_in_extract_or_text": lambda items: _facts(items, "read"),
    "marked_of_shown": lambda items: _of_sentences(items, "marked"),
    "left_out_of_written": lambda items: _of_sentences(items, "left_out"),
    "tokens": lambda items: sum(item["tokens"] for item in items) / max(1, len(items)),
    "fresh_tokens": lambda items: sum(item["fresh"] for item in items) / max(1, len(items)),
}


def difference(
    take: Callable[[Sequence[dict[str, Any]]], float], items: list[dict[str, Any]], base: list[dict[str, Any]]
) -> tuple[float, float, float]:
    """Return a difference and the bounds of its 95 % interval; both arms answer the same drawn questions."""
    dice = random.Random(1)
    drawn = sorted(_drawn(take, items, base, dice))
    return (
        round(take(items) - take(base), 3),
        round(drawn[round(0.025 * DRAWS)], 3),
        round(drawn[round(0.975 * DRAWS) - 1], 3),
    )


def _drawn(
    take: Callable[[Sequence[dict[str, Any]]], float], items: list[dict[str, Any]], base: list[dict[str, Any]],
    dice: random.Random,
) -> Iterator[float]:  # fmt: skip
    for _ in range(DRAWS):
        places = dice.choices(range(len(items)), k=len(items))
        yield take([items[at] for at in places]) - take([base[at] for at in places])


def likeliest(logits: np.ndarray) -> dict[str, float]:
    """Return the LIKELIEST tokens of one row of logits: token -> natural logarithm of its probability."""
    shifted = logits.astype(np.float64) - logits.max()
    logs = shifted - np.log(np.exp(shifted).sum())
    return {str(token): round(float(logs[token]), 5) for token in np.argsort(-logs)[:LIKELIEST]}


def _divergences(base: Sequence[dict[str, float]], other: Sequence[dict[str, float]]) -> tuple[float, float]:
    """Return the median and the 90th percentile of KL(base || other) over the first tokens, in nats."""
    kl = [_divergence(one, two) for one, two in zip(base, other, strict=True)]
    return round(float(np.median(kl)), 4), round(float(np.quantile(kl, 0.9)), 4)


def _divergence(base: dict[str, float], other: dict[str, float]) -> float:
    """Return KL(base || other) over the tokens that both know, and all others as one."""
    shared = sorted(base.keys() & other.keys())
    p, q = (np.exp([one[token] for token in shared]) for one in (base, other))
    p, q = (np.append(one, max(1 - one.sum(), 1e-9)) for one in (p, q))
    return float((p * np.log(p / q)).sum())


def _parser() -> argparse.ArgumentParser:
    given = parser("composed", __doc__)
    given.add_argument("--model", type=given_model, required=True, help=f"what answers: {HELP}")
    given.add_argument("--arms", nargs="+", default=["full3", "laid3", "full1", "laid1"])
    given.add_argument("--questions", type=Path, nargs="+", default=QUESTIONS)
    given.add_argument("--limit", type=int, help="only the first N questions with facts")
    given.add_argument("--tokens", type=int, default=110, help="of an answer, at most")
    given.add_argument("--visitors", type=int, default=8, help="questions answered at once, in one batch")
    given.add_argument("--threads", type=int, default=2)
    given.add_argument("--index", type=Path, help="folder of an index of our pages; built when left out")
    given.add_argument("--data", type=Path, default=Path(".data"), help="folder for an index")
    given.add_argument("--answers", type=Path, default=Path(".data/composed"), help="folder for the answers")
    return given
