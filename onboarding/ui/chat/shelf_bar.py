"""The bar above the conversation: start anew, go back to an earlier one, export, rename, forget."""

from __future__ import annotations

from markupsafe import Markup

from onboarding.ui.chat.shelf import SavedConversation, Shelf
from onboarding.ui.kit.languages import ENGLISH, Speech
from onboarding.ui.kit.markup import fill, join


def shelf_html(shelf: Shelf, title: str, speech: Speech = ENGLISH, *, started: bool) -> str:
    """The bar; empty when there is nothing to go back to and nothing was asked yet."""
    if not started and not shelf.items:
        return ""
    name = fill('<h2 class="name" dir="auto">{}</h2>', title)
    export = _button("export", speech("export"), title=title)
    new = _button("new", speech("new_chat"))
    html = '{}<span class="actions">{}{}{}</span>'
    return str(fill(html, name, new if started else "", export if started else "", _earlier(shelf, speech)))


def _button(act: str, label: str, **data: str) -> Markup:
    given = join(fill(' data-{}="{}"', name, value) for name, value in data.items())
    return fill('<button type="button" class="quiet" data-act="{}"{}>{}</button>', act, given, label)


def _earlier(shelf: Shelf, speech: Speech) -> Markup:
    if not shelf.items:
        return Markup("")
    rows = join(_row(item, shelf.open_id, speech) for item in shelf.items)
    html = '<details class="menu"><summary class="quiet">{}</summary><div class="sheet"><p>{}</p>{}</div></details>'
    return fill(html, speech("earlier"), speech("kept_here"), rows)


def _row(item: SavedConversation, open_id: str, speech: Speech) -> Markup:
    current = Markup(' aria-current="true"') if item.id == open_id else ""
    html = (
        '<div class="row" data-id="{id}">'
        '<button type="button" data-act="open" data-id="{id}" dir="auto"{current}>{title}</button>'
        "{rename}{forget}</div>"
    )
    rename, forget = (_button(act, speech(act), id=item.id) for act in ("rename", "forget"))
    return fill(html, id=item.id, title=item.title, current=current, rename=rename, forget=forget)
