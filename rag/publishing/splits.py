"""Split pages into train, validation and test, the same way in every dataset made of them."""

import random
from collections.abc import Iterable

SPLITS = ("train", "validation", "test")
HELD_OUT = 0.1  # share of the names in each of validation and test
FEWEST = 3  # names; with fewer all are for training


def split_of(names: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Return the split of each name: a tenth for validation, a tenth for test, at least one each."""
    shuffled = sorted(set(names))
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - no secrets
    held = max(1, round(HELD_OUT * len(shuffled))) if len(shuffled) >= FEWEST else 0
    return {name: SPLITS[(at < 2 * held) + (at < held)] for at, name in enumerate(shuffled)}
