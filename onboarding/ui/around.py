"""The words around the conversation: the empty state, the line under the composer, what a screen reader hears."""

from __future__ import annotations

from markupsafe import Markup

from onboarding.ui.markup import fill, join, trusted
from onboarding.ui.render import Routes, ask_button
from onboarding.ui.turns import Turn

STARTERS = 2  # of each route
GROUPS = 6  # fill two or three columns evenly; further routes are in the menu beside each answer
FIRST = ("introduction", "deploy", "rhel10", "plugins", "diagnostics", "contribute")  # a newcomer's order
KEYS = "<kbd>Enter</kbd> sends · <kbd>Shift</kbd>+<kbd>Enter</kbd> new line · <kbd>Esc</kbd> stops"


def starters(routes: Routes, drawing: str = "") -> str:
    """The empty state: what one can ask here, by route; `drawing` is the page's own SVG."""
    names = [*(name for name in FIRST if name in routes), *(name for name in routes if name not in FIRST)]
    offered = [routes[name] for name in names if routes[name].starters][:GROUPS]
    groups = join(
        fill("<section><h3>{}</h3>{}</section>", text.label, _buttons(text.starters[:STARTERS])) for text in offered
    )
    html = '{}<h2>What do you want to set up?</h2><p class="lead">{}</p><div class="starters">{}</div>'
    lead = "The pages that answer come first, quoted and linked. The model's words come after, with their sources."
    return str(fill(html, trusted(drawing), lead, groups))


def _buttons(texts: tuple[str, ...]) -> Markup:
    return join(ask_button(text, "starter") for text in texts)


def hint(text: str = "", kind: str = "") -> str:
    """The line under the composer: how to use it, or why it refused."""
    if text:
        return str(fill('<p class="hint {}" role="alert">{}</p>', kind, text))
    return f'<p class="hint"><span class="keys">{KEYS}</span></p>'


def spoken(turn: Turn | None) -> str:
    """What a screen reader is told, as plain text; it changes seldom, so that streaming does not chatter."""
    if turn is None:
        return ""
    said = {
        "searching": "Looking for sources.",
        "waiting": "Waiting in the queue.",
        "reading": f"{len(turn.sources)} sources found. The model is reading.",
        "writing": "The model is writing.",
        "stopped": "Stopped.",
        "failed": turn.failure or "The answer failed.",
        "done": f"Answer: {turn.text}",
    }
    return said[turn.phase]
