"""Ask in a terminal, list and fetch models, or warm the prefix cache. NAME+ADAPTER puts a LoRA adapter on a model.

python -m model "what is qubinode navigator?" [--model NAME|PATH[+ADAPTER]] [--prompts FOLDER]
python -m model ls
python -m model fetch NAME
python -m model publish --variant NAME [--file GGUF] --repo USER/NAME [--send]
python -m model tune --base NAME|GGUF --data DATASET --out FOLDER [--questions FILE ...]
python -m model lock [NAME ...]
python -m model warm [--model NAME|PATH[+ADAPTER]] [--limit-mb N] [--prompts FOLDER]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from model.catalogue.choice import model_files
from model.catalogue.download import find, find_or_fetch
from model.catalogue.entries import DEFAULT, EMBEDDED, SUBSTITUTE, catalogue
from model.catalogue.load import DISK, MB, EngineLimits, open_engine
from model.catalogue.lock import lock
from model.checking.gate import Judged
from model.engine.events import Prefill, Queued, TextDelta
from model.engine.local import LocalEngine
from model.engine.prompt import Prompt
from model.engine.protocol import ModelUnusable
from model.prompting.conversation import Conversation
from model.prompting.system_prompts import load_prompt_texts
from model.publishing.repository import main as publish
from model.tuning.command import main as tune
from model.turn.chat import Ask, Chat
from model.turn.events import Notice, SourcesFound, TurnFinished
from model.turn.prewarm import warm_prompts
from model.turn.wording import told
from rag.command_line import ended
from rag.embedding.embedder import Embedder
from rag.errors import RagError
from rag.search.retriever import Retriever, open_or_build
from tools.sandbox.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
PROMPTS = ROOT / "onboarding" / "prompts"
ROUTE = "general_question"  # of a question in the terminal, where nothing routes it


def main(argv: Sequence[str]) -> int:
    """Run one command; return 0, or print one sentence on what to do and return 1."""
    return ended(_run, argv, (ModelUnusable, RagError, ValueError), failed=1)


def _run(argv: Sequence[str]) -> None:
    if argv[:1] == ["publish"]:
        print(publish(argv[1:]))
        return
    if argv[:1] == ["tune"]:
        print(tune(argv[1:]))
        return
    options = _arguments(argv)
    COMMANDS.get(options.words[0], _ask)(options)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m model", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("words", nargs="+", help='a question, or "ls", or "fetch NAME", or "warm"')
    parser.add_argument("--model", default="auto", help="auto, a catalogue name or a path to a GGUF; +ADAPTER")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("DATA_DIR") or ".data"),
        help="folder for models, index and cache",
    )
    parser.add_argument("--limit-mb", type=int, default=DISK // MB, help="warm: most megabytes on disk")
    parser.add_argument("--prompts", type=Path, default=PROMPTS, help="folder of the texts that a model is told")
    return parser.parse_args(argv)


def _fetch(options: argparse.Namespace) -> None:
    entries = catalogue()
    for name in options.words[1:]:
        if name not in entries:
            raise ModelUnusable(f"{name} is not in the catalogue; known are {', '.join(entries)}")
        entry = entries[name]
        for one in [entries[entry.base], entry] if entry.base else [entry]:
            path = find_or_fetch(one, options.data / "models", _show_progress)
            print(f"{one.label}: {path}")


def _list(options: argparse.Namespace) -> None:
    """Print each entry with its size, what it is put on, and whether it is locked and here."""
    for entry in catalogue().values():
        place = find(entry, options.data / "models")
        on = f", an adapter on {entry.base}" if entry.base else ""
        known = f"{entry.bytes / MB:,.1f} MB" if entry.locked else "not locked"
        print(f"{entry.name}: {entry.label}{on}, {known}, {place or 'not here'}")


def _lock(options: argparse.Namespace) -> None:
    print(*lock(options.words[1:], options.data / "models"), sep="\n")


def _ask(options: argparse.Namespace) -> None:
    texts = load_prompt_texts(options.prompts)
    route = texts.routes[ROUTE]
    retriever, engine, sandbox = _retriever(options.data), _engine(options), Sandbox()
    chat = Chat(
        lambda _: engine, lambda: retriever, lambda call: sandbox.call(call.tool, call.arguments, call.host), texts
    )
    try:
        for event in chat.answer(Ask(" ".join(options.words), Conversation.new(), route.name)):
            _print(event)
    except KeyboardInterrupt:
        print("\nstopped")
    finally:
        engine.close()
        sandbox.close()


def _print(event: object) -> None:
    if isinstance(event, SourcesFound):
        for number, passage in enumerate(event.result.passages, start=1):
            print(f"[{number}] {passage.title} - {passage.url}\n    {passage.excerpt}")
        print()
    elif isinstance(event, Queued):
        print(f"waiting, {event.ahead} ahead, ~{event.eta_s:.0f} s", file=sys.stderr)
    elif isinstance(event, Prefill):
        print(f"reading {event.done} of {event.total} tokens, ~{event.eta_s:.0f} s left", file=sys.stderr)
    elif isinstance(event, TextDelta):
        print(event.text, end="", flush=True)
    elif isinstance(event, Judged):
        print(f" {told(event)}", end="", flush=True)
    elif isinstance(event, Notice):
        print(f"\n({event.text})", end="")
    elif isinstance(event, TurnFinished):
        first = event.timings.first_token_s
        rate = event.timings.tokens_per_s(event.counts.generated)
        print(
            f"\n\n{event.model or 'no model'}: "
            + (f"{first:.1f} s to first token, " if first else "")
            + f"{rate:.1f} tokens/s"
        )


def _warm(options: argparse.Namespace) -> None:
    limits = EngineLimits(disk_bytes=options.limit_mb * MB)
    texts = load_prompt_texts(options.prompts)
    engine = _engine(options, limits)
    retriever = _retriever(options.data)
    prompts = warm_prompts(engine, texts, retriever, passages=retriever.likely())
    started = time.monotonic()
    try:
        engine.prewarm(prompts)
        while not engine.is_warm():
            time.sleep(0.2)
    finally:
        engine.close()
    asked = [prompt for prompt in prompts if not prompt.segments[-1].passage]
    print(*(f"  {_name(prompt, texts.cite)}" for prompt in asked), sep="\n")
    print(f"  {len(prompts) - len(asked)} passages, the most likely first, as many as the limit takes")
    sizes = [file.stat().st_size for file in (options.data / "prefix-cache").glob("*/*.kv")]
    print(
        f"{len(prompts)} prompts read in {time.monotonic() - started:.0f} s; "
        f"{len(sizes)} states stored, {sum(sizes) / MB:.1f} of at most {options.limit_mb} MB"
    )


def _name(prompt: Prompt, cite: str) -> str:
    """Return the question of a prompt, or the beginning of its system prompt where it asks nothing."""
    question = prompt.messages[-1][1].rpartition(cite)[2].strip()
    return question or f"system prompt: {prompt.messages[0][1][:60]}..."


def _engine(options: argparse.Namespace, limits: EngineLimits | None = None) -> LocalEngine:
    entries, name = catalogue(), options.model
    if name == "auto":
        here = (name for name in (DEFAULT, SUBSTITUTE) if find(entries[name], options.data / "models"))
        name = next(here, EMBEDDED)
    files = model_files(name, options.data / "models", _show_progress)
    return open_engine(files.path, options.data, limits or EngineLimits(), files.entry, files.adapter)


def _retriever(data: Path) -> Retriever:
    return open_or_build(ROOT / "rag" / "corpus", data / "index", Embedder(), _show_progress)


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done:,} of {total:,}", end="" if done < total else "\n", file=sys.stderr)


COMMANDS = {"ls": _list, "fetch": _fetch, "warm": _warm, "lock": _lock}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
