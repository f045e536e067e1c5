"""Describe a trained adapter: its table as in model/publishing/variants.toml, and its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from model.catalogue.choice import ModelFiles
from model.catalogue.gguf_header import read_header
from model.publishing.card import render, variants

TABLE = "variant.toml"
ENDS = {"base": "base", "variant": "with the adapter", "low": "difference, 95 % from", "high": "to"}


def base_name(base: ModelFiles) -> str:
    """Return user/name on the Hub of a base where the catalogue knows it, else the name of its file."""
    return (base.entry.base_model if base.entry else "") or base.path.stem


def write_card(out: Path, name: str, base: ModelFiles, languages: Sequence[str], rows: int, result: str) -> Path:
    """Write the table and the card of `name`.gguf into `out`; return the card's path.

    rows: trained on. result: name of the result file, "" where nothing was measured.
    """
    words = json.loads((out / result).read_text("utf-8"))["words"] if result else {}
    (out / TABLE).write_text(_table(name, base, languages, rows, words) + _evaluated(name, result, words), "utf-8")
    card, file = out / "README.md", out / f"{name}.gguf"
    card.write_text(render(variants(out / TABLE)[name], file, read_header(file), out, base.entry), "utf-8")
    return card


def _table(name: str, base: ModelFiles, languages: Sequence[str], rows: int, words: Mapping[str, str]) -> str:
    entry = base.entry
    table = {
        "kind": "adapter",
        "version": "1.0.0",
        "title": f"{base.info().label}, adapter for grounded answers",
        "base_model": base_name(base),
        "license": entry.license.lower() if entry else "other",
        "languages": list(languages) or ["en"],
        "intended_use": "Answers questions about Qubinode Navigator from the passages in its prompt, and says where "
        "they do not hold the answer.",
        "limits": [
            "It learnt on this project's pages; on other subjects it was not tried.",
            "It answers from passages and may still get details wrong.",
        ],
        "judged_in": ["en"] if words else [],
    }
    trained = {
        "data": f"{rows} instruction rows made of this project's pages",
        "split": "Rows are split by page; judged questions are in no split.",
    }
    lines = [f"[{json.dumps(name)}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    lines += ["", f"[{json.dumps(name)}.training]", *(f"{key} = {json.dumps(value)}" for key, value in trained.items())]
    return "\n".join(lines) + "\n"


def _evaluated(name: str, result: str, words: Mapping[str, str]) -> str:
    """Return the table of the figures in a result file; "" without words for any."""
    figures = [
        f"{figure}_{end} = {json.dumps(f'{said}: {which}')}"
        for figure, said in words.items()
        for end, which in ENDS.items()
    ]
    head = f'[[{json.dumps(name)}.evaluations]]\nname = "Against its base, on judged questions"'
    return f"\n{head}\nfile = {json.dumps(result)}\nfigures = {{ {', '.join(figures)} }}\n" if words else ""
