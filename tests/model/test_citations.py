"""What a model writes about its sources never reaches the page unchecked, however its text is cut into pieces."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checking.attribution import citations
from model.checking.citations import INDEX, REMOVED, CitationFilter

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
        ("disks=[20] and a[3] and a[3][4]", "disks=[20] and a[3] and a[3][4]"),
        ("[see][9] and ![1][1][9] end", "[see] and  end"),
        ("```\necho [9]\n```\n[9]", "```\necho [9]\n```\n"),
        ("Go to https://ok.example/a.", "Go to https://ok.example/a."),
        ("Go to https://evil.example/a now", f"Go to {REMOVED} now"),
        ("https://evil.example/x[1, 9][9]", f"{REMOVED}[1]"),
        ("Go to www.evil.example now", f"Go to {REMOVED} now"),
        ("[docs](https://ok.example/b/)", "[docs](https://ok.example/b/)"),
        ("[docs](https://evil.example/b) end", "docs end"),
        ("[x](javascript:alert) end", "x end"),
        ("see [1](https://evil.example) end", "see [1] end"),
        ("![pixel](https://evil.example/p.png) end", " end"),
        ("日本語[1]です。[5]終わり", "日本語[1]です。終わり"),
        ("a <documents> b </tool_response> c", "a  b  c"),
        ("curl `https://evil.example/x`.", f"curl `{REMOVED}`."),
        ("日本語[5]です", "日本語です"),
        ("See café[5] now", "See café now"),
        ("As in [1]: run this.", "As in [1]: run this."),
        ("[1]: https://evil.example x\nend", "\nend"),
        ("  [home]:\n//evil.example\n\n[home]", "\n//evil.example\n\n[home]"),
        ("   ```bash\necho [9]\n   ```\n[9]", "   ```bash\necho [9]\n   ```\n"),
        ("````\n```\necho [9]\n```\n````\n[9]", "````\n```\necho [9]\n```\n````\n"),
        ("```\n```bash\n[9]\n```\n[9]", "```\n```bash\n[9]\n```\n"),
        ("```a`b\n[9]", "```a`b\n"),
        ("```\ncurl https://evil.example/x\n```", f"```\ncurl {REMOVED}\n```"),
        ("https://évil.example/x y", f"{REMOVED}vil.example/x y"),
        ("mailto:me@evil.example or <https://evil.example/>", f"{REMOVED} or {REMOVED}"),
        ("[https://evil.example/a](https://evil.example/b) end", f"{REMOVED} end"),
        ("[https://evil.example/a](https://ok.example/a) end", f"[{REMOVED}](https://ok.example/a) end"),
        ('[a](https://ok.example/a "https://evil.example") end', "[a](https://ok.example/a) end"),
        ("[two\nlines](//evil.example) end", "[two\nlines] (//evil.example) end"),
        ("[a [b] c](//evil.example) end", "[a [b] c] (//evil.example) end"),
        ("![a [b]](//evil.example) end", "] (//evil.example) end"),
        ("[docs](/gradio_api/upload) end", "docs end"),
        ("![i][home] end", " end"),
        ("a </Documents> b <tool_call> c", "a  b  c"),
    ],
)
def test_only_what_was_given_comes_out(written: str, shown: str) -> None:
    assert clean(written) == shown


PIECES = st.lists(
    st.sampled_from(
        ["[1]", "[9]", "[1, 9]", "[source 2]", " ", "word", "\n", "`", "```", "```\n", "   ", "https://evil.example/x",
         "https://ok.example/a ", "[a](https://evil.example)", "[https://evil.example](https://ok.example/a)",
         "[b](https://ok.example/a)", "![i](https://evil.example/i)", "[", "]", "](", "(", ")", "!", ":", "]: ", "disks=",
         "漢字", "é", "www.evil.example ", "<https://evil.example>", "</documents>", "x" * 90]
    ),
    max_size=16,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(PIECES)
def test_no_foreign_address_and_no_wrong_number_survive(text: str) -> None:
    shown = clean(text)
    assert "evil.example" not in shown
    if "```" not in text:
        assert set(citations(re.sub(INDEX, "", shown))) <= {1, 2}  # "a[3]" is code


@settings(deadline=None, max_examples=300)
@given(PIECES, st.data())
def test_it_makes_no_difference_how_the_text_is_cut(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    checked = CitationFilter(2, GIVEN)
    pieces = [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
    assert "".join(map(checked.feed, pieces)) + checked.flush() == clean(text)


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="[]<>:`")))
def test_plain_text_passes_as_it_is(text: str) -> None:
    if "www." not in text.casefold():
        assert clean(text, 3) == text


def test_text_comes_at_most_a_word_late() -> None:
    checked = CitationFilter(2, GIVEN)
    assert [checked.feed(piece) for piece in ("It is ", "refu", "sed [1", "]. ", "Next ")] == [
        "It is ", "", "refused ", "[1]. ", "Next ",
    ]  # fmt: skip


def test_a_bracket_that_never_closes_is_let_go_as_text() -> None:
    checked = CitationFilter(2, GIVEN)
    assert len(checked.feed("[never " + "word " * 200)) > 300


@pytest.mark.parametrize("address", ["https://ok.example/a", "https://ok.example/b", "https://ok.example/b/"])
def test_an_address_is_the_same_with_and_without_its_last_slash(address: str) -> None:
    assert clean(f"At {address}, see.") == f"At {address}, see."


def test_without_sources_no_number_is_valid() -> None:
    assert clean("So [1] and [0].", count=0) == "So  and ."


def test_removals_are_counted() -> None:
    checked = CitationFilter(2, GIVEN)
    checked.feed("First [1], then [4] and https://evil.example/ .")
    checked.flush()
    assert checked.removed == 2
