"""The texts around the conversation: its empty state, the keys of the composer, screen reader announcements."""

from __future__ import annotations

from markupsafe import Markup

from onboarding.assistant.turns import Turn
from onboarding.ui.chat.render import Routes, ask_button, judgement_words
from onboarding.ui.kit.languages import ENGLISH, Translator
from onboarding.ui.kit.markup import fill, join, trusted

STARTERS = 2  # of each route
GROUPS = 6  # fill two or three columns evenly; further routes are in the menu beside each answer
FIRST = ("introduction", "deploy", "rhel10", "plugins", "diagnostics", "contribute")  # a newcomer's order
KEYS = "<kbd>Enter</kbd> {} · <kbd>Shift</kbd>+<kbd>Enter</kbd> {} · <kbd>Esc</kbd> {}"


def starters(routes: Routes, drawing: str = "", translate: Translator = ENGLISH) -> str:
    """Return the empty state as HTML: questions to begin with, by route; `drawing` is the page's own SVG."""
    names = [*(name for name in FIRST if name in routes), *(name for name in routes if name not in FIRST)]
    offered = [routes[name] for name in names if routes[name].starters][:GROUPS]
    groups = join(
        fill("<section><h3>{}</h3>{}</section>", text.label, _buttons(text.starters[:STARTERS])) for text in offered
    )
    html = '{}<h2>{}</h2><p class="lead">{}</p><div class="starters">{}</div>'
    return str(fill(html, trusted(drawing), translate("empty_title"), translate("empty_lead"), groups))


def _buttons(texts: tuple[str, ...]) -> Markup:
    return join(ask_button(text, "starter") for text in texts)


def keys(translate: Translator = ENGLISH) -> str:
    """Return the keys of the composer as HTML."""
    return str(fill(KEYS, translate("key_sends"), translate("key_line"), translate("key_stops")))


def announcement(turn: Turn, translate: Translator = ENGLISH) -> str:
    """Return what a screen reader announces, as plain text; it changes seldom, so that streaming does not chatter."""
    match turn.phase:
        case "reading":
            return translate("spoken_reading", n=len(turn.sources))
        case "done":
            return translate("spoken_answer", text=turn.in_words(lambda judged: judgement_words(judged, translate)))
        case "stopped":
            return translate("stopped")
        case "failed" if turn.failure:
            return turn.failure
        case phase:
            return translate(f"spoken_{phase}")
