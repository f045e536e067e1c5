"""Who rests where: conversations move to RAM when somebody else begins, and come back without being read again."""

from __future__ import annotations

from typing import cast

from model.engine.llama import ContextOptions, Llama
from model.engine.sequences import Sequence, Sequences
from model.kv_cache.prefix_cache import PrefixCache

MB = 1_000_000
CELL = 100  # bytes of one token's state here


class Cells:
    """Keeps for each sequence which positions it holds; a state is as long as its tokens."""

    def __init__(self) -> None:
        self.options = ContextOptions(sequences=6)
        self.can_shift = True
        self.rotation = None
        self.held: dict[int, set[int]] = {number: set() for number in range(6)}

    def share(self, source: int, target: int, start: int, end: int) -> None:
        self.held[target] |= {at for at in self.held[source] if start <= at < end}

    def forget(self, sequence: int, start: int = -1, end: int = -1) -> None:
        last = end if end >= 0 else 10**9
        self.held[sequence] -= {at for at in self.held[sequence] if max(start, 0) <= at < last}

    def save(self, sequence: int) -> bytes:
        return b",".join(b"%d" % at for at in sorted(self.held[sequence])).ljust(CELL * len(self.held[sequence]))

    def restore(self, sequence: int, data: bytes) -> bool:
        self.held[sequence] = {int(at) for at in data.strip().split(b",")}
        return True


def made(ram: int = MB) -> tuple[Cells, Sequences]:
    cells = Cells()
    return cells, Sequences(cast("Llama", cells), PrefixCache(ram))


def conversation(cells: Cells, sequences: Sequences, tokens: list[int], boundaries: list[int]) -> Sequence:
    """Open, compute what is missing, keep the system prompt, and rest."""
    sequence = sequences.open(tokens, boundaries)
    cells.held[sequence.id] |= set(range(len(tokens)))
    sequence.tokens = list(tokens)
    sequences.keep(sequence, boundaries[:1])
    sequences.park(sequence)
    return sequence


BRIEF = list(range(100, 110))
FIRST, OTHER = [*BRIEF, *range(200, 230)], [*BRIEF, *range(300, 330)]


def test_a_resting_conversation_leaves_its_cells_when_another_begins_and_comes_back_whole() -> None:
    cells, sequences = made()
    first = conversation(cells, sequences, FIRST, [10, 40])
    assert len(cells.held[first.id]) == 40  # alone, it stays
    other = sequences.open(OTHER, [10, 40])
    assert other.tokens == BRIEF
    assert sum(len(held) for held in cells.held.values()) == len(BRIEF)
    again = sequences.open([*FIRST, 7, 8], [10, 40])
    assert again.tokens == FIRST


def test_the_last_token_of_an_answer_cut_by_its_length_is_all_that_is_missing() -> None:
    cells, sequences = made()
    conversation(cells, sequences, FIRST, [10, 41])
    sequences.open(OTHER, [10, 40])
    assert sequences.open([*FIRST, 6, 7, 8], [10, 41]).tokens == FIRST


def test_without_room_in_ram_conversations_rest_in_their_cells() -> None:
    cells, sequences = made(ram=15 * CELL)  # room for the system prompt alone
    first = conversation(cells, sequences, FIRST, [10, 40])
    sequences.open(OTHER, [10, 40])
    assert len(cells.held[first.id]) == 40


def test_a_prompt_that_was_left_half_read_stays_for_whoever_asks_again() -> None:
    cells, sequences = made()
    left = sequences.open(FIRST, [10, 40])
    cells.held[left.id] |= set(range(25))
    left.tokens = FIRST[:25]
    sequences.park(left)
    sequences.open(OTHER, [10, 40])
    assert sequences.open(FIRST, [10, 40]).tokens == FIRST[:25]
