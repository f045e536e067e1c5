"""The bar above the conversation: start anew, go back to an earlier one, export, rename, forget."""

from __future__ import annotations

from markupsafe import Markup

from onboarding.ui.chat.saved_conversations import ConversationList, SavedConversation
from onboarding.ui.kit.languages import ENGLISH, Translator
from onboarding.ui.kit.markup import fill, join


def conversation_bar(saved: ConversationList, title: str, translate: Translator = ENGLISH, *, started: bool) -> str:
    """Return the bar as HTML; "" while no conversation is saved and nothing was asked."""
    if not started and not saved.items:
        return ""
    name = fill('<h2 class="name" dir="auto">{}</h2>', title)
    export = _button("export", translate("export"), title=title)
    new = _button("new", translate("new_chat"))
    html = '{}<span class="actions">{}{}{}</span>'
    return str(fill(html, name, new if started else "", export if started else "", _earlier(saved, translate)))


def _button(act: str, label: str, **data: str) -> Markup:
    given = join(fill(' data-{}="{}"', name, value) for name, value in data.items())
    return fill('<button type="button" class="quiet" data-act="{}"{}>{}</button>', act, given, label)


def _earlier(saved: ConversationList, translate: Translator) -> Markup:
    if not saved.items:
        return Markup("")
    rows = join(_row(item, saved.open_id, translate) for item in saved.items)
    html = '<details class="menu"><summary class="quiet">{}</summary><div class="sheet"><p>{}</p>{}</div></details>'
    return fill(html, translate("earlier"), translate("kept_here"), rows)


def _row(item: SavedConversation, open_id: str, translate: Translator) -> Markup:
    current = Markup(' aria-current="true"') if item.id == open_id else ""
    html = (
        '<div class="row" data-id="{id}">'
        '<button type="button" data-act="open" data-id="{id}" dir="auto"{current}>{title}</button>'
        "{rename}{forget}</div>"
    )
    rename, forget = (_button(act, translate(act), id=item.id) for act in ("rename", "forget"))
    return fill(html, id=item.id, title=item.title, current=current, rename=rename, forget=forget)
