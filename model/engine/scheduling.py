"""Learn from each step how fast this machine computes, and size the next step."""

from __future__ import annotations

READER_PAUSE_S = 0.7  # longest step while somebody reads an answer: slower and the text stutters
LONE_STEP_S = 4.5  # longest step otherwise: a newcomer joins after it
LONE_ROWS = 64  # two cores read clearly slower per row below this, and 11 % faster at 256
LEAST_ROWS = 4  # a prompt always moves on
MEMORY = 0.7  # weight of the past in the running averages
SIZES = (512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, LEAST_ROWS)


class Pace:
    """The running averages of seconds per row, by size of the step; small steps cost more per row."""

    def __init__(self, seconds_per_row: float = 0.05) -> None:
        self._per_row: dict[int, float] = {}  # by bit length of the number of rows
        self._guess = seconds_per_row

    def learn(self, rows: int, seconds: float) -> None:
        """Take in one step of `rows` rows that took `seconds`."""
        bucket = rows.bit_length()
        old = self._per_row.get(bucket)
        new = seconds / rows
        self._per_row[bucket] = new if old is None else MEMORY * old + (1 - MEMORY) * new

    def seconds(self, rows: int) -> float:
        """Return the expected seconds of a step of `rows` rows, from steps of that or the nearest size seen."""
        if not self._per_row:
            return rows * self._guess
        nearest = min(self._per_row, key=lambda bucket: abs(bucket - rows.bit_length()))
        return rows * self._per_row[nearest]

    def slice(self, decoding: int) -> int:
        """Return how many prompt rows the next step may carry beside `decoding` rows of answers."""
        limit = READER_PAUSE_S if decoding else LONE_STEP_S
        fitting = next((size for size in SIZES if self.seconds(size + decoding) <= limit), LEAST_ROWS)
        return min(fitting, SIZES[0] - decoding) if decoding else max(fitting, LONE_ROWS)

    def prefill_s(self, remaining: int, decoding: int) -> float:
        """Return the expected seconds to read `remaining` prompt tokens in slices of the present size."""
        rows = self.slice(decoding)
        return remaining / rows * self.seconds(rows + decoding)


def share(room: int, wanted: list[int]) -> list[int]:
    """Return how many of `room` rows each prompt gets, which wants `wanted` rows: equal parts, leftovers to the others.

    So a short prompt finishes early however long its neighbours are, and no prompt waits long without a row.
    """
    given = [0] * len(wanted)
    open_ = [i for i, rows in enumerate(wanted) if rows]
    while room > 0 and open_:
        part = max(1, room // len(open_))
        for i in list(open_):
            take = min(part, wanted[i] - given[i], room)
            given[i] += take
            room -= take
            if given[i] == wanted[i]:
                open_.remove(i)
    return given
