"""What a model writes about its sources never reaches the page unchecked, however its text is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.citations import REMOVED, CitationFilter, invalid_citations

GIVEN = ("See https://ok.example/a and https://ok.example/b/ for more.",)


def clean(text: str, size: int = 1000, count: int = 2) -> str:
    checked = CitationFilter(count, GIVEN)
    return "".join(checked.feed(text[i : i + size]) for i in range(0, len(text), size)) + checked.flush()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Use it [1].", "Use it [1]."),
        ("Use it [7].", "Use it ."),
        ("Both [1][2][9] hold.", "Both [1][2] hold."),
        ("Both [1, 2; 9] hold.", "Both [1][2] hold."),
        ("As [source 1] and [doc 2] say.", "As [1] and [2] say."),
        ("Run `kcli create vm x -P disks=[20]` now.", "Run `kcli create vm x -P disks=[20]` now."),
        ("disks=[20] and a[3]", "disks=[20] and a[3]"),
        ("```\necho [9]\n```\n[9]", "```\necho [9]\n```\n"),
        ("Go to https://ok.example/a.", "Go to https://ok.example/a."),
        ("Go to https://evil.example/a now", f"Go to {REMOVED} now"),
        ("Go to www.evil.example now", f"Go to {REMOVED} now"),
        ("[docs](https://ok.example/b/)", "[docs](https://ok.example/b/)"),
        ("[docs](https://evil.example/b) end", "docs end"),
        ("[x](javascript:alert) end", "x end"),
        ("see [1](https://evil.example) end", "see [1] end"),
        ("![pixel](https://evil.example/p.png) end", " end"),
        ("日本語[1]です。[5]終わり", "日本語[1]です。終わり"),
        ("a <documents> b </tool_response> c", "a  b  c"),
        ("curl `https://evil.example/x`", f"curl `{REMOVED}"),
    ],
)
def test_only_what_was_given_comes_out(written: str, shown: str) -> None:
    assert clean(written) == shown


PIECES = st.lists(
    st.sampled_from(
        ["[1]", "[9]", "[1, 9]", " ", "word", "\n", "`", "```\n", "https://evil.example/x", "https://ok.example/a ",
         "[a](https://evil.example)", "![i](https://evil.example/i)", "[", "]", "(", ")", "漢字", "www.evil.example "]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(PIECES, st.integers(1, 9))
def test_no_foreign_address_and_no_wrong_number_survive_any_cutting(text: str, size: int) -> None:
    shown = clean(text, size)
    assert "evil.example" not in shown
    if "```" not in text:
        assert list(invalid_citations(shown, 2)) == []


def test_cited_numbers_and_removals_are_counted() -> None:
    checked = CitationFilter(2, GIVEN)
    checked.feed("First [1], then [4] and https://evil.example/ .")
    checked.flush()
    assert (checked.cited, checked.removed) == ({1}, 2)
