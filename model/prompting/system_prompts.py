"""Read the texts that a model is told from one folder of prose files, so that a person edits them in one place.

`<route>.md`: YAML front matter with `label`, `starters`, `follow_ups`, then the system prompt. `replies/<name>.md`: a
fixed reply, for routes and requests that need no model. `cite.txt`, `near.txt`, `translate.txt`, `menu.txt`: see
`PromptTexts`.
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
    system_prompt: str
    starters: tuple[str, ...] = ()
    follow_ups: tuple[str, ...] = ()
    reply: str = ""  # a fixed reply instead of the model's

    @property
    def hint(self) -> str:
        """The topic line for a conversation that began on another route and keeps that route's system prompt."""
        return f"(Topic: {self.label}.)"


@dataclass(frozen=True, slots=True)
class PromptTexts:
    """The texts that a model is told, all of them."""

    routes: Mapping[str, RouteText]  # by name
    cite: str  # the line behind the passages: what the system prompt says is forgotten by then
    translate: str  # the system prompt under which a question is translated into English
    menu: str  # the system prompt under which a tool is chosen; `$tools` stands for the list of them
    near: str = ""  # the line before a question whose `$missing` is in no passage


def load_prompt_texts(folder: Path) -> PromptTexts:
    """Return the texts of `folder`; raise ValueError with the file that is missing, empty or incomplete."""
    cite, translate, menu, near = (_text(folder / f"{name}.txt") for name in ("cite", "translate", "menu", "near"))
    return PromptTexts(load_routes(folder), cite + "\n", translate, menu + "\n", near)


def load_routes(folder: Path) -> dict[str, RouteText]:
    """Return every route's texts by name; raise ValueError with the file that lacks a label or a system prompt."""
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
    fields, body = split(path.read_text())
    reply = folder / "replies" / path.name
    label = str(fields.get("label", ""))
    if not label or not (body.strip() or reply.exists()):
        raise ValueError(f"{path} needs a label in its front matter and a system prompt below it")
    return RouteText(
        path.stem,
        label,
        body.strip(),
        tuple(map(str, fields.get("starters") or ())),
        tuple(map(str, fields.get("follow_ups") or ())),
        reply.read_text().strip() if reply.exists() else "",
    )
