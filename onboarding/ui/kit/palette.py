"""Reads `palette.toml`, the one file that holds the page's colours."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("palette.toml")
HUES = ("petrol", "slate")
SHADES = ("50", "100", "200", "300", "400", "500", "600", "700", "800", "900", "950")


@dataclass(frozen=True, slots=True)
class Palette:
    """The two hues, and every named colour as CSS writes it."""

    hues: dict[str, tuple[str, ...]]  # "petrol", "slate" -> eleven shades, the lightest first
    light: dict[str, str]
    dark: dict[str, str]

    def css(self) -> str:
        """Return rules that define each named colour as a custom property, light at the root and dark below `.dark`."""
        return f":root {{\n{_properties(self.light)}}}\n.dark {{\n{_properties(self.dark)}}}\n"


def _properties(colours: dict[str, str]) -> str:
    return "".join(f"  --{name}: {value};\n" for name, value in colours.items())


def load_palette(path: Path = FILE) -> Palette:
    """Return the palette of a file.

    Raise KeyError with the name of a missing hue or shade, ValueError where a colour has not two values.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    hues = {hue: tuple(table[hue][shade] for shade in SHADES) for hue in HUES}
    shades = {f"{hue}-{shade}": table[hue][shade] for hue in HUES for shade in SHADES}
    light, dark = {}, {}
    for name, (by_day, by_night) in table["colours"].items():
        light[name], dark[name] = shades.get(by_day, by_day), shades.get(by_night, by_night)
    return Palette(hues, light, dark)
