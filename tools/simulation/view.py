"""Show a machine at one moment: compute figures that wander and counters that grow from its seed and the clock.

The module stores nothing between calls, so two processes give the same figures for the same moment.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

from tools.simulation.machine import Machine

WAVES = ((47.0, 0.6), (11.0, 0.3), (2.3, 0.1))  # (period in s, share): figures move every second and never jump
COUNTER_PERIOD_S = 600.0  # counters grow faster and slower over ten minutes


@dataclass(frozen=True, slots=True)
class HostView:
    """One machine at one moment: the first argument of every tool."""

    machine: Machine
    now: float  # true time, seconds since the epoch

    @property
    def clock(self) -> float:
        """Return seconds since the epoch by the host's own clock."""
        return self.now + self.machine.clock.offset_s

    @property
    def uptime_s(self) -> float:
        """Return seconds since the last boot."""
        day = 86_400.0
        clock = self.machine.clock
        return clock.least_uptime_days * day + (self.now + self._phase("boot") * day) % (clock.reboot_every_days * day)

    @property
    def boot_time(self) -> float:
        """Return the last boot, whole seconds since the epoch by the host's own clock, as the kernel gives it."""
        return float(round(self.clock - self.uptime_s))

    def level(self, name: str, mean: float, swing: float, least: float = 0.0, most: float = math.inf) -> float:
        """Return a figure that wanders around `mean` by at most `swing`; figures of different names move apart."""
        wave = sum(
            share * math.sin(2 * math.pi * self.now / period + self._phase(f"{name}/{period}"))
            for period, share in WAVES
        )
        return min(most, max(least, mean + swing * wave))

    def counter(self, name: str, per_second: float) -> int:
        """Return a counter since boot, which grows by `per_second` on average and never runs backwards."""
        turn, phase = 2 * math.pi / COUNTER_PERIOD_S, self._phase(name)
        wave = (math.cos(phase) - math.cos(turn * self.uptime_s + phase)) / turn
        # integral of per_second * (1 + 0.5 * sin(turn * t + phase)), whose integrand is never negative
        return int(per_second * (self.uptime_s + 0.5 * wave))

    def _phase(self, name: str) -> float:
        """Return a fixed angle in 0..2 pi for a name on this machine."""
        return zlib.crc32(f"{self.machine.seed}/{name}".encode()) / 2**32 * 2 * math.pi
