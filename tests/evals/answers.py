"""Whole turns measured on judged questions, with a model: routed, retrieved, answered, checked.

    python -m tests.evals answers --model NAME|FILE.gguf[+ADAPTER] [--questions FILE.jsonl ...] [--limit N] [--json]

A row has `question`, `kind` ("unanswerable" or another) and `answer_facts`. The answers are written in full to --answers
as they come, one JSON object a line, each with what was marked and left out at which place of its text; a second run
goes on where the first one stopped. Without --corpus or --index the turns run over our own pages, as a visitor meets
them. The facts that a visitor reads are those of the extract and of the text, without the sentences left out.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from model.catalogue.choice import chosen_model, model_files
from model.catalogue.load import EngineLimits
from model.checking.answer_filter import AnswerFilter
from model.checking.gate import Gate, Judged
from model.checking.verdict import SentenceChecker
from model.engine.events import Prefill, TextDelta
from model.engine.protocol import ModelInfo
from model.prompting.assemble import place
from model.prompting.conversation import Conversation
from model.statements.evidence import Given
from model.turn.chat import TurnRecord, chosen
from model.turn.events import Notice, RouteChosen, SourcesFound, ToolFinished, TurnEvent, TurnFinished
from onboarding.assistant.guide import Guide
from onboarding.assistant.parts import Parts, PartsSettings
from rag.embedding.embedder import Embedder
from rag.index.build import build
from rag.reading.rows import read_rows
from tests.evals.facts import stated
from tests.evals.figures import Row, parser, show

OWN = Path(__file__).with_name("own_corpus.jsonl")
LOADING_S = 900.0  # a model of a few gigabytes, and an index that may have to be built first
POLL_S = 0.2
CITATION = re.compile(r"\[\d+\]")
ANY_MODEL = ModelInfo("", "", 0)  # whatever fewer passages a model reads, its words are judged by these
SAYS_NOTHING = re.compile(
    r"(?:n't|\b(?:no|not|never|nothing|cannot|without))\b[^.!?\n]{0,60}"
    r"\b(?:sa(?:y|id)|speak|mention|cover|describe|state|contain|provide|hold|include|specif|tell|document|answer)"
)


def main(argv: Sequence[str]) -> int:
    """Load the parts, run the turns that are not done yet, print the figures of all."""
    options = _parser().parse_args(argv)
    given = {path: read_rows(path)[: options.limit] for path in options.questions}
    rows = [row for found in given.values() for row in found]
    done = {answer["question"]: answer for answer in _done(options.answers)}
    missing = [row for row in rows if row["question"] not in done]
    embedder = Embedder()
    if missing:
        parts = _load(options, embedder)
        try:
            with ThreadPoolExecutor(options.visitors) as pool, options.answers.open("a", encoding="utf-8") as file:
                for number, answer in enumerate(pool.map(lambda row: _ask(parts, row), missing), 1):
                    file.write(json.dumps(answer, ensure_ascii=False) + "\n")
                    file.flush()
                    done[answer["question"]] = answer
                    sys.stderr.write(f"\r{number}/{len(missing)} turns{'' if number < len(missing) else chr(10)}")
        finally:
            parts.close()
    judged = [judge(row, done[row["question"]], embedder) for row in rows]
    files = model_files(options.model, options.data / "models")
    figures = measure(judged) | {"model": chosen_model(options.model).name, "corpus": options.corpus or "rag/corpus"}
    counts = {path.name: len(found) for path, found in given.items()}
    show(figures | {"question_files": counts, "sha256": files.digests()}, options)
    return 0


def judge(row: Row, answer: dict[str, Any], embedder: Any) -> dict[str, Any]:
    """Return what a turn got right: facts in the extract and in the answer, citations, sentences marked and left out."""
    facts = row.get("answer_facts") or []
    wrote = answer.get("written", answer["generated"])
    kinds = [judged["kind"] for _, judged in answer["judged"]]
    return {
        "answerable": row.get("kind") != "unanswerable",
        "answered": answer["grounded"],
        "tools": bool(answer["tools"]),
        "in_extract": stated(facts, answer["extract"], embedder.encode),
        "in_answer": stated(facts, f"{answer['extract']}\n\n{answer['text']}", embedder.encode),
        "in_generated": stated(facts, answer["generated"], embedder.encode),
        "in_written": stated(facts, wrote, embedder.encode),
        "written": written(wrote, answer.get("read") or (), row["question"]),
        "says_nothing": bool(SAYS_NOTHING.search(wrote)),
        "cited": answer["cited"],
        "removed": answer["removed"],
        "shown": answer["shown"],
        "marked": kinds.count("not_found"),
        "left_out": answer["left_out"],
        "first_token_s": answer["first_token_s"],
        "first_words_s": answer["first_words_s"],
    }


def written(wrote: str, read: Sequence[str], question: str) -> dict[str, int]:
    """Return how many sentences a model wrote and how many do not hold, before any gate kept something back."""
    if not wrote.strip() or not read:
        return {"sentences": 0, "unsupported": 0}
    evidence, said = Given(tuple(read), (), question), AnswerFilter()
    gate = Gate(SentenceChecker(evidence, before=question))
    said.expect(evidence, [text.partition("\n")[0] for text in read], gate)
    marked = sum(
        isinstance(piece, Judged) and piece.kind == "not_found" for piece in (*said.feed(wrote), *said.flush())
    )
    return {"sentences": gate.standing + gate.left_out, "unsupported": marked + gate.left_out}


def measure(judged: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the shares over all turns; facts are counted one by one, over answerable questions."""
    asked = [item for item in judged if item["answerable"]]
    others = [item for item in judged if not item["answerable"]]
    read = [item for item in asked if item["answered"] and not item["tools"]]  # answered from the documentation
    kinds = ("in_extract", "in_written", "in_generated", "in_answer")
    facts = {name: [hit for item in read for hit in item[name]] for name in kinds}
    wrote = [item["written"] for item in read]
    unanswered = [item for item in others if item["written"]["sentences"]]  # near passages were read all the same
    whole = [all(item["in_answer"]) for item in read if item["in_answer"]]
    shown, marked, left_out = (sum(item[name] for item in read) for name in ("shown", "marked", "left_out"))
    waits = [item["first_words_s"] - item["first_token_s"] for item in read if item["first_words_s"]]
    return {
        "n": len(judged),
        "answerable": len(asked),
        "answered_from_documentation": len(read),
        "answered_with_tools": sum(item["tools"] for item in asked),
        "refused_answerable": _share([not item["answered"] for item in asked]),
        "abstained_unanswerable": _share([not item["answered"] for item in others]),
        "citations_all_valid": _share([item["removed"] == 0 for item in read]),
        "cites_something": _share([item["cited"] > 0 for item in read]),
        "facts_in_extract": _share(facts["in_extract"]),
        "facts_in_written_text": _share(facts["in_written"]),
        "facts_in_generated_text": _share(facts["in_generated"]),
        "facts_in_extract_or_text": _share(facts["in_answer"]),
        "every_fact_in_extract_or_text": _share(whole),
        "sentences_written": sum(item["sentences"] for item in wrote),
        "unsupported_of_written": _ratio(
            sum(item["unsupported"] for item in wrote), sum(item["sentences"] for item in wrote)
        ),
        "unsupported_where_unanswerable": _ratio(
            sum(item["written"]["unsupported"] for item in unanswered), len(unanswered)
        ),
        "says_so_where_unanswerable": _share([item["says_nothing"] for item in unanswered]),
        "says_so_where_answerable": _share([item["says_nothing"] for item in read]),
        "sentences_shown": shown,
        "sentences_left_out": left_out,
        "marked_of_shown": _ratio(marked, shown),
        "left_out_of_written": _ratio(left_out, shown + left_out),
        "turns_left_out_whole": sum(bool(item["left_out"]) and not item["shown"] for item in read),
        "held_back_s": round(statistics.median(waits), 2) if waits else 0.0,  # from the first token to the first words
    }


class Overheard:
    """The parts of an evaluation, or an engine of them: as they are, and what the model writes is kept in `heard`.

    A gate keeps back what does not hold, so an answer does not show what a model wrote.
    """

    def __init__(self, inner: Any, heard: list[str]) -> None:
        self._inner, self._heard = inner, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def engine_for(self, conversation: Conversation) -> Overheard | None:
        engine = self._inner.engine_for(conversation)
        return Overheard(engine, self._heard) if engine else None

    def submit(self, *asked: Any) -> Overheard:
        self._heard.clear()  # the last generation of a turn is its answer
        return Overheard(self._inner.submit(*asked), self._heard)

    def __iter__(self) -> Iterator[Any]:
        for event in self._inner:
            self._heard += [event.text] if isinstance(event, TextDelta) else []
            yield event


def _ask(parts: Parts, row: Row) -> dict[str, Any]:
    records: list[TurnRecord] = []
    heard: list[str] = []
    guide = Guide(cast(Parts, Overheard(parts, heard)), records.append)
    answer: dict[str, Any] = {"question": row["question"], "route": "", "extract": "", "passages": [], "read": []}
    answer |= {"tools": [], "notices": []}
    started = time.monotonic()
    events = [(time.monotonic() - started, event) for event in guide.ask(row["question"], Conversation.new())]
    for _, event in events:
        if isinstance(event, RouteChosen):
            answer["route"] = event.name
        elif isinstance(event, SourcesFound):
            answer["extract"] = event.result.extract
            answer["answerable"] = round(event.result.answerable, 3)
            answer["passages"] = [f"{p.path}:{p.lines[0]}-{p.lines[1]}" for p in event.result.passages]
            answer["read"] = [f"{place(p)}\n{p.text}" for p in chosen(event.result.passages, ANY_MODEL)]
        elif isinstance(event, ToolFinished):
            answer["tools"].append(event.call.tool)
        elif isinstance(event, Notice):
            answer["notices"].append(event.text)
        elif isinstance(event, TurnFinished):
            answer |= _finished(event)
    answer |= {"judged": _judged(event for _, event in events), "first_words_s": _first_words(events)}
    answer["written"] = "".join(heard)
    record = records[0]
    return answer | {"removed": record.removed, "shown": record.shown, "left_out": record.left_out}


def _judged(events: Iterable[TurnEvent]) -> list[tuple[int, dict[str, Any]]]:
    """Return what was marked and left out, each with its place in the text."""
    at, found = 0, []
    for event in events:
        at += len(event.text) if isinstance(event, TextDelta) else 0
        if isinstance(event, Judged):
            found.append((at, asdict(event)))
    return found


def _first_words(events: Sequence[tuple[float, TurnEvent]]) -> float | None:
    """Return when the model's first words came, or the first line about them, in seconds; None where none came."""
    reading = next((at for at, (_, event) in enumerate(events) if isinstance(event, Prefill)), len(events))
    return next((at for at, event in events[reading:] if isinstance(event, TextDelta | Judged)), None)


def _finished(event: TurnFinished) -> dict[str, Any]:
    return {
        "text": event.answer,
        "generated": event.generated,
        "cited": len(CITATION.findall(event.answer)),
        "grounded": event.grounded,
        "reason": event.reason,
        "first_token_s": event.timings.first_token_s,
        "total_s": round(event.timings.total_s, 1),
        "prompt_tokens": event.counts.prompt,
        "generated_tokens": event.counts.generated,
    }


def _load(options: argparse.Namespace, embedder: Embedder) -> Parts:
    """Return the parts that a visitor meets, all of them loaded."""
    index = options.index
    if options.corpus:
        index = options.data / "answers-index"
        build(options.corpus, index, embedder)
    limits = EngineLimits(threads=options.threads, slots=options.visitors, disk_bytes=0)
    settings = PartsSettings(
        model=options.model, data=options.data, index=index, upstream=options.upstream, limits=limits
    )
    parts = Parts(settings)
    parts.start()
    deadline = time.monotonic() + LOADING_S
    while not all(state == "ready" for state in parts.status.values()):
        if parts.note or time.monotonic() > deadline:
            raise SystemExit(f"not everything could be loaded: {parts.status}")
        time.sleep(POLL_S)
    return parts


def _done(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        yield from read_rows(path)
    path.parent.mkdir(parents=True, exist_ok=True)


def _share(hits: Sequence[bool]) -> float:
    return _ratio(sum(hits), len(hits))


def _ratio(count: int, of: int) -> float:
    return round(count / of, 3) if of else 0.0


def _parser() -> argparse.ArgumentParser:
    given = parser("answers", __doc__)
    given.add_argument("--model", required=True, help="what answers, as MODEL= names it: NAME|FILE.gguf[+ADAPTER]")
    given.add_argument("--questions", type=Path, nargs="+", default=[OWN], help="judged questions, JSON lines")
    given.add_argument("--corpus", default="", help="folder, tar archive or git URL; our own pages when left out")
    given.add_argument("--index", type=Path, help="folder of an index that is built already")
    given.add_argument("--upstream", type=Path, help="folder of an index of upstream's text, as the second tier")
    given.add_argument("--limit", type=int, help="only the first N questions of each file")
    given.add_argument("--answers", type=Path, default=Path(".data/answers.jsonl"), help="where the answers go")
    given.add_argument("--data", type=Path, default=Path(".data"), help="folder for indexes")
    given.add_argument("--visitors", type=int, default=4, help="questions answered at once, in one batch")
    given.add_argument("--threads", type=int, default=2)
    return given
