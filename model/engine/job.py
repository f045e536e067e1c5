"""Track one generation on the engine's thread: its tokens, its progress and what it has written."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable

from model.engine.events import Counts, Queued, Timings
from model.engine.llama import BatchRow
from model.engine.prompt import Encoded, PassagePlace, Prompt
from model.engine.protocol import Generation, Options
from model.engine.sequences import Sequence
from model.streaming.thoughts import Thoughts

THOUGHT_TOKENS = 512  # that a model may think before its answer; more takes minutes on two cores


class Job:
    """The state of one generation; it is mutable, and only the engine's thread touches it."""

    def __init__(self, prompt: Prompt, options: Options, generation: Generation, *, warm: bool = False) -> None:
        self.prompt = prompt
        self.options = options
        self.generation = generation
        self.warm = warm  # prewarming: no visitor waits for it
        self.submitted = time.monotonic()
        self.started = 0.0
        self.first_token_at: float | None = None
        self.encoded = Encoded([], (), (), (0, 0), 0)
        self.target: list[int] = []  # prompt tokens to be in the KV cache before the answer
        self.boundaries: tuple[int, ...] = ()
        self.places: tuple[PassagePlace, ...] = ()  # of passages that may be laid instead of read
        self.laid = 0  # tokens that were laid
        self.sequence: Sequence | None = None
        self.restored = 0  # tokens that the cache already held at the start
        self.sampler: object | None = None
        self.generated: list[int] = []
        self.thoughts = Thoughts()
        self.ended = False
        self._thought = 0  # tokens
        self._answered = False  # some text was passed on
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._last_queued: Queued | None = None

    def encode(self, tokenize: Callable[[str, bool], list[int]], window: int) -> None:
        """Tokenise the prompt so that it and the longest answer fit `window`; raise PromptTooLong if they cannot."""
        room_for_answer = min(self.options.max_tokens, window // 2)
        self.encoded = self.prompt.encode(tokenize, window - room_for_answer)
        self.target, self.boundaries = self.encoded.tokens, self.encoded.boundaries

    @property
    def running_sequence(self) -> Sequence:
        """Return the sequence of a job that has started; raise RuntimeError before that."""
        if self.sequence is None:
            raise RuntimeError("the job has not been started")
        return self.sequence

    @property
    def reading(self) -> bool:
        """True while part of the prompt is still to be computed."""
        return len(self.running_sequence.tokens) < len(self.target)

    @property
    def remaining(self) -> int:
        """The number of prompt tokens still to be computed."""
        return len(self.target) - len(self.running_sequence.tokens)

    @property
    def dropped(self) -> int:
        """The number of oldest turns that did not fit."""
        return self.encoded.dropped

    @property
    def stretch(self) -> int:
        """The number of prompt tokens up to the next boundary.

        No step crosses a boundary: so the tokens behind a restored snapshot are computed in the same batches as without
        the snapshot, and come out the same to the last bit.
        """
        held = len(self.running_sequence.tokens)
        ends = (*self.boundaries, *(place.start for place in self.places))
        return min((end for end in ends if end > held), default=len(self.target)) - held

    @property
    def place(self) -> PassagePlace | None:
        """The passage whose state may be laid now, from the next position to the passage's end."""
        held = len(self.running_sequence.tokens)
        return next((place for place in self.places if place.start <= held < place.end), None)

    def prompt_rows(self, count: int) -> list[BatchRow]:
        """Return the next `count` rows of the prompt; only its very last one asks for logits."""
        start, sequence = len(self.running_sequence.tokens), self.running_sequence.id
        end = start + count
        return [BatchRow(self.target[i], i, sequence, i == len(self.target) - 1) for i in range(start, end)]

    def next_row(self) -> BatchRow:
        """Return the row of the token written last."""
        sequence = self.running_sequence
        return BatchRow(self.generated[-1], len(sequence.tokens), sequence.id, logits=True)

    def take(self, token: int, piece: bytes) -> str:
        """Note a written token; return the text it completes, "" in the middle of a character or of a thought."""
        if self.first_token_at is None:
            self.first_token_at = time.monotonic()
        self.generated.append(token)
        text = self._told(self._text.decode(piece))
        self._thought += self.thoughts.inside
        return text

    def _told(self, text: str) -> str:
        text = text if self.options.is_bound else self.thoughts.feed(text)
        self._answered = self._answered or bool(text)
        return text

    def rest(self) -> str:
        """Return what is left of an answer that ends within a character, or in what could have begun a thought."""
        text = self._told(self._text.decode(b"", final=True)) + "".join(self.thoughts.rest())
        self._answered = self._answered or bool(text)
        return text

    @property
    def is_written(self) -> bool:
        """True once the answer has as many tokens as it may have; thoughts have a limit of their own."""
        return len(self.generated) - min(self._thought, THOUGHT_TOKENS) >= self.options.max_tokens

    @property
    def only_thought(self) -> bool:
        """True where nothing came but thoughts."""
        return self.thoughts.found and not self._answered

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens that the history may keep: none with thoughts among them, which no later turn reads again."""
        return () if self.thoughts.found else tuple(self.generated)

    def report_queue(self, place: Queued) -> None:
        """Report the place in the queue to the caller if it has changed."""
        if self._last_queued is None or self._last_queued.ahead != place.ahead:
            self._last_queued = place
            self.generation.put(place)

    def counts(self) -> Counts:
        """Return the tokens so far."""
        held = len(self.sequence.tokens) if self.sequence else 0
        read = max(0, min(held, len(self.target)) - self.restored - self.laid)
        return Counts(len(self.target), read, len(self.generated))

    def timings(self) -> Timings:
        """Return the seconds so far."""
        now = time.monotonic()
        first = None if self.first_token_at is None else self.first_token_at - self.submitted
        return Timings((self.started or now) - self.submitted, first, now - self.submitted)
