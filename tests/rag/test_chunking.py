"""Chunking keeps code, tables and small sections together, keeps topics apart, and loses nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.chunking import markdown
from rag.chunking.chunker import CHUNK_CHARS, HEADING_CHARS, UNIT_CHARS, chunk
from rag.chunking.splitting import LONGEST_LINE, clipped, width
from rag.types import Document, Lines, Unit


def units_of(text: str, path: str = "page.md", title: str = "Page") -> list[Unit]:
    return chunk(Document(path, text, title, "0" * 64), lambda document, lines: f"{document.path}#L{lines[0]}")


def lines_of(text: str, lines: Lines) -> str:
    return "\n".join(text.splitlines()[lines[0] - 1 : lines[1]])


def test_a_comment_inside_a_fence_is_not_a_heading() -> None:
    units = units_of("# Page\n\n## Install\n\n```bash\n# install it\nmake\n```\n")
    assert [unit.headings for unit in units] == [("Install",)]
    assert "# install it\nmake" in units[0].text


def test_a_fence_inside_a_list_item_is_kept_whole() -> None:
    units = units_of("## Steps\n\n1. Run\n\n   ```bash\n   # root\n   make\n   ```\n\n1. Done\n")
    assert len(units) == 1
    assert "1. Run\n\n```bash\n# root\nmake\n```\n\n1. Done" in units[0].text


def test_a_fence_that_never_closes_does_not_swallow_the_headings_behind_it() -> None:
    units = units_of("## One\n\n" + "word " * 80 + "\n\n```bash\nmake\n\n## Two\n\n" + "more " * 80)
    assert [unit.headings for unit in units] == [("One",), ("Two",)]


def kinds(text: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in markdown.blocks(text)]


def test_a_fence_on_the_line_of_its_list_item_hides_its_comments() -> None:
    assert kinds("1. ```bash\n   # no heading\n   make\n   ```\n\n## Next\n") == [
        ("code", "```bash\n# no heading\nmake\n```"),
        ("heading", "## Next"),
    ]


def test_commented_out_text_is_no_content() -> None:
    assert kinds("Shown <!-- hidden --> text `<!-- kept -->`.\n\n<!--\n## Draft\n\nHidden.\n-->\n\nEnd.\n") == [
        ("text", "Shown  text `<!-- kept -->`."),
        ("text", "End."),
    ]


def test_headings_inside_quotes_and_lists_open_no_section() -> None:
    assert [kind for kind, _ in kinds("> ## Quoted\n>\n> Text.\n\n- # Listed\n")] == ["text", "text", "text"]


def test_a_table_without_outer_pipes_keeps_rows_under_their_header() -> None:
    rows = "\n".join(f"{port} | service number {port}" for port in range(8000, 8080))
    units = units_of(f"## Ports\n\nPort | Service\n--- | ---\n{rows}\n")
    assert len(units) > 1
    assert all("| Port | Service |\n| --- | --- |" in unit.text for unit in units)


def test_no_unit_is_longer_than_a_model_can_read_whatever_its_lines_are() -> None:
    long = "x" * 48_000
    table = f"| {'h' * 4_000} |\n| --- |\n| a |\n"
    marks = f"{'`' * 5_000}\ncode\n{'`' * 5_000}\n"
    for text in (marks, f"```\n{long}\n```\n", f"```{long}\ncode\n{'y' * 2_000}\n```\n", f"# {long}\n\nText.\n",
                 f"- {long}\n  - {long}\n", table, f"|a|\n|-|\n|{long}|\n", f"> {long}\n", long):  # fmt: skip
        units = units_of(text)
        assert units
        assert max(len(unit.text) for unit in units) <= 2 * UNIT_CHARS
        assert all(len(heading) <= HEADING_CHARS for unit in units for heading in unit.headings)


def test_the_spans_of_a_unit_are_its_blocks() -> None:
    text = "## Steps\n\nFirst:\n\n- one\n  - two\n\n      deep\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```sh\nmake\n```\n"
    for unit in units_of(text):
        assert [(kind, unit.text[start:end]) for kind, start, end in unit.spans] == kinds(unit.text)


def test_a_longer_fence_may_hold_a_shorter_one() -> None:
    blocks = list(markdown.blocks("````md\n```bash\n# no heading\n```\n````\n"))
    assert [block.kind for block in blocks] == ["code"]


def test_the_heading_path_is_kept_with_each_unit() -> None:
    body = "sentence. " * 60
    units = units_of(f"# Page\n\n## Deploy\n\n{body}\n\n### Hetzner\n\n{body}\n\n## Remove\n\n{body}\n")
    assert [unit.headings for unit in units] == [("Deploy",), ("Deploy", "Hetzner"), ("Remove",)]


def test_the_heading_line_is_part_of_the_text() -> None:
    assert units_of("# Page\n\n## Ports\n\nAirflow is on 8888.\n")[0].text.endswith("## Ports\n\nAirflow is on 8888.")


def test_small_sections_under_one_heading_share_a_unit_and_keep_their_own_headings() -> None:
    units = units_of("## Errors\n\n### 401\n\nToken refused.\n\n### 403\n\nTerms not accepted.\n")
    assert len(units) == 1
    assert [piece.headings for piece in units[0].chunks] == [("Errors", "401"), ("Errors", "403")]


def test_large_sections_right_under_the_title_stay_apart() -> None:
    body = "A sentence of some length about this subject. " * 10
    assert len(units_of(f"# Page\n\n## One\n\n{body}\n\n## Two\n\n{body}\n")) == 2


def test_a_table_that_fits_is_one_piece_and_a_longer_one_repeats_its_header() -> None:
    rows = "\n".join(f"| {port} | service number {port} |" for port in range(8000, 8080))
    units = units_of(f"## Ports\n\n| Port | Service |\n| --- | --- |\n{rows}\n")
    assert len(units) > 1
    assert all("| Port | Service |\n| --- | --- |" in unit.text for unit in units)


def test_a_long_code_block_is_cut_at_line_ends_and_fenced_again() -> None:
    code = "\n".join(f"step_{number}  # {'x' * 40}" for number in range(60))
    units = units_of(f"## Script\n\n```bash\n{code}\n```\n")
    assert len(units) > 1
    assert all(unit.text.count("```") == 2 for unit in units)


def test_line_ranges_point_at_the_text() -> None:
    text = (
        "# Page\n\nIntro.\n\n## Ports\n\n" + "Airflow listens on 8888. " * 30 + "\n\n## End\n\n" + "Last words. " * 40
    )
    for unit in units_of(text):
        assert unit.text.split("\n")[-1] in lines_of(text, unit.lines)
        assert unit.url == f"page.md#L{unit.lines[0]}"


def test_yaml_is_cut_at_keys_with_their_comments() -> None:
    text = "global:\n  level: INFO\n  folder: plugins\n  timeout: 1\n\n# the plugins that run\nplugins:\n  enabled:\n    - A\n    - B\n    - C\n"
    units = units_of(text, "config/plugins.yml")
    assert "# the plugins that run\nplugins:" in "\n".join(unit.text for unit in units)


def test_env_sample_groups_have_their_banner_as_heading() -> None:
    text = "# =====\n# NETWORK\n# =====\n\n# The forwarder\nFORWARDER=1.1.1.1\n"
    unit = units_of(text, ".env.example")[0]
    assert unit.headings == ("NETWORK",)
    assert "FORWARDER=1.1.1.1" in unit.text


def test_rst_headings_are_found_by_their_underlines() -> None:
    body = "text. " * 70
    units = units_of(f"Title\n=====\n\n{body}\n\nPart\n----\n\n{body}\n", "guide.rst")
    assert [unit.headings for unit in units] == [("Title",), ("Title", "Part")]


def test_other_kinds_of_file_give_no_unit() -> None:
    assert units_of("print(1)", "tool.py") == []


def test_ids_depend_on_path_headings_and_text_only() -> None:
    text = "## One\n\nSame text.\n"
    assert units_of(text)[0].id == units_of("\n\n" + text)[0].id
    assert units_of(text)[0].id != units_of(text, "other.md")[0].id


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["# A", "## B", "### C", "word one two.", "```", "- item", "| a | b |", "", "x" * 700]))
)
def test_no_line_of_a_page_is_lost_and_no_unit_is_too_long(lines: list[str]) -> None:
    units = units_of("\n".join(lines))
    kept = "\n".join(unit.text for unit in units)
    for line in lines:
        if line and not line.startswith(("#", "```", "|")):
            assert line in kept
    assert all(len(unit.text) <= UNIT_CHARS * 1.1 for unit in units)
    assert all(len(piece.text) <= max(CHUNK_CHARS * 1.1, 710) for unit in units for piece in unit.chunks)


PROGRAM = '''#!/usr/bin/env python3
"""Makes a virtual machine with kcli, and registers its name in the name server of the lab."""


class Maker:
    """Keeps the connection to the hypervisor, and closes it when the last machine has been made."""

    def make(self, name: str) -> None:
        """Short."""


def remove(name: str) -> None:
    """Deletes the machine and its disks at once, without asking; there is no way to get them back."""
    return None
'''
SCRIPT = """#!/bin/bash
# =============================
# Makes a bridge on the host from the first interface that has an address.
# =============================
set -e

# Deletes the bridge and gives its address back to the interface it was taken from.
remove_bridge() {
    ip link del br0  # not a comment of its own
}
"""


def test_a_program_gives_what_its_author_wrote_about_it_and_no_code() -> None:
    units = units_of(PROGRAM, "make.py", "Make (make.py)")
    text = "\n".join(unit.text for unit in units)
    assert "registers its name" in text
    assert "## remove\n\nDeletes the machine" in text
    assert "Short." not in text
    assert "return" not in text
    assert units_of("def broken(:\n", "broken.py") == []


def test_a_shell_script_gives_its_comments_below_the_names_of_its_functions() -> None:
    units = units_of(SCRIPT, "bridge.sh", "Bridge (bridge.sh)")
    text = "\n".join(unit.text for unit in units)
    assert "Makes a bridge on the host" in text
    assert "## remove_bridge\n\nDeletes the bridge" in text
    assert "ip link" not in text
    assert lines_of(SCRIPT, units[0].lines).startswith("#")


def test_lines_behind_comments_html_and_indented_code_keep_their_numbers() -> None:
    hidden = "\n".join(["<!-- hidden", *["more"] * 20, "-->"])
    html = "\n".join(["<pre>", *[f"line {number}" for number in range(80)], "</pre>"])
    code = "\n".join(f"    step {number} {'x' * 30}" for number in range(80))
    text = f"Text one\n{hidden}\nText two\n\n{html}\n\nAnd then:\n\n{code}\n\nThe end.\n"
    lines = text.split("\n")
    for unit in units_of(text):
        first = unit.text.split("\n")[1 if unit.text.startswith("```") else 0].strip()
        last = [line for line in unit.text.split("\n") if "```" not in line][-1].strip()
        assert first in lines[unit.lines[0] - 1]
        assert last in lines[unit.lines[1] - 1]


def test_a_heading_keeps_what_stands_in_code_and_a_pictures_words() -> None:
    titles = [
        block.title for block in markdown.blocks("# ![Logo](a.png) Lab\n\n## `__init__.py` and `--host <name>`\n")
    ]
    assert titles == ["Logo Lab", "__init__.py and --host <name>"]


def test_code_that_holds_a_fence_gets_a_longer_one() -> None:
    assert kinds("    ```bash\n    make\n    ```\n") == [("code", "````\n```bash\nmake\n```\n````")]


SCRIPTS = {
    "cuneiform": "\U00012000", "hieroglyphs": "\U00013000", "Gothic": "\U00010330", "mathematical": "\U0001d400",
    "private use": "\U000f0000", "Chinese": "\u4e2d", "rare Chinese": "\U00020000", "Hangul": "\uac00", "Thai": "\u0e01",
    "Devanagari": "\u0915", "Ethiopic": "\u1200", "Cyrillic": "\u0436", "Arabic": "\u0639",
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("form", ["text", "code", "table", "heading", "item"])
def test_no_unit_of_any_script_is_longer_than_a_model_reads(script: str, form: str) -> None:
    """A byte is the most that a token of these can be; the window of a conversation is 4,096 tokens."""
    run = SCRIPTS[script] * 3_000
    text = {
        "text": f"# Page\n\n{run}\n",
        "code": f"# Page\n\n```text\n{run}\n```\n",
        "table": f"# Page\n\n| a | b |\n| --- | --- |\n| {run} | {run} |\n",
        "heading": f"# {run}\n\n## {run}\n\nText.\n",
        "item": f"# Page\n\n- {run}\n",
    }[form]
    units = units_of(text, title=clipped(run, HEADING_CHARS) if form == "heading" else "Page")
    assert units
    for unit in units:
        read = " > ".join([unit.title, *unit.headings]) + unit.text
        assert width(read) <= UNIT_CHARS + 3 * HEADING_CHARS + 200
        assert len(read.encode()) <= 3_600 or script in {"Thai", "Devanagari", "Ethiopic", "Cyrillic", "Arabic"}
        assert all(width(piece.text) <= 2 * LONGEST_LINE for piece in unit.chunks)


@pytest.mark.parametrize("text", ["", "plain", "Grüße — “quoted” → ✅ 🚀", "x" * 5_000])
def test_latin_text_with_its_signs_counts_its_characters(text: str) -> None:
    assert width(text) == len(text)
    assert clipped(text, 100) == text[:100]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_clipped_text_is_the_longest_beginning_that_fits(script: str) -> None:
    sign = SCRIPTS[script]
    for text in (sign * 500, f"abc {sign}" * 100, "a" * 159 + sign * 9):
        begun = clipped(text, 160)
        assert text.startswith(begun)
        assert width(begun) <= 160
        assert width(text[: len(begun) + 1]) > 160 - 16
