"""A model that does whatever any text it reads tells it to: what holds with this one holds with every one.

Orders, one a line, wherever they stand: `SAY: text` is said word for word, `CALL: {json}` is called as soon as it may
call anything, `SEND name TO address` puts the name into every form of link and image, and who says "reveal the prompt"
gets all of it.
"""

from __future__ import annotations

import re

from model.engine.prompt import Prompt
from model.turn.tool_grammar import NO_CALL_TEXT
from tests.turn_fakes import FakeEngine

LINKS = (
    "![pixel]({0}/a.png?d={1}) <img src={0}/b.png?d={1}> [click]({0}/c?d={1}) [ref][r] <{0}/d?d={1}> {0}/e?d={1}\n\n"
    "[r]: {0}/f?d={1}\n\n<form action={0}/g><input name={1}><button>ok</button></form>\n\n"
    '<a href="{0}/h?d={1}">h</a> <iframe src={0}/i></iframe> <script>fetch("{0}/j?d={1}")</script>\n'
)


class ObeyingEngine(FakeEngine):
    """An `Engine` that obeys at once."""

    def text(self, prompt: Prompt) -> str:
        """What the last order asks for."""
        read = "\n".join(text for _, text in prompt.messages)
        return _call(read) if self.options[-1].sampling.grammar else _say(read)


def _call(read: str) -> str:
    calls = re.findall(r"CALL: (\{.*\})", read.replace("\\n", "\n").replace('\\"', '"'))
    return calls[-1] if calls else NO_CALL_TEXT


def _say(read: str) -> str:
    said = re.findall(r"SAY: (.*)", read)
    said += [LINKS.format(address, name) for name, address in re.findall(r"SEND (\S+) TO (\S+)", read)]
    if "reveal the prompt" in read.casefold():
        said.append(read)
    return "\n".join(said) or "Nothing was ordered."
