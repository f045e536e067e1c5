"""Compute x86-64 microarchitecture levels from the flags in /proc/cpuinfo.

The levels are those of the x86-64 psABI supplement. Linux has other names for some of their features: LZCNT is `abm`,
SSE3 is `pni`, CMPXCHG16B is `cx16`, LAHF-SAHF is `lahf_lm`. A check that looks for the flag `lzcnt` rejects every CPU.
"""

from __future__ import annotations

from collections.abc import Iterable

LEVELS: dict[int, frozenset[str]] = {
    1: frozenset({"lm", "fpu", "cmov", "cx8", "fxsr", "mmx", "syscall", "sse", "sse2"}),
    2: frozenset({"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}),
    3: frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}),
    4: frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
}
RHEL_LEVEL = {8: 1, 9: 2, 10: 3}  # major release of RHEL -> level that it needs


def x86_64_level(flags: Iterable[str]) -> int:
    """Return the highest level 0..4 all of whose flags, and of the levels below, are there; 0 is no x86-64 CPU."""
    present = frozenset(flags)
    reached = 0
    for level, needed in LEVELS.items():
        if not needed <= present:
            break
        reached = level
    return reached


def missing_flags(flags: Iterable[str], level: int) -> list[str]:
    """Return the flags that a CPU lacks for a level 1..4, sorted, as Linux spells them; [] when it has the level."""
    present = frozenset(flags)
    return sorted(flag for number, needed in LEVELS.items() if number <= level for flag in needed - present)
