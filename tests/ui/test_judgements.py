"""Each judgement of any streamed answer shows exactly once on the page, in markup that a browser need not mend."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from model.checking.gate import PLACE, Judged
from model.engine.events import TextDelta
from model.prompting.conversation import Conversation
from onboarding.assistant.turns import Turn, advance_all
from onboarding.ui.chat.render import turn_parts
from tests.fakes import ROUTES
from tests.model.test_gate import PARTS, pieces


class Shown(HTMLParser):
    """Counts judgements, and the tags that do not fit together."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.judgements = self.faults = 0
        self._open: list[str] = []
        self.feed(html)
        self.faults += len(self._open)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = dict(attrs).get("class") or ""
        self.judgements += name in ("left-out", "unfound")
        self.faults += tag == "details" and "p" in self._open  # the paragraph would end there
        if tag not in ("br", "hr"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.faults += not self._open or self._open.pop() != tag


@settings(deadline=None)  # a loaded machine makes single runs slow
@cases(st.lists(st.sampled_from(PARTS), max_size=16), st.integers(1, 9))
def test_each_judgement_is_shown_once_and_the_markup_holds(parts: list[str], step: int) -> None:
    written = [piece for piece in pieces("".join(parts), step) if piece]
    events = [TextDelta(piece) if isinstance(piece, str) else piece for piece in written]
    html = turn_parts(advance_all(Turn("t", "q", Conversation("c")), events), ROUTES, last=True)["answer"]
    shown = Shown(html)
    assert shown.judgements == sum(isinstance(piece, Judged) for piece in written)
    assert (shown.faults, PLACE in html) == (0, False)
