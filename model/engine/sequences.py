"""Track the tokens in the KV cache, and give a new prompt the longest prefix that is already computed.

Running and parked sequences share cells (`kv_unified`), so a new one takes over any prefix they hold in 0.1 ms; what is
no longer resident comes back from the prefix cache. Attention walks over the cells of all sequences, so three parked
conversations cost a generation a sixth of its speed. As soon as another generation begins, parked conversations move
into the prefix cache's RAM, where that has room. A passage that was read behind the system prompt once is laid at any
place of any prompt: its keys are turned to the new position. What is computed behind it differs a little from a prompt
that was read whole, so such states are not kept for others. Call all methods from the engine's thread.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from model.engine.llama import Llama
from model.engine.prompt import PassagePlace
from model.kv_cache.prefix_cache import PrefixCache, Snapshot, prefix_keys
from model.kv_cache.state import moved, unpacked

logger = logging.getLogger(__name__)

T = TypeVar("T")

WHOLE = sys.maxsize  # all of a sequence is as if it had been computed from its first token on


@dataclass(slots=True, eq=False)
class Sequence:
    """The state of one llama.cpp sequence: `tokens` are computed and lie in its cells at positions 0, 1, 2, ..."""

    id: int
    tokens: list[int] = field(default_factory=list)
    shared: tuple[int, ...] = ()  # lengths worth keeping for all: after the system prompt, after the lead passage
    exact: int = WHOLE  # tokens before the first thing laid or cut out: from there on the state differs a little


class Sequences:
    """The sequence ids of one context: free, running, or parked for the next prompt with the same prefix."""

    def __init__(self, llama: Llama, cache: PrefixCache) -> None:
        self._llama = llama
        self._cache = cache
        self._spare = llama.options.sequences - 1  # for moving snapshots in and out
        self._free = list(range(self._spare))
        self._running: list[Sequence] = []
        self._parked: list[Sequence] = []  # least recently used first
        self._token_bytes = 0.0  # of a snapshot, as the last one was

    def open(self, tokens: Seq[int], boundaries: Seq[int], *, exact: bool = False) -> Sequence:
        """Return a running sequence that holds the longest prefix of `tokens` to be had, without the last token.

        boundaries: lengths at which snapshots may exist. exact: only of states that were computed whole, as those that
        are kept for all must be. The last token stays out because its logits are needed.
        """
        sequence = Sequence(self._take_id())
        try:
            self._fill(sequence, tokens, boundaries, exact=exact)
        except BaseException:
            self.discard(sequence)
            raise
        self._running.append(sequence)
        self._set_aside()
        return sequence

    def _fill(self, sequence: Sequence, tokens: Seq[int], boundaries: Seq[int], *, exact: bool) -> None:
        usable = len(tokens) - 1
        covered = self._take_over(sequence, tokens, usable, exact=exact)
        # An answer ended by its length or by Stop lacks the state of its last token: look one before each boundary too.
        ends = {*boundaries, *(end - 1 for end in boundaries if end > 1), len(tokens)}
        covered = min(usable, self._restore(sequence, tokens, covered, sorted(ends), exact=exact))
        sequence.tokens = list(tokens[:covered])

    def _take_over(self, sequence: Sequence, tokens: Seq[int], usable: int, *, exact: bool) -> int:
        wanted = np.asarray(tokens[:usable], dtype=np.int32)

        def usable_of(other: Sequence) -> int:
            common = _common(other.tokens, wanted)
            return min(common, other.exact) if exact else common

        covered, source = max(
            ((usable_of(other), other) for other in [*self._parked, *self._running]),
            key=lambda pair: pair[0],
            default=(0, None),
        )
        if source is None or covered == 0:
            return 0
        self._llama.share(source.id, sequence.id, 0, covered)
        sequence.exact = source.exact if source.exact < covered else WHOLE
        if source in self._parked and covered == len(source.tokens):
            self._release(source)  # the new sequence holds all of it
        elif source in self._parked:
            self._parked.append(self._parked.pop(self._parked.index(source)))
        return covered

    def _restore(self, sequence: Sequence, tokens: Seq[int], covered: int, ends: Seq[int], *, exact: bool) -> int:
        """Lay snapshots end to end behind what is covered, the longest first; return the tokens covered then."""
        keys = prefix_keys(tokens, ends)
        while keys:
            beyond = [end for end in sorted(keys, reverse=True) if end > covered and self.is_kept(keys[end])]
            known = (s for s in map(self._known, (keys[e] for e in beyond)) if s and s.start <= covered)
            found = next((snapshot for snapshot in known if snapshot.is_exact or not exact), None)
            if found is None:
                break
            laid = self._safely_laid(found.key, partial(unpacked, found.data), sequence, covered, found.end)
            if laid is None:
                keys = {end: key for end, key in keys.items() if key != found.key}  # computed afresh
                continue
            if not laid:
                break
            if not found.is_exact:
                sequence.exact = min(sequence.exact, found.start)
            covered = found.end
        self._llama.forget(sequence.id, len(tokens) - 1, -1)  # a snapshot of the very prompt reaches one too far
        return covered

    def is_kept(self, key: bytes) -> bool:
        """Return True where the prefix cache has a state, False where it has not or fails."""
        return bool(self._asked(lambda: key in self._cache))

    def _known(self, key: bytes) -> Snapshot | None:
        return self._asked(lambda: self._cache.get(key))

    def _asked(self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except Exception as error:  # what it does not give is computed
            logger.warning("the prefix cache fails: %s", type(error).__name__)
            return None

    def _safely_laid(
        self, key: bytes, data: Callable[[], bytes], sequence: Sequence, start: int, end: int
    ) -> bool | None:
        """Return what `_lay` does; None for a state that cannot be laid, which is dropped, for it would fail again."""
        try:
            return self._lay(data(), sequence, start, end)
        except Exception as error:  # whatever is wrong with a state, its tokens can be computed
            logger.warning("a kept state cannot be used and is dropped: %s", type(error).__name__)
            self._llama.forget(self._spare)
            self._llama.forget(sequence.id, start, -1)
            self._cache.drop(key)
            return None

    def _lay(self, data: bytes, sequence: Sequence, start: int, end: int) -> bool:
        """Give a sequence the positions [start, end) of a state; return False where no cells are free for it."""
        laid = self._llama.restore(self._spare, data)
        while not laid and self.evict():
            laid = self._llama.restore(self._spare, data)
        if laid:
            self._llama.share(self._spare, sequence.id, start, end)
        self._llama.forget(self._spare)
        return laid

    def lay_passage(self, sequence: Sequence, place: PassagePlace, tokens: Seq[int]) -> bool:
        """Lay the rest of a passage that begins before the sequence's end; return False where its state is not at hand.

        tokens: of the prompt. What was computed of the passage already stays.
        """
        snapshot = self._known(place.key) if self._llama.rotation else None
        if snapshot is None or self._llama.rotation is None or snapshot.end - snapshot.start != place.end - place.start:
            return False
        held, rotation = len(sequence.tokens), self._llama.rotation
        if not self._safely_laid(
            place.key, lambda: moved(snapshot.data, place.start - snapshot.start, rotation), sequence, held, place.end
        ):
            return False
        sequence.exact = min(sequence.exact, place.start)
        sequence.tokens.extend(tokens[held : place.end])
        return True

    def holds(self, tokens: Seq[int], end: int) -> bool:
        """Return True where the state of tokens[:end] lies in the prefix cache; it is then counted as used now."""
        return self._cache.use(prefix_keys(tokens, [end])[end])

    def _set_aside(self) -> None:
        """Move parked conversations to RAM while it has room for them.

        A prompt in the middle of its prefill stays: its end is no boundary, so no prompt would find it again.
        """
        for sequence in [sequence for sequence in self._parked if sequence.shared and self._can_save(sequence)]:
            if (len(sequence.tokens) - max(sequence.shared)) * self._token_bytes <= self._cache.ram_room:
                self._give_up(sequence)

    def cut(self, sequence: Sequence, start: int, end: int) -> None:
        """Remove tokens [start, end) from a sequence and close the gap, without computing anything again."""
        held = len(sequence.tokens)
        if held <= start:
            return
        if held <= end or not self._llama.can_shift:
            self._llama.forget(sequence.id, start, -1)
            del sequence.tokens[start:]
            return
        # Turning keys would turn cells that other sequences share: this one's tail moves to cells of its own.
        self._llama.share(sequence.id, self._spare, end, -1)
        tail, rotation = self._llama.save(self._spare), self._llama.rotation
        self._llama.forget(self._spare)
        self._llama.forget(sequence.id, start, -1)
        moved_on = moved(tail, start - end, rotation) if rotation else tail
        if not self._lay(moved_on, sequence, start if rotation else end, -1):
            raise MemoryError("no KV cells are free to shift a conversation")
        if not rotation:
            self._llama.shift(sequence.id, end, held, start - end)
        del sequence.tokens[start:end]
        sequence.exact = min(sequence.exact, start)

    def _can_save(self, sequence: Sequence) -> bool:
        """Return False for keys that llama.cpp turns at its next decode only: a state saved before that is torn."""
        return sequence.exact >= len(sequence.tokens) or self._llama.rotation is not None

    def keep(self, sequence: Sequence, boundaries: Seq[int], passages: Collection[int] = ()) -> None:
        """Snapshot every shared boundary the sequence has passed and the cache does not hold yet.

        passages: those at which a passage ends that may be laid elsewhere. They are many, so they are kept packed.
        """
        passed = min(len(sequence.tokens), sequence.exact)
        sequence.shared = tuple(sorted(end for end in boundaries if end <= passed))
        keys, start = prefix_keys(sequence.tokens, sequence.shared), 0
        for end in sequence.shared:
            if not self.is_kept(keys[end]):
                self._snapshot(sequence, start, end, keys[end], private=False, compact=end in passages)
            start = end

    def _snapshot(
        self, sequence: Sequence, start: int, end: int, key: bytes, *, private: bool, compact: bool = False
    ) -> None:
        try:
            data = self._saved(sequence, start, end)
            self._token_bytes = len(data) / (end - start)
            snapshot = Snapshot(key, start, end, data, exact=end <= sequence.exact)
            self._cache.put(snapshot, private=private, compact=compact)
        except Exception as error:  # an answer goes on without it
            logger.warning("a state is not kept: %s", type(error).__name__)

    def _saved(self, sequence: Sequence, start: int, end: int) -> bytes:
        try:
            self._llama.share(sequence.id, self._spare, start, end)
            return self._llama.save(self._spare)
        finally:
            self._llama.forget(self._spare)

    def rewind(self, sequence: Sequence) -> None:
        """Remove what a failed step may have left behind the sequence's known tokens."""
        self._llama.forget(sequence.id, len(sequence.tokens), -1)

    def park(self, sequence: Sequence) -> None:
        """Park the sequence of an ended generation; its cells stay until another sequence needs them."""
        self._running.remove(sequence)
        if sequence.tokens:
            self._parked.append(sequence)
        else:
            self._release(sequence)

    def discard(self, sequence: Sequence) -> None:
        """Free a sequence of which nobody knows what its cells hold, and what a fault has left in the spare one."""
        if sequence in self._running:
            self._running.remove(sequence)
        self._llama.forget(self._spare)
        self._release(sequence)

    def evict(self) -> bool:
        """Save the parked sequence used longest ago to RAM and free its cells; return False if none is parked."""
        if not self._parked:
            return False
        self._give_up(self._parked[0])
        return True

    def _give_up(self, parked: Sequence) -> None:
        start, end = max(parked.shared, default=0), len(parked.tokens)
        if end > start and self._can_save(parked):
            self._snapshot(parked, start, end, prefix_keys(parked.tokens, [end])[end], private=True)
        self._release(parked)

    def _take_id(self) -> int:
        if not self._free and not self.evict():
            raise MemoryError("every sequence is running")
        return self._free.pop()

    def _release(self, sequence: Sequence) -> None:
        if sequence in self._parked:
            self._parked.remove(sequence)
        self._llama.forget(sequence.id)
        self._free.append(sequence.id)


def _common(held: list[int], wanted: np.ndarray) -> int:
    """Return the length of the common prefix."""
    length = min(len(held), len(wanted))
    differing = np.nonzero(np.asarray(held[:length], dtype=np.int32) != wanted[:length])[0]
    return int(differing[0]) if len(differing) else length
