"""Pack rows about the same passages into one sequence: what they share is read once, and each reads on for itself.

A token sees what all share and its own row, at the positions of its own row, so a pack trains as its rows alone do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from model.tuning.rows import EncodedRow

SHARED = 0  # the branch of tokens that all rows of a pack see; the rows are 1, 2, 3, ...


@dataclass(frozen=True, slots=True)
class Pack:
    """The tokens of some rows, what is learnt of them, their positions, and to which row each belongs.

    As a dict it is a data set's row, which `batch` takes.
    """

    input_ids: list[int]
    labels: list[int]
    position_ids: list[int]
    branches: list[int]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return max(self.branches)


def packs(examples: Sequence[EncodedRow], window: int, seed: int = 0) -> list[Pack]:
    """Return packs of at most `window` tokens with every example once, in an order drawn at random."""
    chance = random.Random(seed)  # noqa: S311 - no secrets
    drawn = sorted(chance.sample(examples, len(examples)), key=_shared)
    made = [_pack(rows) for _, group in groupby(drawn, key=_shared) for rows in _fitting(list(group), window)]
    chance.shuffle(made)
    return made


def drawn(made: Sequence[Pack], rows: int) -> list[Pack]:
    """Return the first packs that hold `rows` rows together, all for 0."""
    kept, held = [], 0
    for pack in made:
        if rows and held >= rows:
            break
        kept.append(pack)
        held += pack.rows
    return kept


def batch(given: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
    """Return one pack as a model takes it: its tokens, labels and positions, and a mask, [1, 1, tokens, tokens]."""
    import torch

    (pack,) = given
    branches = torch.tensor(pack["branches"])
    seen = (branches[None, :] == SHARED) | (branches[None, :] == branches[:, None])
    mask = torch.tril(seen)[None, None]
    ids = {name: torch.tensor([pack[name]]) for name in ("input_ids", "labels", "position_ids")}
    return {**ids, "attention_mask": mask}


def _shared(example: EncodedRow) -> list[int]:
    return example.tokens[: example.shared]


def _fitting(rows: list[EncodedRow], window: int) -> Iterator[list[EncodedRow]]:
    """Yield the rows in groups that fit, one row at least."""
    group, size = list[EncodedRow](), 0
    for row in rows:
        own = len(row.tokens) - row.shared
        if group and size + own > window:
            yield group
            group, size = [], 0
        size += own if group else len(row.tokens)
        group.append(row)
    if group:
        yield group


def _pack(rows: Sequence[EncodedRow]) -> Pack:
    shared = rows[0].shared
    pack = Pack(rows[0].tokens[:shared], rows[0].labels[:shared], list(range(shared)), [SHARED] * shared)
    for number, row in enumerate(rows, 1):
        pack.input_ids.extend(row.tokens[shared:])
        pack.labels.extend(row.labels[shared:])
        pack.position_ids.extend(range(shared, len(row.tokens)))
        pack.branches.extend([number] * (len(row.tokens) - shared))
    return pack
