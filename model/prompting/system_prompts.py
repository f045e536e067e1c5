"""Read the texts that a model is told from one folder of prose files, so that a person edits them in one place.

`<route>.md`: YAML front matter with `label`, `starters`, `follow_ups`. `replies/<name>.md`: a fixed reply, for routes
and requests that need no model. The other texts, each in `<name>.txt`: see `PromptTexts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rag.reading.frontmatter import split


@dataclass(frozen=True, slots=True)
class RouteText:
    """The texts of one route."""

    name: str
    label: str
    starters: tuple[str, ...] = ()
    follow_ups: tuple[str, ...] = ()
    reply: str = ""  # a fixed reply instead of the model's


@dataclass(frozen=True, slots=True)
class PromptTexts:
    """The texts that a model is told, all of them."""

    routes: Mapping[str, RouteText]  # by name
    brief: str  # the system prompt, one for all routes: what is read behind it once serves every visitor
    cite: str  # the line behind the passages: what the system prompt says is forgotten by then
    checked: str  # the line behind the result of a check
    translate: str  # the system prompt under which a question is translated into English
    menu: str  # the system prompt under which a tool is chosen; `$tools` stands for the list of them
    near: str = ""  # the line before a question whose `$missing` is in no passage


def load_prompt_texts(folder: Path) -> PromptTexts:
    """Return the texts of `folder`; raise ValueError with the file that is missing, empty or incomplete."""
    names = ("brief", "cite", "checked", "translate", "menu", "near")
    brief, cite, checked, translate, menu, near = (_text(folder / f"{name}.txt") for name in names)
    return PromptTexts(load_routes(folder), brief, cite + "\n", checked + "\n", translate, menu + "\n", near)


def load_routes(folder: Path) -> dict[str, RouteText]:
    """Return every route's texts by name; raise ValueError with the file that lacks a label."""
    routes = {path.stem: _route(path, folder) for path in sorted(folder.glob("*.md"))}
    if not routes:
        raise ValueError(f"{folder} holds no route files")
    return routes


def _text(path: Path) -> str:
    text = path.read_text("utf-8").strip() if path.is_file() else ""
    if not text:
        raise ValueError(f"{path} is missing or empty; a model is told what stands in it")
    return text


def _route(path: Path, folder: Path) -> RouteText:
    fields, _ = split(path.read_text())
    reply = folder / "replies" / path.name
    label = str(fields.get("label", ""))
    if not label:
        raise ValueError(f"{path} needs a label in its front matter")
    return RouteText(
        path.stem,
        label,
        tuple(map(str, fields.get("starters") or ())),
        tuple(map(str, fields.get("follow_ups") or ())),
        reply.read_text().strip() if reply.exists() else "",
    )
