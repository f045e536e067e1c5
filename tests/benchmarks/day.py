"""A day of visitors, replayed on our engine and on llama.cpp's server with the same prompts.

    python -m tests.benchmarks day --model FILE [--hours 8 --visitors N --seed S] [--peer] [--json]

The log is made from the judged questions: what the page offers is asked often, by Zipf's law, what our pages list now
and then, what visitors made up once. A conversation has one to six turns, which stay on a page; some visitors come in
bursts, and some leave in the middle of an answer. Passages are those that a search finds. Time is compressed where
nothing runs: while the engine reads ahead it passes as it does. --data keeps the prefix cache between runs; --disk-mb
caps it; --ahead is the number of passages read ahead before the day begins, the most likely first, or "log" for those
that will be asked for: as if all had been read, in less time. `curve` reckons without computing which tokens would be
read with smaller caps.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.catalogue.load import MB, EngineLimits, open_engine
from model.engine.events import Finished, TextDelta
from model.engine.local import LocalEngine
from model.engine.protocol import ModelInfo, Options
from model.prompting.assemble import passage_text, prompt_for, user_message
from model.prompting.conversation import Conversation, MessagePart, PastTurn
from model.prompting.system_prompts import PromptTexts, load_prompt_texts
from model.turn.chat import chosen
from model.turn.prewarm import warm_prompts
from rag.embedding.embedder import Embedder
from rag.index.store import load
from rag.search.retriever import Retriever, open_or_build
from rag.types import Passage
from tests.benchmarks.server import Server
from tests.benchmarks.workload import CORPUS
from tests.given_model import HELP, given_model

EVALS = Path(__file__).parents[1] / "evals"
PROMPTS = Path(__file__).parents[2] / "onboarding" / "prompts"
OFFERED, LISTED = 0.5, 0.3  # shares of what opens a conversation; the rest was made up by visitors
MOST_TURNS = 6
LEAVES = 0.1  # of the turns are left in the middle
BURST = 0.25  # of the visits come within seconds of the one before
CAPS = (0, 500, 1000, 2000, 3000, 5000, 8000)  # MB of the curve
PACKED_SHARE = 2.95 / 16  # of a state's bytes in f16, as found on Qwen2.5-Coder-1.5B, see model.kv_cache.state


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a visitor."""

    asked: tuple[MessagePart, ...]
    pause_s: float  # from the answer before
    leaves: bool


@dataclass(order=True, slots=True)
class Visit:
    """One conversation; mutable, because it goes on."""

    at_s: float  # of its next turn
    number: int
    turns: list[Turn] = field(compare=False)
    conversation: Conversation = field(compare=False, default_factory=Conversation.new)


def main(argv: Sequence[str]) -> int:
    """Replay the day; print JSON."""
    options = _parser().parse_args(argv)
    embedder, texts = Embedder(), load_prompt_texts(PROMPTS)
    retriever = Retriever(load(options.index, embedder), embedder) if options.index else open_or_build(
        CORPUS, options.data / "index", embedder, lambda *_: None
    )  # fmt: skip
    visits = log(options, retriever, texts)
    result: dict[str, Any] = {
        "model": options.model.file_name, "visits": len(visits), "turns": sum(len(visit.turns) for visit in visits)
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        data = options.data if options.keep else Path(folder)
        result["ours"] = _ours(options, data, visits, retriever, texts, result)
    if options.peer:
        result["llama-server"] = _theirs(options, log(options, retriever, texts), texts)
        result["ratio_p50"] = round(
            result["ours"]["first_token_s"]["p50"] / result["llama-server"]["first_token_s"]["p50"], 3
        )
    print(json.dumps(result, indent=None if options.json else 1))
    return 0


def log(options: argparse.Namespace, retriever: Retriever, texts: PromptTexts) -> list[Visit]:
    """Return the visits of the day in order; the same for the same seed."""
    dice = random.Random(options.seed)
    offered, listed, once = _rows("offered"), _rows("own_corpus"), _rows("visitors_fresh") + _rows("own_fresh")
    dice.shuffle(offered)
    dice.shuffle(once)
    weights = [1 / (rank + 1) for rank in range(len(offered))]
    found: dict[str, list[Passage]] = {}
    model = ModelInfo(options.model.path.stem, "", 0, passages=options.passages)

    def turn(row: dict[str, Any], pause_s: float) -> Turn:
        question = row["question"]
        if question not in found:
            found[question] = chosen(retriever.search(question, 5).passages, model)
        return Turn(user_message(question, found[question], cite=texts.cite), pause_s, dice.random() < LEAVES)

    visits, at_s = [], 0.0
    for number in range(options.visitors):
        gap = (
            dice.uniform(1, 20) if dice.random() < BURST else dice.expovariate(options.visitors / options.hours / 3600)
        )
        at_s += gap
        draw = dice.random()
        if draw < OFFERED or not once:
            opening = dice.choices(offered, weights)[0]
        else:
            opening = dice.choice(listed) if draw < OFFERED + LISTED else once.pop()
        rows = [opening]
        near = [row for row in listed if row.get("page") == opening.get("page")]
        for _ in range(min(int(dice.expovariate(0.6)), MOST_TURNS - 1)):
            rows.append(dice.choice(near or listed))
        visits.append(Visit(at_s, number, [turn(row, dice.uniform(5, 60)) for row in rows]))
    return visits


def _rows(name: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (EVALS / f"{name}.jsonl").read_text().splitlines()]
    return [row for row in rows if row.get("kind") != "unanswerable"]


# --- ours ----------------------------------------------------------------------------------------------


def _ours(
    options: argparse.Namespace, data: Path, visits: list[Visit], retriever: Retriever, texts: PromptTexts,
    result: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    limits = EngineLimits(disk_bytes=options.disk_mb * MB, composed=not options.exact, threads=options.threads)
    engine = open_engine(options.model.path, data, limits, adapter=options.model.adapter)
    try:
        result["curve"] = curve(engine, visits, retriever, texts)
        wanted = dict.fromkeys(
            part.text for visit in visits for turn in visit.turns for part in turn.asked if part.passage
        )
        if options.ahead == "log":
            likely = [passage for passage in retriever.likely() if passage_text(passage) in wanted]
        else:
            likely = retriever.likely()[: int(options.ahead)]
        ahead = warm_prompts(engine, texts, None, passages=likely)
        start = time.monotonic()
        engine.prewarm(ahead)
        while not engine.is_warm():
            time.sleep(0.05)
        ahead_s = time.monotonic() - start
        replay = Replay(visits, lambda visit, turn: _answer(engine, texts, options, visit, turn), engine.is_warm)
        rows = replay.run()
        while not engine.is_warm():
            time.sleep(0.05)
    finally:
        engine.close()
    files = [file.stat().st_size for file in (data / "prefix-cache").glob("*/*.kv")]
    return _figures(rows) | {
        "different_passages": len(wanted),
        "read_ahead_before_s": round(ahead_s, 1), "read_ahead_between_s": round(replay.idle_s, 1),
        "states": len(files), "disk_mb": round(sum(files) / MB, 1),
    }  # fmt: skip


def _answer(
    engine: LocalEngine, texts: PromptTexts, options: argparse.Namespace, visit: Visit, turn: Turn
) -> dict[str, Any]:
    prompt = prompt_for(engine, visit.conversation, texts.brief, turn.asked)
    generation = engine.submit(prompt, Options(max_tokens=options.tokens, ignore_end=True, deadline_s=1000))
    last = Finished("error")
    for event in generation:
        if isinstance(event, Finished):
            last = event
        elif turn.leaves and isinstance(event, TextDelta):
            generation.cancel()
    past = PastTurn("", "", "", turn.asked, last.tokens, engine.info.name)
    visit.conversation = visit.conversation.with_turn(past, dropped=last.dropped_turns)
    return {"first": last.timings.first_token_s, "end": last.timings.total_s, "read": last.counts.read,
            "prompt": last.counts.prompt, "reason": last.reason}  # fmt: skip


def curve(
    engine: LocalEngine, visits: Sequence[Visit], retriever: Retriever, texts: PromptTexts
) -> list[dict[str, float]]:
    """Return for each cap of the disk the tokens that a turn would read, median and 95th percentile.

    Passages are read ahead in order of their likelihood until the cap, those that were asked for are read afterwards,
    and those used longest ago go. Tokens of earlier turns are known.
    """
    token_bytes = engine._sequences._token_bytes or _bytes_of_a_token(engine, texts)

    def places(asked: Sequence[MessagePart]) -> tuple[int, list[tuple[bytes, int]]]:
        whole = prompt_for(engine, Conversation.new(), texts.brief, asked)
        encoded = whole.encode(lambda text, control: engine._llama.tokenize(text, control=control), 10**6)
        found = [(place.key, place.end - place.start) for place in encoded.places]
        opening = encoded.boundaries[1] if found else encoded.boundaries[0]
        return len(encoded.tokens) - opening - sum(count for _, count in found), found

    order = [place for passage in retriever.likely() for place in places(user_message("", [passage]))[1]]
    turns = [places(turn.asked) for visit in visits for turn in visit.turns]
    rows = []
    for cap in CAPS:
        held: OrderedDict[bytes, int] = OrderedDict()
        room = cap * MB / (token_bytes * PACKED_SHARE)
        for key, count in order:
            if sum(held.values()) + count > room:
                break
            held[key] = count
        reads = []
        for rest, found in turns:
            reads.append(rest + sum(count for key, count in found if key not in held))
            for key, count in found:
                held[key] = count
                held.move_to_end(key)
            while sum(held.values()) > room and held:
                held.popitem(last=False)
        rows.append({"cap_mb": cap, "read_p50": statistics.median(reads), "read_p95": _quantile(reads, 0.95)})
    whole = sum(count for _, count in order) * token_bytes * PACKED_SHARE / MB
    return [*rows, {"all_passages_mb": round(whole), "all_passages_tokens": sum(count for _, count in order)}]


def _bytes_of_a_token(engine: LocalEngine, texts: PromptTexts) -> float:
    engine.prewarm(warm_prompts(engine, texts, None))
    while not engine.is_warm():
        time.sleep(0.05)
    return engine._sequences._token_bytes


# --- llama.cpp's server --------------------------------------------------------------------------------


def _theirs(options: argparse.Namespace, visits: list[Visit], texts: PromptTexts) -> dict[str, Any]:
    server = Server(options.model, options.threads)
    history: dict[int, list[dict[str, str]]] = {}

    def answer(visit: Visit, turn: Turn) -> dict[str, Any]:
        messages = history.setdefault(visit.number, [{"role": "system", "content": texts.brief}])
        messages.append({"role": "user", "content": "".join(part.text for part in turn.asked)})
        text, timings, start, end = server.ask(messages, options.tokens, leaves=turn.leaves)
        messages.append({"role": "assistant", "content": text or "yes"})
        first = timings["prompt_ms"] / 1000 if "prompt_ms" in timings else None
        return {"first": first, "end": end - start, "read": int(timings.get("prompt_n", 0)), "prompt": 0,
                "reason": "length" if timings else "cancelled"}  # fmt: skip

    return _figures(Replay(visits, answer, lambda: True).run())


# --- the clock -----------------------------------------------------------------------------------------


class Replay:
    """Plays a log; the clock of the log jumps to the next question where nothing runs."""

    def __init__(
        self, visits: list[Visit], answer: Callable[[Visit, Turn], dict[str, Any]], is_quiet: Callable[[], bool]
    ) -> None:
        self._events = list(visits)
        heapq.heapify(self._events)
        self._answer = answer
        self._is_quiet = is_quiet
        self._rows: list[dict[str, Any]] = []
        self._running = 0
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._jumped = 0.0
        self.idle_s = 0.0  # spent reading ahead while nobody waited

    def run(self) -> list[dict[str, Any]]:
        """Return a row for each turn."""
        while True:
            with self._lock:
                running, due = self._running, self._events[0].at_s if self._events else None
            if due is not None and due <= self._now():
                self._begin()
            elif running:
                time.sleep(0.005)
            elif due is None:
                return self._rows
            elif not self._is_quiet():
                before = time.monotonic()
                time.sleep(min(0.02, max(0.0, due - self._now())))
                self.idle_s += time.monotonic() - before
            else:
                self._jumped += due - self._now()

    def _now(self) -> float:
        return time.monotonic() - self._start + self._jumped

    def _begin(self) -> None:
        with self._lock:
            visit = heapq.heappop(self._events)
            self._running += 1
            alone = self._running == 1
        threading.Thread(target=self._turn, args=(visit, visit.turns.pop(0), alone), daemon=True).start()

    def _turn(self, visit: Visit, turn: Turn, alone: bool) -> None:
        row = self._answer(visit, turn) | {"alone": alone}
        print(row, file=sys.stderr, flush=True)
        with self._lock:
            self._rows.append(row)
            self._running -= 1
            if visit.turns:
                visit.at_s = self._now() + visit.turns[0].pause_s
                heapq.heappush(self._events, visit)


def _figures(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    begun = [row for row in rows if row["first"] is not None]
    alone = [row for row in begun if row["alone"]]
    ended = [row for row in begun if row["reason"] != "cancelled"]
    return {
        "turns": len(rows), "left": len(rows) - len(ended),
        "first_token_s": _spread([row["first"] for row in begun]),
        "first_token_alone_s": _spread([row["first"] for row in alone]),
        "end_s": _spread([row["end"] for row in ended]),
        "read_tokens": _spread([float(row["read"]) for row in begun]),
    }  # fmt: skip


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"n": len(values), "p50": round(statistics.median(values), 2), "p95": round(_quantile(values, 0.95), 2)}


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks day", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=given_model, required=True, help=HELP)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=24, help="of each answer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passages", type=int, default=0, help="of each question, 0 for the usual number")
    parser.add_argument("--index", type=Path, help="folder of an index of our pages; built when left out")
    parser.add_argument(
        "--data", type=Path, default=Path(".data"), help="folder for the index, and the cache with --keep"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the prefix cache in --data, and begin with what is there"
    )
    parser.add_argument("--disk-mb", type=int, default=3000)
    parser.add_argument("--ahead", default="0", help='passages read before the day begins, or "log"')
    parser.add_argument("--exact", action="store_true", help="lay nothing: only prefixes are reused")
    parser.add_argument("--peer", action="store_true", help="replay on llama.cpp's server as well")
    parser.add_argument("--json", action="store_true")
    return parser
