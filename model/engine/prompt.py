"""Represent a prompt as segments: scaffolding, foreign text, and the boundaries where the prefix cache may cut.

Only scaffolding may become control tokens. Text that a visitor, a page or a tool wrote is data. A passage is a segment
whose state may be computed behind `Prompt.head` alone and be laid wherever the passage stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby

from model.kv_cache.prefix_cache import prefix_keys


class PromptTooLong(ValueError):
    """The error of a text over its limit or a prompt over the context; the message is for the visitor."""


@dataclass(frozen=True, slots=True)
class PromptSegment:
    """The text of one stretch of the prompt; `tokens`, if given, replace it: an answer as the KV cache has it."""

    text: str = ""
    tokens: tuple[int, ...] | None = None
    control: bool = False  # scaffolding of the chat template: role tags become control tokens
    boundary: bool = False  # the state after this segment is worth a snapshot
    passage: bool = False  # the same text for everybody, whatever stands before it
    private: bool = False  # a visitor's own: states from here on never reach the disk
    turn: int = 0  # 0: the system prompt, which is never dropped; 1, 2, ...: the turns, oldest first
    limit: int = 0  # most tokens this text may have, 0 for any
    role: str = ""  # "system", "user" or "assistant", whose message it is part of; "" for scaffolding


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input of a generation; its last turn is the question to answer."""

    segments: tuple[PromptSegment, ...]
    head: tuple[PromptSegment, ...] = ()  # what stands before the first passage of a first question

    @property
    def messages(self) -> tuple[tuple[str, str], ...]:
        """The contents as (role, text), oldest first, for engines that apply a template themselves."""
        return self.worded(lambda segment: segment.text)

    def worded(self, words: Callable[[PromptSegment], str]) -> tuple[tuple[str, str], ...]:
        """Return the messages with each segment in the words that `words` gives it."""
        contents = groupby((s for s in self.segments if s.role), key=lambda segment: (segment.turn, segment.role))
        return tuple((role, "".join(map(words, segments))) for (_, role), segments in contents)

    def encode(self, tokenize: Callable[[str, bool], list[int]], window: int) -> Encoded:
        """Return the token ids; mark the oldest turns for dropping until the rest fits `window` tokens.

        Where the last turn alone does not fit, its passages lose their ends, the last passage first. Raises
        PromptTooLong when a text breaks its own limit or the rest does not fit either.
        """
        last = max((segment.turn for segment in self.segments), default=0)
        whole = [_encode(segment, tokenize) for segment in self.segments]
        pieces = self._fitting(whole, last, window)
        tokens = [token for piece in pieces for token in piece]
        lengths = [0] * (last + 1)
        for segment, piece in zip(self.segments, pieces, strict=True):
            lengths[segment.turn] += len(piece)
        dropped = 0
        while sum(lengths[1 + dropped :]) + lengths[0] > window:
            dropped += 1
            if dropped >= last:
                raise PromptTooLong(
                    f"Your message and its sources need {lengths[0] + lengths[-1]} tokens and {window} fit; shorten it."
                )
        cut = (lengths[0], lengths[0] + sum(lengths[1 : 1 + dropped]))
        return Encoded(tokens, *_boundaries(self.segments, pieces), cut, dropped, self._places(pieces, whole, tokenize))

    def _fitting(self, whole: Sequence[Sequence[int]], last: int, window: int) -> list[Sequence[int]]:
        """Return the pieces with the last turn's passages cut to what fits beside the question on them."""
        pieces = list(whole)
        kept = [segment.turn in (0, last) for segment in self.segments]
        excess = sum(len(piece) for piece, counts in zip(pieces, kept, strict=True) if counts) - window
        for i in reversed(range(len(pieces) - 1)):
            segment = self.segments[i]
            if excess > 0 and segment.passage and segment.turn == last:
                length = max(0, len(pieces[i]) - excess)
                excess -= len(pieces[i]) - length
                pieces[i] = pieces[i][:length]
        return pieces

    def alone(self, passage: PromptSegment) -> Prompt:
        """Return the prompt that reads a passage behind the head, where nobody asks anything."""
        return Prompt((*self.head, replace(passage, boundary=True, turn=1)), self.head)

    def _places(
        self,
        pieces: Sequence[Sequence[int]],
        whole: Sequence[Sequence[int]],
        tokenize: Callable[[str, bool], list[int]],
    ) -> tuple[PassagePlace, ...]:
        if not self.head:
            return ()
        heads = [list(_encode(segment, tokenize)) for segment in self.head]
        head, opening = list(chain(*heads)), list(chain(*heads[-2:]))
        places, at, before = [], 0, list[int]()
        for segment, piece, uncut in zip(self.segments, pieces, whole, strict=True):
            end = at + len(piece)
            if segment.passage and len(piece) == len(uncut):
                places.append(PassagePlace(at, end, _key([*head, *piece]), self.alone(segment)))
            elif segment.turn > 1 and [*before, *piece] == opening:
                places.append(
                    PassagePlace(end - len(opening), end, _key(head), Prompt(self.head, self.head), opens=True)
                )
            at, before = end, list(piece)
        return tuple(places)


@dataclass(frozen=True, slots=True)
class PassagePlace:
    """The place of a passage in a prompt, positions [start, end), and where its state is kept."""

    start: int
    end: int
    key: bytes  # of the state read behind the head alone, see prefix_keys
    alone: Prompt  # the prompt that reads it there
    opens: bool = False  # no passage, but what stands before the passages of a later turn, as at the head's end


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a prompt; `cut` is the stretch of dropped turns, still part of `tokens` and `boundaries`."""

    tokens: list[int]
    boundaries: tuple[int, ...]  # lengths at which a snapshot may exist
    shared: tuple[int, ...]  # those of them that lie before anything private: good for every visitor
    cut: tuple[int, int]  # [start, end) of dropped turns, start == end for none
    dropped: int  # turns
    places: tuple[PassagePlace, ...] = ()  # of the passages, in order

    def kept(self) -> list[int]:
        """Return the tokens without the dropped turns."""
        start, end = self.cut
        return self.tokens[:start] + self.tokens[end:]

    def kept_boundaries(self) -> tuple[int, ...]:
        """Return the boundaries of `kept()`."""
        start, end = self.cut
        return tuple(b if b <= start else b - (end - start) for b in self.boundaries if b <= start or b > end)

    def kept_places(self) -> tuple[PassagePlace, ...]:
        """Return the places in `kept()`."""
        start, end = self.cut
        by = end - start
        return tuple(replace(p, start=p.start - by, end=p.end - by) for p in self.places if p.start >= end)


def _key(tokens: list[int]) -> bytes:
    return prefix_keys(tokens, [len(tokens)])[len(tokens)]


def _encode(segment: PromptSegment, tokenize: Callable[[str, bool], list[int]]) -> Sequence[int]:
    if segment.tokens is not None:
        return segment.tokens
    tokens = tokenize(segment.text, segment.control)
    if segment.limit and len(tokens) > segment.limit:
        raise PromptTooLong(f"Your message is {len(tokens)} tokens long and {segment.limit} are allowed; shorten it.")
    return tokens


def _boundaries(
    segments: Sequence[PromptSegment], pieces: Sequence[Sequence[int]]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ends: list[int] = []
    shared: list[int] = []
    at, private = 0, False
    for segment, piece in zip(segments, pieces, strict=True):
        at += len(piece)
        private = private or segment.private
        if segment.boundary:
            ends.append(at)
            if not private:
                shared.append(at)
    return tuple(ends), tuple(shared)
