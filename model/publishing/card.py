"""Render a model card from data: the variant's table, the GGUF's header and result files."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

from model.catalogue.entries import digest
from model.catalogue.gguf_header import Header

KINDS = {"quantisation": "quantized", "fine-tune": "finetune", "adapter": "adapter"}  # ours -> the Hub's word
FOLDER = Path(__file__).parent
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


def variants(path: Path = FOLDER / "variants.toml") -> dict[str, Variant]:
    """Return all variants by name. Raises CardIncomplete for a table that lacks something."""
    found = {}
    for name, table in tomllib.loads(path.read_text("utf-8")).items():
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }
        given["evaluations"] = tuple(Evaluation(**one) for one in given.get("evaluations", ()))
        try:
            found[name] = Variant(name=name, **given)
        except TypeError as error:
            raise CardIncomplete(f"{name} in {path.name} is incomplete: {error}") from error
        if found[name].kind not in KINDS or not found[name].limits:
            raise CardIncomplete(f"{name} needs limits, and a kind of {', '.join(KINDS)}")
    return found


def render(variant: Variant, path: Path, header: Header, results: Path) -> str:
    """Return the card of `variant` for the file `path`. Raises CardIncomplete for a figure without a result file."""
    if header.is_adapter != (variant.kind == "adapter"):
        raise CardIncomplete(f"{path.name} and {variant.name} disagree on whether it is an adapter")
    template = hashlib.sha256(header.template.encode()).hexdigest() if header.template else _NONE
    return Template((FOLDER / "model_card.md").read_text("utf-8")).substitute(
        front=_front(variant),
        title=variant.title,
        intended_use=variant.intended_use,
        kind_text=variant.kind,
        base_model=variant.base_model,
        version=variant.version,
        architecture=header.architecture,
        quantisation=header.quantisation,
        context=header.context or "as the base model has",
        bytes=f"{path.stat().st_size:,}",
        sha256=digest(path),
        template_sha256=template,
        license=variant.license,
        limits="\n".join(f"- {limit}" for limit in variant.limits),
        evaluation="\n\n".join(_table(one, path, results) for one in variant.evaluations) or "Not measured yet.",
        file=path.name,
        llama_flag="--model BASE.gguf --lora" if header.is_adapter else "--model",
    )


def _front(variant: Variant) -> str:
    card = {
        "license": variant.license,
        "base_model": variant.base_model,
        "base_model_relation": KINDS[variant.kind],
        "language": list(variant.languages),
        "pipeline_tag": "text-generation",
        "library_name": "gguf",
        "tags": ["gguf", "llama.cpp", "qubinode-navigator", variant.kind],
    }
    return yaml.safe_dump(card, sort_keys=False).strip()


def _table(evaluation: Evaluation, model: Path, results: Path) -> str:
    path = results / evaluation.file
    try:
        result = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CardIncomplete(f"{evaluation.name}: {path} cannot be read; run the evaluation again") from error
    if result.get("model") != model.name:
        raise CardIncomplete(f"{path.name} was measured with {result.get('model')}, not with {model.name}")
    rows = [f"### {evaluation.name}", "", "| figure | value |", "| --- | --- |"]
    for key, words in evaluation.figures.items():
        value = result.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CardIncomplete(f"{path.name} holds no figure {key}; run the evaluation again")
        rows.append(f"| {words} | {value:g} |")
    source = f"From `{evaluation.file}`, sha256 `{digest(path)[:16]}`"
    return "\n".join([*rows, "", f"{source}: {result['made_with']}." if result.get("made_with") else f"{source}."])
