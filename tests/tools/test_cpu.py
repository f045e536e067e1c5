"""x86-64 levels from the flags of real CPUs, as /proc/cpuinfo spells them."""

from __future__ import annotations

import pytest

from tools.simulation.cpu import LEVELS, missing_flags, x86_64_level

V1 = "fpu cx8 cmov mmx fxsr sse sse2 syscall lm"
V2 = f"{V1} pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm"
V3 = f"{V2} xsave avx f16c fma movbe abm bmi1 avx2 bmi2"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"


@pytest.mark.parametrize(("flags", "level"), [("", 0), (V1, 1), (V2, 2), (V3, 3), (V4, 4), (f"{V3} avx512f", 3)])
def test_a_level_needs_all_its_flags(flags: str, level: int) -> None:
    assert x86_64_level(flags.split()) == level


@pytest.mark.parametrize("flag", sorted(LEVELS[3]))
def test_one_missing_flag_of_level_three_is_level_two(flag: str) -> None:
    flags = set(V4.split()) - {flag}
    assert x86_64_level(flags) == 2
    assert missing_flags(flags, 3) == [flag]


def test_a_hole_far_below_is_not_made_up_for_above() -> None:
    assert x86_64_level(set(V4.split()) - {"popcnt"}) == 1


def test_lzcnt_is_read_under_the_name_linux_gives_it() -> None:
    assert x86_64_level(V3.split()) == 3
    assert x86_64_level(V3.replace("abm", "lzcnt").split()) == 2  # Linux shows no such flag


def test_what_is_missing_includes_the_levels_below() -> None:
    assert missing_flags(V1.split(), 2) == sorted(LEVELS[2])
    assert missing_flags(V4.split(), 4) == []
