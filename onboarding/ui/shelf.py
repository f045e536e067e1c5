"""The bar above the conversation: start anew, go back to an earlier one, export, rename, forget."""

from __future__ import annotations

from markupsafe import Markup

from onboarding.ui.markup import fill, join
from onboarding.ui.saved import SavedConversation, Shelf


def shelf_html(shelf: Shelf, title: str, *, started: bool) -> str:
    """The bar; empty when there is nothing to go back to and nothing was asked yet."""
    if not started and not shelf.items:
        return ""
    name = fill('<h2 class="name" dir="auto">{}</h2>', title)
    export = fill('<button type="button" class="quiet" data-act="export" data-title="{}">Export</button>', title)
    new = Markup('<button type="button" class="quiet" data-act="new">New chat</button>') if started else ""
    html = '{}<span class="actions">{}{}{}</span>'
    return str(fill(html, name, new, export if started else "", _earlier(shelf)))


def _earlier(shelf: Shelf) -> Markup:
    if not shelf.items:
        return Markup("")
    rows = join(_row(item, shelf.open_id) for item in shelf.items)
    html = (
        '<details class="menu"><summary class="quiet">Earlier</summary><div class="sheet">'
        "<p>Kept in this browser only</p>{}</div></details>"
    )
    return fill(html, rows)


def _row(item: SavedConversation, open_id: str) -> Markup:
    current = Markup(' aria-current="true"') if item.id == open_id else ""
    html = (
        '<div class="row" data-id="{id}">'
        '<button type="button" data-act="open" data-id="{id}" dir="auto"{current}>{title}</button>'
        '<button type="button" class="quiet" data-act="rename" data-id="{id}">Rename</button>'
        '<button type="button" class="quiet" data-act="forget" data-id="{id}">Forget</button></div>'
    )
    return fill(html, id=item.id, title=item.title, current=current)
