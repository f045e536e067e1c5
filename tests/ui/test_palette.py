"""The page's colours: one file holds them, and the theme and the style sheet follow it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onboarding.ui.kit.palette import FILE, load_palette
from onboarding.ui.kit.theme import SHEETS, STATIC, css, static, theme

UI = FILE.parents[1]
ICON = STATIC / "favicon.svg"  # a browser draws it outside the page, where no custom property reaches it
LITERAL = re.compile(
    r"(?<!&)#(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{6}|[0-9a-fA-F]{3,4})\b|\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch)\("
)
NAMED = re.compile(
    r"(?<![\w-])(?:white|black|red|green|blue|gr[ae]y|orange|yellow|purple|pink|brown|navy)(?![\w-])", re.I
)
COMMENT = re.compile(r"/\*.*?\*/", re.S)
DRAWN = (".css", ".svg")  # where a word can be a colour
USED = re.compile(r"var\(--([\w-]+)")
SET = re.compile(r"(?<![\w-])--([\w-]+):")
ELSEWHERE = {"demo-bar", "demo-label", "font", "font-mono", "host-label"}  # set by the Gradio theme and by page scripts


def literals(path: Path) -> list[str]:
    text = COMMENT.sub("", path.read_text(encoding="utf-8"))
    return LITERAL.findall(text) + (NAMED.findall(text) if path.suffix in DRAWN else [])


def test_no_other_file_of_the_page_holds_a_colour() -> None:
    files = [path for path in UI.rglob("*") if path.suffix in {".py", ".css", ".js", ".html", ".svg"} and path != ICON]
    assert len(files) > 30
    assert {path.name: found for path in files if (found := literals(path))} == {}


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.css", "a { color: #15262c; }", 1),
        ("a.css", "a { color: #FFF }", 1),
        ("a.css", "a { box-shadow: 0 0 rgb(0 20 28 / .25) }", 1),
        ("a.css", "a { color: white; white-space: pre }", 1),
        ("a.py", 'THEME = {"ink": "#15262c"}', 1),
        ("a.css", "#feedback { color: var(--ink); background: transparent; fill: currentColor }", 0),
        ("a.py", 'text = "&#39;"  # red wine', 0),
    ],
)
def test_a_literal_colour_is_found(tmp_path: Path, name: str, text: str, found: int) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert len(literals(path)) == found


def test_the_icon_has_the_palettes_colours() -> None:
    light = load_palette().light
    assert set(LITERAL.findall(ICON.read_text())) == {light["act"], light["note"]}


def test_a_changed_value_changes_the_theme_and_the_style_sheet(tmp_path: Path) -> None:
    changed = tmp_path / "palette.toml"
    text = FILE.read_text(encoding="utf-8")
    text = text.replace('ink = ["#15262c"', 'ink = ["#010203"').replace('600 = "#0f6070"', '600 = "#040506"')
    changed.write_text(text, encoding="utf-8")
    before, after = load_palette(), load_palette(changed)
    assert (theme(before).body_text_color, theme(after).body_text_color) == ("#15262c", "#010203")
    assert (theme(before).primary_600, theme(after).primary_600) == ("#0f6070", "#040506")
    assert (theme(before).link_text_color, theme(after).link_text_color) == ("#0f6070", "#040506")
    for name, old, new in (("ink", "#15262c", "#010203"), ("act", "#0f6070", "#040506")):
        assert f"  --{name}: {old};" in css(before)
        assert f"  --{name}: {new};" in css(after)
        assert old not in css(after)


def test_light_and_dark_have_values_of_their_own() -> None:
    rules = load_palette().css()
    light, dark = rules.split(".dark {")
    assert light.startswith(":root {")
    assert "  --sheet: #ffffff;" in light
    assert "  --sheet: #131f24;" in dark
    assert theme(load_palette()).block_background_fill == "#ffffff"
    assert theme(load_palette()).block_background_fill_dark == "#131f24"


def test_the_style_sheets_use_every_colour_and_no_other_property() -> None:
    used = set().union(*(USED.findall(static(name)) for name in (*SHEETS, "mark.svg")))
    own = set().union(*(SET.findall(static(name)) for name in SHEETS))
    themed = {"chosen", "code"}  # Gradio's own widgets alone have these
    assert used - own - ELSEWHERE == set(load_palette().light) - themed


def test_a_missing_shade_is_named(tmp_path: Path) -> None:
    short = tmp_path / "palette.toml"
    short.write_text(FILE.read_text(encoding="utf-8").replace('950 = "#04222a"\n', ""), encoding="utf-8")
    with pytest.raises(KeyError, match="950"):
        load_palette(short)
