"""Render a model card from data: the variant's table, the file's own header and result files.

Every figure stands in a result file, which the card names. What nobody measured is said, with the command that would.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import yaml

from model.catalogue.entries import Entry, digest
from model.catalogue.gguf_header import Header
from model.catalogue.memory import MB, needed_bytes

KINDS = {  # ours -> the Hub's word
    "quantisation": "quantized",
    "fine-tune": "finetune",
    "adapter": "adapter",
    "question map": "adapter",
}
LANGUAGES = {
    "ar": "Arabic", "cs": "Czech", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ru": "Russian",
    "tr": "Turkish", "uk": "Ukrainian", "zh": "Chinese",
}  # fmt: skip
# Of `python -m tests.benchmarks engine`, on one kind of machine; column -> key.
SPEED = {
    "reads, tokens/s": "prefill_tokens_per_s",
    "writes four answers together, tokens/s": "decode_tokens_per_s",
    "first token behind a passage that was read before, s": "warm_lead_first_token_s",
    "resident memory, MB": "rss_mb",
}
FOLDER = Path(__file__).parent
PEFT = ("adapter_config.json", "adapter_model.safetensors")  # as peft names an adapter's files
_NONE = "none"


class CardIncomplete(ValueError):
    """The error of a card that would claim what no data shows; the message names the claim."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one result file that the card shows, each with its words."""

    name: str
    file: str
    figures: Mapping[str, str]  # key in the result -> words


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The rows that a model was trained on, and how they were kept from those it was judged on."""

    data: str  # user/name of a dataset on the Hub, or what else the rows are
    split: str  # how train, validation and test were told apart
    file: str = ""  # the result file that counts them
    figures: Mapping[str, str] = field(default_factory=dict)  # key in it -> words


@dataclass(frozen=True, slots=True)
class Variant:
    """The description of one published model in `variants.toml`."""

    name: str
    kind: str
    version: str
    title: str
    base_model: str
    license: str
    languages: tuple[str, ...]
    intended_use: str
    limits: tuple[str, ...]
    evaluations: tuple[Evaluation, ...] = ()
    catalogue: str = ""  # the entry whose lock the file must match, if it has one
    judged_in: tuple[str, ...] = ()  # of `languages`: those of the questions it was judged on
    refuses: tuple[str, ...] = ()
    speed: tuple[str, ...] = ()  # result files of the engine's benchmark, one for each kind of machine
    missing: tuple[str, ...] = ()  # figures that nobody has measured, and the command that would
    training: TrainingData | None = None


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """The published file: its name, size, digest and header, from itself or, where it is not here, from the lock."""

    name: str
    bytes: int
    sha256: str
    template_sha256: str
    header: Header | None  # None where the file is not here

    @classmethod
    def of_file(cls, path: Path, header: Header) -> PublishedFile:
        """Return the facts of a file that is here."""
        template = hashlib.sha256(header.template.encode()).hexdigest() if header.template else _NONE
        return cls(path.name, path.stat().st_size, digest(path), template, header)

    @classmethod
    def of_entry(cls, entry: Entry) -> PublishedFile:
        """Return what the lock knows of a file. Raises CardIncomplete for an entry that is not locked."""
        if not entry.locked:
            raise CardIncomplete(f"{entry.label} is neither here nor locked; run: python -m model lock {entry.name}")
        return cls(entry.file, entry.bytes, entry.sha256, entry.template_sha256 or "not locked", None)


def variants(path: Path = FOLDER / "variants.toml") -> dict[str, Variant]:
    """Return all variants by name. Raises CardIncomplete for a table that lacks something."""
    found = {}
    for name, table in tomllib.loads(path.read_text("utf-8")).items():
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }
        try:
            given["evaluations"] = tuple(Evaluation(**one) for one in given.get("evaluations", ()))
            given["training"] = TrainingData(**given["training"]) if "training" in given else None
            found[name] = Variant(name=name, **given)
        except TypeError as error:
            raise CardIncomplete(f"{name} in {path.name} is incomplete: {error}") from error
        if found[name].kind not in KINDS or not found[name].limits:
            raise CardIncomplete(f"{name} needs limits, and a kind of {', '.join(KINDS)}")
    return found


def render(variant: Variant, path: Path, header: Header, results: Path, base: Entry | None = None) -> str:
    """Return the card of `variant` for the file `path`. Raises CardIncomplete for a figure without a result file.

    base: the catalogue's entry of what an adapter is put on, for how to load it and what it needs of memory.
    """
    return render_card(variant, PublishedFile.of_file(path, header), results, base, peft=has_peft(path))


def has_peft(path: Path) -> bool:
    """Return whether the folder beside an adapter's GGUF holds it as peft does."""
    return all((peft_folder(path) / name).is_file() for name in PEFT)


def peft_folder(path: Path) -> Path:
    """Return the folder beside an adapter's GGUF for what peft keeps; it need not exist."""
    return path.parent / "adapter"


def render_card(
    variant: Variant, weights: PublishedFile, results: Path, base: Entry | None = None, *, peft: bool = False
) -> str:
    """Return the card of `variant`. Raises CardIncomplete for a figure without a result file."""
    if weights.header and weights.header.is_adapter != (variant.kind == "adapter"):
        raise CardIncomplete(f"{weights.name} and {variant.name} disagree on whether it is an adapter")
    if beyond := set(variant.judged_in) - set(variant.languages):
        raise CardIncomplete(f"{variant.name} was judged in {', '.join(sorted(beyond))}, which it does not list")
    judged = [_table(one, weights, results) for one in variant.evaluations]
    return Template((FOLDER / "model_card.md").read_text("utf-8")).substitute(
        front=_front(variant),
        title=variant.title,
        facts=_facts(variant, weights),
        intended_use=variant.intended_use,
        languages=_languages(variant),
        memory=_memory(variant, weights, base),
        speed=_speed(variant, weights, results),
        refuses=_points(variant.refuses) or "Nothing by itself that was measured.",
        limits=_points(variant.limits),
        evaluation="\n\n".join([*judged, *([_missing(variant)] if variant.missing else [])]) or "Not measured yet.",
        training=_training(variant, results),
        use=_use(variant, weights, base, peft=peft),
    )


def _front(variant: Variant) -> str:
    of_text = variant.kind != "question map"
    card = {
        "license": variant.license,
        "base_model": variant.base_model,
        "base_model_relation": KINDS[variant.kind],
        "language": list(variant.languages),
        "pipeline_tag": "text-generation" if of_text else "sentence-similarity",
        "library_name": "gguf" if of_text else "sentence-transformers",
        "tags": [*(["gguf", "llama.cpp"] if of_text else []), "qubinode-navigator", variant.kind.replace(" ", "-")],
    }
    if variant.training and variant.training.data.count("/") == 1 and " " not in variant.training.data:
        card["datasets"] = [variant.training.data]
    return yaml.safe_dump(card, sort_keys=False).strip()


def _facts(variant: Variant, weights: PublishedFile) -> str:
    header = weights.header
    rows = {
        "what it is": f"{variant.kind} of [{variant.base_model}](https://huggingface.co/{variant.base_model})",
        "version": f"{variant.version} (tag `v{variant.version}`)",
        "file": f"`{weights.name}`",
        "architecture": header.architecture if header else "as the file says; it was not here when this was written",
        "quantisation": header.quantisation if header else "as the file says",
        "context": f"{header.context} tokens" if header and header.context else "as the base model has",
        "size": f"{weights.bytes:,} bytes",
        "sha256": f"`{weights.sha256}`",
        "chat template, sha256": f"`{weights.template_sha256}`",
        "licence": f"{variant.license}, that of the base model",
    }
    if variant.kind == "question map":
        rows = {key: text for key, text in rows.items() if key not in ("context", "chat template, sha256")}
    return "\n".join(f"| {name} | {text} |" for name, text in rows.items())


def _languages(variant: Variant) -> str:
    named = _names(variant.languages)
    judged = f"It was judged on questions in {_names(variant.judged_in)}." if variant.judged_in else ""
    rest = [code for code in variant.languages if code not in variant.judged_in]
    where = f"In {_names(rest)}" if judged else "In none of them" if len(rest) > 1 else "In it"
    unseen = (
        f"{where} {'has it been' if where == 'In none of them' else 'it has not been'} judged here." if rest else ""
    )
    return " ".join(filter(None, [f"Made for {named}.", judged, unseen]))


def _names(codes: Sequence[str]) -> str:
    return ", ".join(LANGUAGES.get(code, code) for code in codes)


def _memory(variant: Variant, weights: PublishedFile, base: Entry | None) -> str:
    if variant.kind == "question map":
        return f"{weights.bytes / MB:,.1f} MB beside the encoder."
    if variant.kind != "adapter":
        needed, what = needed_bytes(weights.bytes), "the file"
    elif base and base.bytes:
        needed, what = needed_bytes(weights.bytes + base.bytes), f"{base.label} and the adapter"
    else:
        return f"{weights.bytes / MB:,.1f} MB beside what its base needs."
    return (
        f"About {needed / MB:,.0f} MB for {what}, the KV cache of 8,192 tokens and buffers: the estimate by which the "
        "Space decides whether a model fits (`model/catalogue/memory.py`)."
    )


def _speed(variant: Variant, weights: PublishedFile, results: Path) -> str:
    if variant.kind == "question map":
        return "One product of a vector and a matrix for each question."
    if not variant.speed:
        return "It was measured on no machine yet."
    rows, sources = [], []
    for name in variant.speed:
        result = _read("Speed", results / name, weights)
        if not result.get("machine"):
            raise CardIncomplete(f"{name} does not say on which machine; run the benchmark again")
        figures = [_figure(result, key) if key in result else "" for key in SPEED.values()]
        rows.append(f"| {' | '.join([str(result['machine']), *figures])} |")
        sources.append(_source(results / name, result))
    head = f"| {' | '.join(['machine', *SPEED])} |\n| --- | {' | '.join(['---:'] * len(SPEED))} |"
    return "\n".join([head, *rows, "", *sources, "", "On other kinds of machine it was not measured."])


def _points(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _missing(variant: Variant) -> str:
    return f"### Not measured\n\n{_points(variant.missing)}"


def _training(variant: Variant, results: Path) -> str:
    given = variant.training
    if not given:
        return ""
    data = f"[{given.data}](https://huggingface.co/datasets/{given.data})" if "/" in given.data else given.data
    lines = ["## Training data", "", f"{data}. {given.split}"]
    if given.file:
        result = _read("Training", results / given.file, None)
        rows = [f"| {words} | {_figure(result, key, given.file)} |" for key, words in given.figures.items()]
        lines += ["", "| | |", "| --- | --: |", *rows, "", _source(results / given.file, result)]
    return "\n".join([*lines, "", ""])


def _use(variant: Variant, weights: PublishedFile, base: Entry | None, *, peft: bool) -> str:
    file = weights.name
    if variant.kind == "question map":
        return (FOLDER / "question_map_use.md").read_text("utf-8").strip()
    if variant.kind != "adapter":
        return (
            f"With the Qubinode Navigator Space, from its checkout:\n\n    MODEL=./{file} make run\n\n"
            f"With llama.cpp:\n\n    llama-server --model {file} --ctx-size 8192 --jinja"
        )
    on, gguf = (base.name, base.file) if base else ("BASE.gguf", "BASE.gguf")
    text = (
        f"With the Qubinode Navigator Space, from its checkout:\n\n    MODEL={on}+./{file} make run\n\n"
        f"With llama.cpp:\n\n    llama-server --model {gguf} --lora {file} --ctx-size 8192 --jinja"
    )
    if not peft:
        return f"{text}\n\nIt is here for llama.cpp only, not as peft keeps an adapter."
    return (
        f"{text}\n\nWith peft, on {variant.base_model} in floats (it learnt on the weights of the quantised file):\n\n"
        "    from peft import PeftModel\n    from transformers import AutoModelForCausalLM\n\n"
        "    base = AutoModelForCausalLM.from_pretrained(BASE)\n"
        "    model = PeftModel.from_pretrained(base, FOLDER)  # or the name of this repository"
    )


def _table(evaluation: Evaluation, weights: PublishedFile, results: Path) -> str:
    path = results / evaluation.file
    result = _read(evaluation.name, path, weights)
    rows = [f"### {evaluation.name}", ""]
    if asked := _asked(result):
        rows += [asked, ""]
    rows += ["| figure | value |", "| --- | --- |"]
    rows += [f"| {words} | {_figure(result, key, path.name)} |" for key, words in evaluation.figures.items()]
    return "\n".join([*rows, "", _source(path, result)])


def _asked(result: Mapping[str, Any]) -> str:
    """Return on which questions it was judged, as far as the result says."""
    files = result.get("question_files")
    if isinstance(files, Mapping) and files:
        return "On " + ", ".join(f"{count} questions of `{name}`" for name, count in files.items()) + "."
    count = result.get("questions")
    return f"On {count} questions." if isinstance(count, int) else ""


def _read(name: str, path: Path, weights: PublishedFile | None) -> dict[str, Any]:
    """Return a result. Raises CardIncomplete for one that cannot be read, or was measured with other files."""
    try:
        result = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CardIncomplete(f"{name}: {path} cannot be read; run the evaluation again") from error
    if weights:
        measured = result.get("sha256") or {}
        named = result.get("model") == weights.name or weights.name in measured
        if not named or measured.get(weights.name, weights.sha256) != weights.sha256:
            raise CardIncomplete(f"{path.name} was measured with {result.get('model')}, not with {weights.name}")
    return dict(result)


def _figure(result: Mapping[str, Any], key: str, file: str = "the result") -> str:
    value = result.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CardIncomplete(f"{file} holds no figure {key}; run the evaluation again")
    return f"{value:g}"


def _source(path: Path, result: Mapping[str, Any]) -> str:
    source = f"From `{path.name}`, sha256 `{digest(path)[:16]}`"
    return f"{source}: {result['made_with']}." if result.get("made_with") else f"{source}."
