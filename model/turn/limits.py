"""The limits of one turn that an operator may want to turn, each with the reason for its value."""

from __future__ import annotations

from dataclasses import dataclass

CHARS_OF_THREE_PASSAGES = 2200  # about 600 tokens: half a minute of reading on two cores when nothing is cached


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """The most that a turn reads and writes.

    All that a generation reads and writes shares one context window (`EngineOptions.window`, 4096 tokens). Four
    characters are about one token, so the system prompt (150 tokens), the passages, the tools' results, the question
    and the answer must fit it together; the oldest turns give way first, and a turn that does not fit alone is refused.
    Two cores read 20 to 70 tokens a second and write 5 to 20, so each value is also seconds that a visitor waits.
    """

    passages: int = 3  # that the model reads; the page shows all that were found, five or more
    passage_chars: int | None = None  # of all passages together; None grows with `passages`, 2200 for three
    answer_tokens: int = 320  # the engine ends an answer there (`LocalEngine._write`); the stand-in's ends at 120
    question_tokens: int = 1000  # of one message; a longer one is refused with this number
    tool_result_chars: int = 2400  # of all results together: about 700 tokens, half a minute of reading on two cores
    tool_rounds: int = 2  # checks that the model may choose one after the other; each reads and writes ~5 s more
    deadline_s: float = 180.0  # of one generation from its start in a slot; it ends with what it has written by then

    @property
    def room(self) -> int:
        """The characters that the passages share; the model reads the lead passage whole even if it is longer."""
        return round(self.passages * CHARS_OF_THREE_PASSAGES / 3) if self.passage_chars is None else self.passage_chars


USUAL_LIMITS = TurnLimits()
