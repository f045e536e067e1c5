"""Parsers of foreign bytes on their seeds and on everything that the fuzzer ever found."""

from __future__ import annotations

import pytest

from tests.hardening import fuzzing
from tests.hardening.parsers import TARGETS

FOUND: dict[str, list[bytes]] = {
    "documents": [
        b"",
        b"\x00# A heading and nothing else",
        b"\x02questions:\n- a\n  b\n  c\n-\n  d:\nlast:\n  - x: 1\n  - y: 2\n  - z:",
        b"\x02a:\n  b:\n    c:\n      d:\n",
        b"\x00---\na: 2024-99-99\n---\nx",
    ],
    "front-matter": [b"---\na: 2024-99-99\n---\n", b"---\na: !!int x\n---\n", b"---\n" + b"[" * 3000 + b"\n---\n"],
    "manifest": [b'{"skipped": [], "files": []}', b"[" * 100_000, b"\xff", b"1", b'{"skipped": 5}'],
    "cache-file": [b"", b"QNKV"],
    "tool-call": [b'{"name": []}', b'{"name": {}}', b"[" * 100_000, b'{"name": "system_info"}', b"NaN"],
    "redactor": [b"|", b"\xff|\x00"],
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_keeps_its_promise_on_every_known_input(name: str) -> None:
    target = TARGETS[name]
    for data in [*target.seeds(), *FOUND[name]]:
        target.check(data)


def test_the_fuzzer_knows_every_parser() -> None:
    assert tuple(TARGETS) == fuzzing.TARGETS
