"""Train a LoRA adapter of a model on instruction rows, and measure it against its base.

python -m model tune --base NAME|GGUF --data DATASET --out FOLDER [--questions FILE ...]

Writes into FOLDER: adapter/ as peft keeps it, NAME.gguf for llama.cpp, result.json with the figures of both on judged
questions, and variant.toml and README.md, the table and the card of model/publishing. A run that was cut off goes on
where its last checkpoint lies. Runs on a GPU where torch finds one, else on --threads cores. Needs make setup-full.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from model.catalogue.choice import ModelFiles, model_files
from model.catalogue.entries import digest
from model.catalogue.gguf_header import check_gguf
from model.engine.llama import LEAST_CELLS, ContextOptions, Llama
from model.engine.protocol import ModelUnusable
from model.prompting.system_prompts import PromptTexts, load_prompt_texts
from model.tuning.adapter import write_adapter
from model.tuning.base import load_base, require_known
from model.tuning.describe import base_name, write_card
from model.tuning.packs import Pack, drawn, packs
from model.tuning.rows import Row, RowEncoder, read_split
from model.tuning.training import Recipe, Trained, device, train
from rag.errors import RowsUnreadable

NEEDED = ("torch", "transformers", "peft", "trl", "datasets")
PROMPTS = Path(__file__).parents[2] / "onboarding" / "prompts"
HELD_OUT = 32  # rows of the validation split on which the loss is taken
CHOICES = "choices.txt"  # of the run in a folder
PACKED = 4096  # tokens of one pack on a GPU; on a CPU a pack is no longer than its longest row may be


def main(argv: Sequence[str]) -> str:
    """Train, write, measure; return a report. Raises ModelUnusable, RagError and ValueError with what to do."""
    options = _parser().parse_args(argv)
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise ModelUnusable(f"training needs {', '.join(missing)}, not installed here; run: make setup-full")
    base = _base(options.base, options.models)
    name = options.name or f"{base.info().name}-tuned"
    _begin(options)
    started = time.monotonic()
    learnt, held_out = _packs(options, base)
    adapter = options.out / f"{name}.gguf"
    trained, adapted = _trained(options, base, learnt, held_out, adapter)
    rows = round(min(1.0, trained.epochs) * sum(pack.rows for pack in learnt))
    report = [
        f"{adapter}: {adapted} tensors, {adapter.stat().st_size:,} bytes",
        f"{rows} rows, {trained.steps} updates, {(time.monotonic() - started) / 60:.0f} minutes",
        f"loss on held-out rows {trained.loss_before:.3f} before, {trained.loss_after:.3f} after",
    ]
    measured = ""
    if options.questions:
        report.append(_measured(options, base, name, rows, trained))
        measured = "result.json"
    card = write_card(options.out, name, base, options.languages, rows, measured)
    return "\n".join([*report, f"{card}: the card, from variant.toml beside it"])


def _begin(options: argparse.Namespace) -> None:
    """Make the folder. Raises ModelUnusable where it holds a run with other choices, which cannot go on with these."""
    said = options.out / CHOICES
    choices = " ".join([*_told(options), f"--data {options.data}"])
    if said.is_file() and said.read_text("utf-8") != choices:
        raise ModelUnusable(f"{options.out} holds a run with other choices (see {CHOICES} there); give another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    said.write_text(choices, "utf-8")


def _base(base: str, models: Path) -> ModelFiles:
    files = model_files(base, models)
    if files.adapter:
        raise ModelUnusable(f"{base} has an adapter already; name the model alone with --base")
    check_gguf(files.path)
    return files


def _packs(options: argparse.Namespace, files: ModelFiles) -> tuple[list[Pack], list[Pack]]:
    """Return what is trained on and what the loss is taken on, in tokens."""
    texts: PromptTexts = load_prompt_texts(options.prompts)
    most = 1 if files.info().stand_in else files.info().passages
    base = Llama(files.path, ContextOptions(cells=LEAST_CELLS, sequences=2, threads=options.threads))
    window = options.window if device()[0] == "cpu" else max(options.window, PACKED)
    try:
        require_known(base.metadata("general.architecture"), files.path)
        encoder, both = RowEncoder(base, texts, most), []
        for split, rows in (("train", options.rows), ("validation", HELD_OUT)):
            encoded = [encoder.encode(row, options.window) for row in _asked(options, split)]
            fitting = [example for example in encoded if example]
            if not fitting:
                raise RowsUnreadable(f"no row of {split} fits {options.window} tokens; raise --window")
            sys.stderr.write(f"{split}: {len(fitting)} of {len(encoded)} rows fit {options.window} tokens\n")
            both.append(drawn(packs(fitting, window, options.seed), rows))
    finally:
        base.close()
    return both[0], both[1]


def _asked(options: argparse.Namespace, split: str) -> list[Row]:
    rows = [
        row
        for row in read_split(options.data, split)
        if (not options.kinds or row.get("kind") in options.kinds)
        and (not options.languages or row.get("language") in options.languages)
    ]
    if not rows:
        raise RowsUnreadable(f"{split} has no rows of these --kinds and --languages; leave them out, or name others")
    return rows


def _trained(
    options: argparse.Namespace, base: ModelFiles, learnt: Sequence[Pack], held_out: Sequence[Pack], out: Path
) -> tuple[Trained, int]:
    """Return what training gave, and the number of tensors in the adapter's GGUF."""
    import torch

    torch.set_num_threads(options.threads)
    where, dtype = device()
    model, shapes = load_base(base.path, dtype)
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
    trained = train(model.to(where), base_name(base), learnt, held_out, recipe, options.out)
    return trained, write_adapter(trained.folder, shapes, out, base_name(base), digest(base.path))


def _measured(options: argparse.Namespace, base: ModelFiles, name: str, rows: int, trained: Trained) -> str:
    """Answer the questions with and without the adapter, write the result file and return the table."""
    out: Path = options.out
    adapter = out / f"{name}.gguf"
    answers = {"base": out / "answers-base.jsonl", "variant": out / f"answers-{digest(adapter)[:12]}.jsonl"}
    questions = ["--questions", *map(str, options.questions)]
    limit = ["--limit", str(options.limit)] if options.limit else []
    for kind, model in (("base", options.base), ("variant", f"{options.base}+{adapter}")):
        _evaluate("answers", "--model", model, *questions, "--answers", str(answers[kind]), "--threads",
                  str(options.threads), *limit)  # fmt: skip
    compare = ["variant", "--base", str(answers["base"]), "--variant", str(answers["variant"]), *questions]
    figures = json.loads(_evaluate(*compare, "--json"))
    sha256 = {path.name: digest(path) for path in (base.path, adapter)}
    losses = {"loss_before": trained.loss_before, "loss_after": trained.loss_after}
    made = {"rows": rows, "made_with": "python -m model tune " + " ".join(_told(options))}
    result = {"model": adapter.name, "sha256": sha256, **figures, **losses, **made}
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return _evaluate(*compare)


def _evaluate(*arguments: str) -> str:
    """Return what an evaluation prints. Raises ModelUnusable with its last words where it fails."""
    command = [sys.executable, "-m", "tests.evals", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ModelUnusable(f"the adapter is written, and tests.evals {arguments[0]} fails: {last}")
    return done.stdout


def _told(options: argparse.Namespace) -> list[str]:
    """Return the arguments that made an adapter what it is, without paths."""
    names = "base rows kinds languages window rank alpha epochs learning_rate packs minutes seed".split()
    given = {name: getattr(options, name) for name in names}
    words = {name: " ".join(value) if isinstance(value, list) else str(value) for name, value in given.items() if value}
    return [f"--{name.replace('_', '-')} {value}" for name, value in words.items()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model tune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", required=True, help="a catalogue name, or the path of a GGUF")
    parser.add_argument("--data", type=Path, required=True, help="folder of a dataset: data/{train,validation}.parquet")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--name", help="of the adapter; the base's name with -tuned when left out")
    parser.add_argument("--questions", type=Path, nargs="*", default=[], help="judged questions to measure on")
    parser.add_argument("--limit", type=int, default=0, help="only the first N questions of each file")
    parser.add_argument("--rows", type=int, default=0, help="rows to train on, drawn at random; all when left out")
    parser.add_argument("--kinds", nargs="*", default=[], help="kinds of rows to train on; all when left out")
    parser.add_argument("--languages", nargs="*", default=[], help="languages of rows to train on; all when left out")
    parser.add_argument("--window", type=int, default=1024, help="most tokens of a row; longer ones are left out")
    said = {
        "rank": "of the adapter's matrices",
        "alpha": "what it adds is multiplied by alpha / rank",
        "packs": "packs of rows for one update",
        "minutes": "after which training ends, whatever is left",
    }
    for name, usual in asdict(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(usual), default=usual, help=said.get(name))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompts", type=Path, default=PROMPTS, help="folder of the texts that a model is told")
    parser.add_argument("--models", type=Path, default=Path(".data") / "models", help="folder of the base, by name")
    return parser
