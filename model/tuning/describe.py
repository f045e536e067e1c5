"""Describe a trained adapter: its table as in model/publishing/variants.toml, and its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.catalogue.choice import ModelFiles
from model.catalogue.gguf_header import read_header
from model.publishing.card import render, variants

TABLE = "variant.toml"
ENDS = {"base": "base", "variant": "with the adapter", "low": "difference, 95 % from", "high": "to"}


@dataclass(frozen=True, slots=True)
class About:
    """The facts of a card that neither the adapter's header nor a result file holds."""

    base: ModelFiles
    languages: Sequence[str]
    rows: int
    result: str  # name of the result file, "" where nothing was measured


def base_name(base: ModelFiles) -> str:
    """Return user/name on the Hub of a base where the catalogue knows it, else the name of its file."""
    return (base.entry.base_model if base.entry else "") or base.path.stem


def write_card(out: Path, name: str, about: About) -> Path:
    """Write the table and the card of `name`.gguf into `out`; return the card's path."""
    words = json.loads((out / about.result).read_text("utf-8"))["words"] if about.result else {}
    (out / TABLE).write_text(_table(name, about, words), "utf-8")
    card, file = out / "README.md", out / f"{name}.gguf"
    card.write_text(render(variants(out / TABLE)[name], file, read_header(file), out, about.base.entry), "utf-8")
    return card


def _table(name: str, about: About, words: Mapping[str, str]) -> str:
    entry = about.base.entry
    table = {
        "kind": "adapter",
        "version": "1.0.0",
        "title": f"{about.base.info().label}, adapter for grounded answers",
        "base_model": base_name(about.base),
        "license": entry.license.lower() if entry else "other",
        "languages": list(about.languages) or ["en"],
        "intended_use": "Answers questions about Qubinode Navigator from the passages in its prompt, and says where "
        "they do not hold the answer.",
        "limits": [
            "It learnt on this project's pages; on other subjects it was not tried.",
            "It answers from passages and may still get details wrong.",
        ],
        "judged_in": ["en"] if words else [],
    }
    trained = {
        "data": f"{about.rows} instruction rows made of this project's pages",
        "split": "Rows are split by page; judged questions are in no split.",
    }
    lines = [f"[{json.dumps(name)}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    lines += ["", f"[{json.dumps(name)}.training]", *(f"{key} = {json.dumps(value)}" for key, value in trained.items())]
    if words:
        figures = [
            f"{figure}_{end} = {json.dumps(f'{said}: {which}')}"
            for figure, said in words.items()
            for end, which in ENDS.items()
        ]
        lines += [
            "", f"[[{json.dumps(name)}.evaluations]]", 'name = "Against its base, on judged questions"',
            f"file = {json.dumps(about.result)}", f"figures = {{ {', '.join(figures)} }}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"
