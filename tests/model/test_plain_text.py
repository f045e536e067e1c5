"""Text that nobody can see is taken out, text that somebody writes stays."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.prompting.plain_text import MAX_MARKS, plain


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ("a\x00b\x07c\x08\x1f\x7f", "abc"),
        ("a\u0080\u009fb", "ab"),
        ("tab\tand\r\nnew\rlines\u2028here\u0085too", "tab\tand\nnew\nlines\nhere\ntoo"),
        ("\x1b[31;1mred\x1b[0m \x1b[2J\x1b[Hhome", "red home"),
        ("\x9b31mred \x9b0m", "red "),
        ("\x1b]0;title\x07x\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "xlink"),
        ("\x1bc\x1b(B\x1b", ""),
        ("user\u202egpj.exe\u202c \u2066x\u2069 \u200ey\u061c", "usergpj.exe x y"),
        ("hi\U000e0001\U000e0069\U000e006f\U000e007f", "hi"),
        ("ig\u200bno\u2060re\ufeff so\u00adft \u3164\u115f\uffa0", "ignore soft "),
        ("x" + "".join(chr(0xFE00 + n) for n in range(16)) + "".join(chr(0xE0100 + n) for n in range(99)), "x"),
        ("lone \ud800 and \udfff", "lone  and "),
        ("a\u200cb \u200d", "ab "),
        ("می\u200c\u200d\u200c\u200dشود", "می\u200cشود"),
        ("Z" + "\u0351" * 100, "Z" + "\u0351" * MAX_MARKS),
    ],
)
def test_what_nobody_sees_is_taken_out(sent: str, left: str) -> None:
    assert plain(sent) == left


@pytest.mark.parametrize(
    "text",
    [
        "sudo -E ./deploy.sh  # comment\n\tindented",
        "می‌شود",  # joiner within a Persian word
        "👨‍👩‍👧 ❤️ 🏳️‍🌈",
        "Tiếng Việt, čeština, 日本語、한국어, العَرَبِيَّة, हिन्दी, ไทยที่นี่",
        "ẹ́̀ and Z͑ͫ̓",
        "раypal in Cyrillic stays: it is visible",
    ],
)
def test_what_somebody_writes_stays(text: str) -> None:
    assert plain(text) == text


@settings(deadline=None, max_examples=500)
@given(
    st.text(max_size=80) | st.text("aé[m1;\x1b\x9b\x9d\x07\u200b\u200c\u200d\ufe0e\ufe0f\u0301\ud800\n\r", max_size=40)
)
def test_nothing_hidden_is_left_and_a_second_time_changes_nothing(text: str) -> None:
    left = plain(text)
    assert plain(left) == left
    assert not {c for c in left if unicodedata.category(c) == "Cc"} - {"\n", "\t"}
    assert not [c for c in left if "\ud800" <= c <= "\udfff" or "\U000e0000" <= c <= "\U000e0fff"]
    left.encode()


@pytest.mark.parametrize(
    "text",
    [
        "e" + "\u0301" * 100_000,
        *(opening * 100_000 for opening in ("\x1b]", "\x1b[", "\x9b", "\x90", "\u200c", "é\ufe0f", "\u202e", "\ud800")),
    ],
)
def test_long_runs_leave_little(text: str) -> None:
    assert len(plain(text)) <= 200_000
    assert len(plain(text).replace("é\ufe0f", "")) <= 1 + MAX_MARKS
